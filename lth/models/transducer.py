"""Recurrent neural network transducer: the frame and the tokens so far decide the next token (Graves 2012)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.functional import rnnt_loss

from lth.models.ctc import CTCLoss, CTCModel, Model
from lth.models.lengths import Length, OverTokens

#: Hidden and cell values of the prediction network, each (1, B, units).
State = tuple[Tensor, Tensor]


class Predictor(OverTokens):
    """The prediction network, which reads the tokens so far (Graves 2012, section 2.2); token 0, the blank, is the
    start.

    Args:
        units: of the LSTM and of the embedding, which has a row for every token.
        joint: what comes out is the joint's part of it.
    """

    def __init__(self, tokens: int, units: int, joint: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(tokens, units)
        self.dropout = nn.Dropout(dropout)
        self.rnn = nn.LSTM(units, units, batch_first=True)
        self.output = nn.Linear(units, joint, bias=False)

    def forward(self, tokens: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map (B, L) tokens, of which (B,) are real, to (B, L, joint), and return the state after the last.

        Args:
            state: returned by the call for the tokens before these.
        """
        x, after = self.rnn(self.dropout(self.embedding(tokens)), state)
        return self.output(self.dropout(x)), after


class Joint(nn.Module):
    """The joint network: from a frame and the tokens before it to logits of a token (Graves, Mohamed and Hinton 2013,
    section 2.2)."""

    def __init__(self, encoded: int, units: int, tokens: int):
        super().__init__()
        self.heard = nn.Linear(encoded, units)
        self.output = nn.Linear(units, tokens)

    def forward(self, pairs: Tensor) -> Tensor:
        """Map (..., units), sums of what ``self.heard`` makes of a frame and of the predictor's output, to (...,
        tokens) logits."""
        return self.output(torch.tanh(pairs))


class Transducer(Model):
    """A transducer: an encoder, a prediction network and their joint.

    The logits of a batch are its longest utterance's frames times its longest text's tokens times the classes, and
    the joint's units are as many values more for each real pair of frame and token: memory that CTC does not need.
    Long utterances and large vocabularies want small batches (``trainer.max_duration``), a joint of few units, and an
    encoder that lowers the frame rate.

    Args:
        features: bins a frame.
        tokens: output classes, the blank included.
        encoder: makes a CTC model of ``features`` and ``tokens``; all of it but its output layer is the encoder, and
            that layer serves the CTC loss.
        predictor, joint: units of the prediction network and of the joint.
        dropout: before and after the prediction network's LSTM.
        ctc_weight: of the encoder's CTC loss, which is added. On an hour of speech a transducer hardly learns
            to align without it. 0: the encoder has no output layer.

    Raises:
        ValueError: a size below 1, a negative weight, or an encoder of another family.
    """

    family = "transducer"

    def __init__(
        self,
        features: int,
        tokens: int,
        *,
        encoder: Callable[..., CTCModel],
        predictor: int = 192,
        joint: int = 192,
        dropout: float = 0.0,
        ctc_weight: float = 0.0,
    ):
        super().__init__()
        if min(predictor, joint) < 1 or ctc_weight < 0:
            raise ValueError(f"predictor and joint are at least 1 and ctc_weight is not negative, not {ctc_weight}")
        self.ctc_weight = ctc_weight
        self.encoder = encoder(features=features, tokens=tokens)
        if not isinstance(self.encoder, CTCModel):
            raise ValueError(f"encoder is a CTC model, not a {type(self.encoder).__name__}")
        units = self.encoder.output.in_features
        if not ctc_weight:
            self.encoder.register_module("output", None)
        self.predictor = Predictor(tokens, predictor, joint, dropout)
        self.joint = Joint(units, joint, tokens)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, features) and (B,) lengths to the encoder's (B, T', units) and (B,) lengths."""
        return self.encoder.encode(x, lengths)

    def loss(self, encoded: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, ctc: CTCLoss) -> Tensor:
        """Return the mean over the batch of -log p(text) per token, plus CTC's share of the same.

        An utterance may be too short for CTC though not for a transducer; CTC counts it as zero then.
        """
        tokens = tokens[:, : int(token_lengths.max())]
        predicted, _ = self.predictor(F.pad(tokens, (1, 0)), token_lengths + 1)
        logits = self._pairs(encoded, lengths, predicted, token_lengths + 1)
        with torch.autocast(encoded.device.type, enabled=False):
            each = rnnt_loss(
                logits.float(), tokens.int(), lengths.int(), token_lengths.int(), blank=0, reduction="none"
            )
        loss = (each / token_lengths.clamp_min(1)).mean()
        if self.ctc_weight:
            logits = self.encoder.output(encoded)
            loss = loss + self.ctc_weight * ctc(logits, lengths, tokens, token_lengths, zero_infinity=True)
        return loss

    def _pairs(self, encoded: Tensor, lengths: Tensor, predicted: Tensor, steps: Tensor) -> Tensor:
        """Return logits (B, T', L, tokens) for every frame and every token so far; zero where either is padding.

        The joint is computed for real pairs only: they are few where lengths differ.
        """
        heard, sizes = self.joint.heard(encoded), list(zip(lengths.tolist(), steps.tolist(), strict=True))
        pairs = [(h[:t, None] + p[:u]).flatten(0, 1) for h, p, (t, u) in zip(heard, predicted, sizes, strict=True)]
        logits = self.joint(torch.cat(pairs)).split([len(p) for p in pairs])
        frames, tokens = (max(size) for size in zip(*sizes, strict=True))
        return torch.stack(
            [
                F.pad(x.view(t, u, -1), (0, 0, 0, tokens - u, 0, frames - t))
                for x, (t, u) in zip(logits, sizes, strict=True)
            ]
        )

    def outputs(self, encoded: Tensor) -> Tensor:
        """Return all that comes out, (B, T', classes): the joint's logits of every frame with as many steps of one and
        the same token, and CTC's beside them."""
        steps = torch.zeros(encoded.shape[:2], dtype=torch.long, device=encoded.device)
        predicted, _ = self.predictor(steps, steps[:, 0])
        logits = self.joint(self.joint.heard(encoded) + predicted)
        return torch.cat([logits, self.encoder.output(encoded)], -1) if self.ctc_weight else logits

    def out_length(self, length: Length) -> Length:
        """Return the encoder's frames for ``length`` input frames, an int or a tensor of them."""
        return self.encoder.out_length(length)

    def frames_needed(self, tokens: Sequence[int]) -> int:
        """Return one: any number of tokens may come of a frame."""
        return 1

    def prunable(self) -> dict[str, list[str]]:
        """Return the prunable parameters by layer, from input to output: the encoder's, those of the prediction
        network and those of the joint; never a bias, a norm or the embedding, a table of which one row is looked up."""
        layers = {
            f"encoder.{layer}": [f"encoder.{n}" for n in names] for layer, names in self.encoder.prunable().items()
        }
        layers["predictor"] = [
            f"predictor.{name}" for name in ("rnn.weight_ih_l0", "rnn.weight_hh_l0", "output.weight")
        ]
        layers["joint"] = ["joint.heard.weight", "joint.output.weight"]
        return layers
