"""The CTC loss, by whom it is computed: ``loss=ctc`` or ``loss=warpctc``.

Each takes (B, T', tokens) logits, their (B,) lengths, (B, L) tokens and their (B,) lengths, and returns the mean over
the batch of the loss per token, in fp32 whatever the precision of the rest.
"""

from torch import Tensor
from torch.nn import functional as F


def ctc(logits: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, *, lenient: bool = False) -> Tensor:
    """PyTorch's (Graves et al. 2006); with ``lenient`` utterances too short for their text count as zero."""
    log_probabilities = logits.float().log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(log_probabilities, tokens, lengths, token_lengths, zero_infinity=lenient)
