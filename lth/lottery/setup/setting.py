"""From a config to everything the rounds of one experiment share."""

import functools
import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from lhotse import CutSet
from lhotse.dataset import SpecAugment
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils.data import DataLoader

from lth.decoding.choose import Decoder
from lth.errors import UserError
from lth.lottery.setup import names
from lth.lottery.setup.build import build, make, partial
from lth.lottery.setup.key import settings
from lth.models.ctc import Model
from lth.speech import bpe
from lth.speech.augment.noise import NoiseInjection
from lth.speech.augment.perturb import Perturbation
from lth.speech.augment.rir import Reverberation
from lth.speech.batches import AudioMemory, Utterances, test_loader, train_loader
from lth.speech.corpora.corpus import (
    Corpus,
    UtteranceInfo,
    drop_too_short,
    exclude,
    unknown_characters,
    utterance_infos,
)
from lth.speech.corpora.speaker import of_speaker
from lth.speech.features import Features
from lth.speech.tokens import Tokens
from lth.tickets.mask import Mask
from lth.training import schedule
from lth.training.recogniser import Recogniser
from lth.training.train import Hardware, hardware

BATCHES_OF_DEV = {"batch_size": 32, "max_duration": None}


@dataclass(frozen=True)
class ExperimentSetup:
    """Data, model and hardware of an experiment; the same for each of its rounds."""

    config: DictConfig
    corpus: Corpus
    tokens: Tokens
    features: Features
    noise: NoiseInjection
    memory: AudioMemory
    device: Hardware
    init: dict[str, Tensor]
    layers: dict[str, list[str]]
    parameters: int
    utterances: int
    perturbation: Perturbation = field(default_factory=Perturbation)
    rooms: Reverberation = field(default_factory=Reverberation)

    @property
    def seed(self) -> int:
        return self.config.seed

    def dense(self) -> Mask:
        """Return the mask that keeps every prunable weight."""
        return Mask.dense({name: self.init[name] for names in self.layers.values() for name in names})

    def output(self) -> list[str]:
        """Name the output layer: the model's tensors whose shape depends on the number of tokens."""
        with torch.device("meta"):
            other = build(self.config, "model", features=self.features.bins, tokens=len(self.tokens) + 1).state_dict()
        return [name for name, tensor in self.init.items() if other[name].shape != tensor.shape]

    def key_inputs(self, init: str, mask: Mask) -> dict:
        """Return everything that can change the result of a round that starts from this init and mask."""
        data = {
            "init": init,
            "mask": mask.digest(),
            "corpus": self.corpus.fingerprint,
            "noise": self.noise.fingerprint(),
            "rir": self.rooms.fingerprint(),
            "tokens": self.tokens.key,
            "accelerator": self.device.accelerator,
            "precision": self.device.precision,
        }
        return {**settings(self.config), **data}

    def model(self) -> Model:
        """Make the model, with fresh values from its own initialiser."""
        return build(self.config, "model", features=self.features.bins, tokens=len(self.tokens))

    def decoder(self, family: str) -> Decoder:
        """Make the decoder of ``decoder=``, for this family of models."""
        return build(self.config, "decoder", tokens=self.tokens, family=family)

    def greedily(self) -> "ExperimentSetup":
        """Return the same, decoded greedily: what a round is trained with whatever transcribes it in the end."""
        config = self.config.copy()
        config.decoder = {"name": "greedy"}
        return replace(self, config=config)

    def recogniser(self, weights: dict[str, Tensor], rate: float | None = None) -> Recogniser:
        """Make a recogniser whose model has these weights, ready to train or to transcribe.

        Args:
            rate: a fixed learning rate as a share of ``trainer.lr``, instead of the trainer's schedule.
        """
        model = self.model()
        model.load_state_dict(weights)
        options = self.config.trainer
        return Recogniser(
            model,
            self.features,
            self.decoder(str(model.family)),
            ctc=partial(self.config, "loss"),
            augment=make(SpecAugment, self.config, "augment.spec") if self.config.augment.spec else None,
            lr=options.lr,
            weight_decay=options.weight_decay,
            betas=betas(options),
            rate=learning_rate(options) if rate is None else functools.partial(schedule.fixed, rate=rate),
            utterances=self.utterances,
            seed=self.seed,
        )

    def train_batches(self, epoch: int) -> DataLoader:
        """Make the batches of one epoch of the train split."""
        options = self.config.trainer
        return train_loader(
            self.corpus.train,
            self._utterances("train"),
            epoch,
            batch_size=options.batch_size,
            max_duration=options.max_duration and options.max_duration * self.perturbation.slowest,
            buckets=min(options.buckets, self.utterances),
            workers=options.workers,
        )

    def sample_batches(self, utterances: int | None = None) -> DataLoader:
        """Make batches of a fixed sample of the train split: so many utterances, or None for as many as dev has.

        Which ones depends on the seed and their ids only; more of them hold the fewer.
        """

        def place(one: UtteranceInfo) -> str:
            return hashlib.sha256(f"{self.seed} {one.id}".encode()).hexdigest()

        train = self.corpus.train
        drawn = heapq.nsmallest(utterances or count(self.corpus.dev), utterance_infos(train), key=place)
        rank = {one.id: number for number, one in enumerate(drawn)}
        rest = frozenset(one.id for one in utterance_infos(train)) - rank.keys()
        some = sorted(exclude(train, rest), key=lambda cut: rank[cut.id])  # batches of equal lengths follow this order
        return test_loader(CutSet.from_cuts(some), self._utterances("train"), **BATCHES_OF_DEV)

    def dev_batches(self) -> DataLoader:
        """Make the batches of the dev split."""
        return test_loader(self.corpus.dev, self._utterances("dev"), **BATCHES_OF_DEV)

    def test_batches(self) -> dict[str, DataLoader]:
        """Make the batches of every test set, by its name."""
        return {
            name: test_loader(cuts, self._utterances("test"), **BATCHES_OF_DEV)
            for name, cuts in self.corpus.tests.items()
        }

    def _utterances(self, split: str) -> Utterances:
        effects = (self.perturbation, self.rooms)
        return Utterances(split, self.memory, self.tokens, self.noise, self.seed, effects)


def learning_rate(options: DictConfig) -> Callable[[float], float]:
    """Make the schedule that ``trainer.lr_schedule`` names."""
    warmup = options.warmup
    if warmup is not None and not (isinstance(warmup, float) and 0 < warmup < 1):
        raise UserError(f"trainer.warmup={warmup} is no share of the training: it must be above 0 and below 1")
    match options.lr_schedule:
        case "annealed":
            return functools.partial(schedule.annealed, epochs=options.max_epochs)
        case "transformer":
            return functools.partial(schedule.transformer, warmup=warmup or 0.05)
        case "one_cycle":
            return functools.partial(schedule.one_cycle, warmup=warmup) if warmup else schedule.one_cycle
    return schedule.fixed


def betas(options: DictConfig) -> tuple[float, float]:
    """Return AdamW's betas, as ``trainer.betas`` says."""
    found = options.betas
    if not OmegaConf.is_list(found) and not isinstance(found, list):
        found = [found]
    if len(found) != 2 or not all(isinstance(one, float) and 0 <= one < 1 for one in found):
        raise UserError(f"trainer.betas={found} is not valid: give two numbers from 0 to below 1, such as [0.9,0.98]")
    return found[0], found[1]


def prepare(config: DictConfig, known: str | None = None) -> ExperimentSetup:
    """Read the corpus, choose the tokens and draw the init.

    Args:
        known: key of a ticket's tokens, which are taken where they are of the kind that ``text`` says and enough
            for this corpus.

    Raises:
        UserError: anything in the config or the corpus that cannot work, before any training.
    """
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    device = hardware(config.trainer.accelerator, config.trainer.precision)
    learning_rate(config.trainer)  # it makes sense, as do the betas, or nothing is begun
    betas(config.trainer)
    noise, rooms = build_noise(config), make(Reverberation, config, "rir")
    perturbation = build_perturbation(config)
    features = make(Features, config, "features")
    corpus = build(config, "corpus.loader")
    tokens = choose_tokens(config, corpus, known)
    if config.speaker is not None:
        corpus = of_speaker(corpus, config.speaker, config.utterances, config.seed)
    if found := unknown_characters(corpus.splits(), tokens.characters):
        raise UserError(f"{found}, which is not among the output tokens; correct the text or add it to tokens=")
    torch.manual_seed(config.seed)
    model = build(config, "model", features=features.bins, tokens=len(tokens))
    check_decoder(config, model.family)
    check_choices(config, tokens, model.family)
    corpus = drop_too_short(
        corpus,
        functools.lru_cache(2**14)(lambda samples: model.out_length(features.frames(samples))),
        lambda text: model.frames_needed(tokens.encode(text).tolist()),
        perturbation.shortest,
    )
    if empty := next((name for name, cuts in corpus.splits().items() if not count(cuts)), None):
        raise UserError(f"corpus={corpus.name}: no utterance of {empty} is long enough for its text and the model")
    return ExperimentSetup(
        config=config,
        corpus=corpus,
        tokens=tokens,
        features=features,
        noise=noise,
        memory=AudioMemory(config.memory_hours),
        device=device,
        init={name: tensor.detach().clone() for name, tensor in model.state_dict().items()},
        layers=model.prunable(),
        parameters=sum(p.numel() for p in model.parameters()),
        utterances=count(corpus.train),
        perturbation=perturbation,
        rooms=rooms,
    )


def check_choices(config: DictConfig, tokens: Tokens, family: str) -> None:
    """Raise UserError for a decoder or a loss whose package or files are missing, before anything is trained."""
    build(config, "decoder", tokens=tokens, family=family)
    one = torch.ones(1, dtype=torch.long)
    partial(config, "loss")(torch.zeros(1, 1, 2), one, one[None], one)


def check_decoder(config: DictConfig, family: str) -> None:
    """Raise UserError for a decoder that cannot read this family of models."""
    if family in names.code("decoder", config.decoder).families:
        return
    others = [name for name in names.names("decoder") if family in names.code("decoder", {"name": name}).families]
    raise UserError(
        f"decoder={config.decoder.name} cannot read this model, which is of the {family} family: "
        f"{' or '.join(others)} can"
    )


def choose_tokens(config: DictConfig, corpus: Corpus, known: str | None) -> Tokens:
    """Make the tokens that ``text`` and ``tokens`` describe, or take the ticket's; see `prepare`."""
    text = config.text
    if known and not config.tokens and bpe.is_bpe(known) == ("size" in text):
        theirs = bpe.of_key(known)
        same = text.get("size", len(theirs.symbols)) == len(theirs.symbols)
        if same and not unknown_characters(corpus.splits(), theirs.characters):
            return theirs
    return build(config, "text", texts=_texts(corpus.train), characters=config.tokens)


def build_noise(config: DictConfig) -> NoiseInjection:
    """Make the noise that the ``noise`` group describes."""
    return make(NoiseInjection, config, "noise")


def build_perturbation(config: DictConfig) -> Perturbation:
    """Make the change of speed, tempo and gain that the ``augment`` group describes beside its ``spec``."""
    options = {name: value for name, value in config.augment.items() if name != "spec"}
    return make(Perturbation, OmegaConf.create({"augment": options}), "augment")


def count(cuts: CutSet) -> int:
    """Count the utterances; a lazy set may have no length, and is read through."""
    return len(cuts) if hasattr(cuts.cuts, "__len__") else sum(1 for _ in utterance_infos(cuts))


def _texts(cuts: CutSet) -> list[str]:
    return [one.text for one in utterance_infos(cuts)]
