"""What a recogniser's model is to the rest, and its simplest kind: one vector of logits a frame, trained by CTC.

A model is a ``torch.nn.Module`` with

    family            "ctc", "transducer" or "attention": which decoders can read it
    forward(x, lengths)   features (B, T, bins) to what it makes of them, (B, T', C), and its lengths (B,): the logits
                      of a CTC model, the encoder's frames of any other
    loss(encoded, lengths, tokens, token_lengths, ctc)   the training loss of what ``forward`` returned
    out_length(length)    frames T' for T; on an int and on a tensor of them
    frames_needed(tokens)   fewest frames T' that can carry these tokens
    prunable()        the weights that may be pruned, layer by layer, from input to output

and is made with ``features`` (bins a frame) and ``tokens`` (classes, the blank 0 included) beside what its YAML says.
``ctc`` in ``loss`` is the CTC loss that was chosen.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from torch import Tensor, nn

from lth.models.lengths import Length


class CTCLoss(Protocol):
    """A CTC loss: (logits, lengths, tokens, token_lengths) to the batch's mean of the loss per token."""

    def __call__(
        self, logits: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, /, *, zero_infinity: bool = False
    ) -> Tensor:
        """Compute the loss; with ``zero_infinity`` utterances too short for their text count as zero."""
        ...


class Model(nn.Module):
    """The contract above as a class, for type checkers; a module that keeps it without being one is a model too."""

    family: str

    def loss(self, encoded: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, ctc: CTCLoss) -> Tensor:
        """Return the training loss of what ``forward`` returned."""
        raise NotImplementedError

    def out_length(self, length: Length) -> Length:
        """Return the output frames for ``length`` input frames, an int or a tensor of them."""
        raise NotImplementedError

    def frames_needed(self, tokens: Sequence[int]) -> int:
        """Return the fewest output frames that can carry these tokens."""
        raise NotImplementedError

    def prunable(self) -> dict[str, list[str]]:
        """Return the prunable parameters by layer, from input to output."""
        raise NotImplementedError


class CTCModel(Model):
    """A model whose ``forward`` returns (B, T', tokens) logits.

    ``output``, its last layer, makes them of what ``encode`` returns, (B, T', units) and lengths: what a transducer
    takes as its encoder.
    """

    family = "ctc"
    output: nn.Linear

    def encode(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, features) and (B,) lengths to the (B, T', units) that ``output`` reads, and (B,) lengths."""
        raise NotImplementedError

    def loss(self, encoded: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, ctc: CTCLoss) -> Tensor:
        """Return the mean over the batch of the CTC loss per token."""
        return ctc(encoded, lengths, tokens, token_lengths)

    def frames_needed(self, tokens: Sequence[int]) -> int:
        """Return the frames CTC needs: one a token, and a blank between two of the same (Graves et al. 2006)."""
        return ctc_frames(tokens)


def ctc_frames(tokens: Sequence[int]) -> int:
    """Return the fewest frames that CTC can align these tokens with."""
    return len(tokens) + sum(a == b for a, b in pairwise(tokens))
