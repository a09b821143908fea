"""A finished ticket as plain PyTorch, for a notebook: `lth.load_ticket`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from lth.decoding.greedy import Greedy
from lth.inference.transcribe import transcribe_pieces
from lth.lottery.setup.build import build, make
from lth.lottery.setup.find import from_path
from lth.lottery.setup.names import check_recorded
from lth.models.ctc import Model
from lth.speech import bpe
from lth.speech.audio import hear
from lth.speech.features import Features
from lth.speech.tokens import Tokens
from lth.tickets.mask import Mask
from lth.training.losses import ctc
from lth.training.recogniser import Recogniser
from lth.training.schedule import fixed


@dataclass(frozen=True, eq=False)
class LoadedTicket:
    """A round of a lottery: its mask, what it was rewound to, what it was trained to, and how it hears.

    Args:
        source: the folder or file it was read from.
        mask: the weights it keeps: a mapping of parameter names to boolean tensors.
        init: the state dict it was rewound to, not masked.
        weights: the state dict after its training; pruned weights are zero.
        features: (B, S) samples at 16 kHz and (B,) lengths to what its model reads.
        tokens: what its model puts out.
        config: the config of the experiment that found it.
    """

    source: str
    mask: Mask
    init: Mapping[str, Tensor] = field(repr=False)
    weights: Mapping[str, Tensor] = field(repr=False)
    features: Features = field(repr=False)
    tokens: Tokens = field(repr=False)
    config: DictConfig = field(repr=False)

    def model(self, trained: bool = True) -> Model:
        """Return the model, ready to evaluate, with its trained weights, or with its init where the mask keeps it.

        It reads (B, T, bins) features and (B,) lengths; see `features`.
        """
        model = build(self.config, "model", features=self.features.bins, tokens=len(self.tokens))
        masked = {name: self.init[name] * bits for name, bits in self.mask.items()}
        model.load_state_dict(dict(self.weights) if trained else {**self.init, **masked})
        return model.eval()

    def transcribe(self, file: str | Path, longest: float = 20.0) -> str:
        """Return what the trained model hears in a recording, decoded greedily, on the CPU and in fp32.

        Args:
            file: any that libsndfile reads, of any rate and number of channels.
            longest: seconds of the pieces that a longer recording is cut into, where it is quiet.

        Raises:
            UserError: there is no such file, or it cannot be read.
        """
        model = self.model()
        untrained = {"augment": None, "lr": 0.0, "weight_decay": 0.0, "rate": fixed, "utterances": 1, "seed": 0}
        decoder = Greedy(self.tokens, model.family)
        recogniser = Recogniser(model, self.features, decoder, ctc=ctc, **untrained).eval()
        samples = hear(Path(file).expanduser(), "audio: ")
        return transcribe_pieces(str(file), samples, recogniser, longest)["text"]


def load_ticket(path: str | Path) -> LoadedTicket:
    """Return the ticket in an experiment's folder (its extreme one, or else its best) or in a round's folder.

    The corpus is not read; the config that was recorded is checked before anything of it is built.

    Raises:
        UserError: there is no such ticket, or its init, weights or experiment are missing or damaged.
    """
    ticket = from_path(Path(path).expanduser())
    experiment = ticket.experiment()
    check_recorded(experiment.config, f"ticket={path}")
    config = OmegaConf.create(dict(experiment.config))
    tokens = bpe.of_key(experiment.inputs["tokens"])
    return LoadedTicket(
        ticket.source, ticket.mask, ticket.init, ticket.weights(), make(Features, config, "features"), tokens, config
    )
