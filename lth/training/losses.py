"""The CTC loss: ``loss=ctc`` and ``loss=warpctc`` by who computes it, ``loss=ctc_utterance`` by how it is averaged.

Each takes (B, T', tokens) logits, their (B,) lengths, (B, L) tokens and their (B,) lengths, and returns the mean over
the batch of the loss per token, or per utterance, in fp32 whatever the precision of the rest.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lth.errors import UserError


def ctc(
    logits: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, *, zero_infinity: bool = False
) -> Tensor:
    """Compute PyTorch's CTC loss (Graves et al. 2006); with ``zero_infinity`` utterances too short for their text count
    as zero."""
    log_probabilities = logits.float().log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(log_probabilities, tokens, lengths, token_lengths, zero_infinity=zero_infinity)


def ctc_utterance(
    logits: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, *, zero_infinity: bool = False
) -> Tensor:
    """Compute the sum of the CTC losses of a batch over its number of utterances, as the reference systems do: `ctc`
    times the length of a text, and so are its gradients."""
    log_probabilities = logits.float().log_softmax(-1).transpose(0, 1)
    total = F.ctc_loss(log_probabilities, tokens, lengths, token_lengths, reduction="sum", zero_infinity=zero_infinity)
    return total / len(lengths)


def warpctc(
    logits: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, *, zero_infinity: bool = False
) -> Tensor:
    """Compute Baidu's CTC loss by the optional package warpctc-pytorch, reduced as `ctc` is.

    Raises:
        UserError: warpctc-pytorch is not installed.
    """
    try:
        from warpctc_pytorch import CTCLoss  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError(
            "loss=warpctc needs the package warpctc-pytorch, which is not installed and has no release for a current "
            "Python; loss=ctc computes the same"
        ) from None
    targets = torch.cat([row[:length] for row, length in zip(tokens, token_lengths.tolist(), strict=True)])
    each = CTCLoss(blank=0, reduction="none")(
        logits.float().transpose(0, 1).contiguous(), targets.int().cpu(), lengths.int().cpu(), token_lengths.int().cpu()
    ).to(logits.device)
    if zero_infinity:  # it gives an impossible text a loss of 0 or an infinite one
        each = torch.where(each.isfinite(), each, 0.0)
    return (each / token_lengths.clamp(min=1)).mean()
