"""RNN transducer: an encoder of frames, a network that predicts from the tokens so far, and a joint (Graves 2012)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchaudio.functional import rnnt_loss

from lth.models.ctc import CTCLoss, CTCModel, ctc_frames
from lth.models.lengths import OverTokens

State = tuple[Tensor, Tensor]


class Prediction(OverTokens):
    """An LSTM over the tokens so far; token 0, the blank, stands for none yet."""

    def __init__(self, tokens: int, units: int, joint: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(tokens, units)
        self.rnn = nn.LSTM(units, units, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(units, joint)

    def forward(self, tokens: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, U) tokens, of which (B,) are real, to (B, U, joint), and the LSTM's state after the last of them."""
        x, state = self.rnn(self.dropout(self.embedding(tokens)), state)
        return self.output(self.dropout(x)), state


class Transducer(nn.Module):
    """Trained by the transducer loss, and by a share of CTC on the encoder's frames, which alone says what a frame is.

    The joint's logits are (B, T', U + 1, tokens): with long utterances and many tokens most of the memory.

    Args:
        features: bins a frame.
        tokens: output classes, the blank 0 included.
        encoder: makes a CTC model, of which the logits are what the joint adds to the prediction.
        prediction: units of the prediction network.
        joint: width of the joint.
        ctc_weight: of CTC beside the transducer loss, from 0 on; without it little data does not suffice.

    Raises:
        ValueError: a width below 1, or a negative weight.
    """

    family = "transducer"

    def __init__(
        self,
        features: int,
        tokens: int,
        *,
        encoder: Callable[..., CTCModel],
        prediction: int = 512,
        joint: int = 512,
        dropout: float = 0.0,
        ctc_weight: float = 0.5,
    ):
        super().__init__()
        if min(prediction, joint) < 1 or ctc_weight < 0:
            raise ValueError("prediction and joint are at least 1, and ctc_weight is not negative")
        self.ctc_weight = ctc_weight
        self.encoder = encoder(features=features, tokens=joint)
        self.prediction = Prediction(tokens, prediction, joint, dropout)
        self.output = nn.Linear(joint, tokens)
        self.ctc = nn.Linear(joint, tokens) if ctc_weight else None

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, features) and (B,) lengths to the encoder's (B, T', joint) and (B,) lengths."""
        return self.encoder(x, lengths)

    def joint(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """Logits (..., tokens) of what comes next at a frame after some tokens; both (..., joint)."""
        return self.output(torch.tanh(encoded + predicted))

    def loss(self, encoded: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, ctc: CTCLoss) -> Tensor:
        """Mean over the batch of the transducer loss per token, and ``ctc_weight`` times that of CTC; in fp32."""
        frames, most = int(lengths.max()), int(token_lengths.max())
        before = torch.nn.functional.pad(tokens[:, :most], (1, 0))
        predicted, _ = self.prediction(before, token_lengths + 1)
        logits = self.joint(encoded[:, :frames, None], predicted[:, None])
        each = rnnt_loss(
            logits.float().contiguous(),
            tokens[:, :most].int().contiguous(),
            lengths.int(),
            token_lengths.int(),
            blank=0,
            reduction="none",
        )
        loss = (each / token_lengths.clamp(min=1)).mean()
        if self.ctc is None:
            return loss
        return loss + self.ctc_weight * ctc(self.ctc(encoded), lengths, tokens, token_lengths)

    def out_length(self, length):
        """Encoder frames for ``length`` input frames; works on an int and on a tensor of them."""
        return self.encoder.out_length(length)

    def frames_needed(self, tokens: Sequence[int]) -> int:
        """One for the transducer, which puts out any number of tokens at a frame; as many as CTC needs with CTC."""
        return ctc_frames(tokens) if self.ctc is not None else 1

    def prunable(self) -> dict[str, list[str]]:
        """Prunable parameters by layer: the encoder's, the prediction's recurrent and linear matrices, the joint's;
        never a bias, a norm, the embedding, or the CTC layer, which is not part of the recogniser."""
        encoder = {
            f"encoder.{layer}": [f"encoder.{n}" for n in names] for layer, names in self.encoder.prunable().items()
        }
        return encoder | {
            "prediction.rnn": ["prediction.rnn.weight_ih_l0", "prediction.rnn.weight_hh_l0"],
            "prediction.output": ["prediction.output.weight"],
            "output": ["output.weight"],
        }
