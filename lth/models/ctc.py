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
``ctc`` in ``loss`` is the CTC loss that was chosen: (logits, lengths, tokens, token_lengths) to the batch's mean of
the loss per token.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

CTCLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class CTCModel(nn.Module):
    """A model whose ``forward`` returns (B, T', tokens) logits.

    ``output``, its last layer, makes them of what ``encode`` returns, (B, T', units) and lengths: what a transducer
    takes as its encoder.
    """

    family = "ctc"

    def loss(self, logits: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, ctc: CTCLoss) -> Tensor:
        """Return the mean over the batch of the CTC loss per token."""
        return ctc(logits, lengths, tokens, token_lengths)

    def frames_needed(self, tokens: Sequence[int]) -> int:
        """Return the frames CTC needs: one a token, and a blank between two of the same (Graves et al. 2006)."""
        return ctc_frames(tokens)


def ctc_frames(tokens: Sequence[int]) -> int:
    """Return the fewest frames that CTC can align these tokens with."""
    return len(tokens) + sum(a == b for a, b in pairwise(tokens))
