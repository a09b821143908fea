"""All states of a minGRU or minLSTM layer at once."""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad


class _States(torch.autograd.Function):
    """The states with forward and backward by hand: a fused pass saves three tensors where autograd would save nine."""

    @staticmethod
    def forward(ctx, logits: Tensor, candidates: Tensor) -> Tensor:
        taken, new = logits.sigmoid(), positive(candidates)
        states = scan(1 - taken, taken * new)
        ctx.save_for_backward(taken, new, states)
        return states

    @staticmethod
    def backward(ctx, gradients: Tensor) -> tuple[Tensor, Tensor]:
        taken, new, states = ctx.saved_tensors
        # What reaches h_t is its own gradient and what reaches h_(t+1) times its decay: the same recurrence backwards.
        reaching = scan(pad(1 - taken[:, 1:], (0, 0, 0, 1)).flip(1), gradients.flip(1)).flip(1)
        of_candidates = (reaching * taken).mul_(torch.where(new >= 0.5, 1.0, new * (1 - new)))
        change = new.clone()
        change[:, 1:] -= states[:, :-1]
        return change.mul_(reaching).mul_(taken).mul_(1 - taken), of_candidates


def states(logits: Tensor, candidates: Tensor) -> Tensor:
    """Compute ``h_t = (1 - b_t) h_(t-1) + b_t g(c_t)`` for t = 1 to T, from h_0 = 0, b the sigmoid of the logits.

    It is done in fp32 or better, whatever autocast says. Both arguments and the result are (B, T, C).
    """
    with torch.autocast(logits.device.type, enabled=False):
        dtype = torch.promote_types(logits.dtype, torch.float32)
        return _States.apply(logits.to(dtype), candidates.to(dtype))


def positive(x: Tensor) -> Tensor:
    """Apply g of Feng et al. (2024), appendix B: x + 0.5 from 0 on, sigmoid(x) below; continuous, increasing, above
    0."""
    return torch.maximum(x.sigmoid(), x + 0.5)


def scan(decays: Tensor, inputs: Tensor) -> Tensor:
    """Compute ``h_t = a_t h_(t-1) + x_t`` for t = 1 to T, from h_0 = 0; all (B, T, C), decays in [0, 1].

    In two levels: about sqrt(T) chunks step through their own frames side by side, then hand their last states on.
    That is 2 sqrt(T) steps in a row instead of T.

    Feng et al. (2024), appendix B, take logarithms, since products of many decays underflow. Here they may: no
    product is ever divided by, every state is a sum of terms that only shrink, and what underflows is nothing. A
    cumulative sum of logarithms loses digits as it grows instead.
    """
    frames = inputs.shape[1]
    size = max(1, math.isqrt(frames))
    a, h = _chunks(decays, size), _chunks(inputs, size)
    for t in range(1, size):
        h[t].addcmul_(a[t], h[t - 1])
        a[t].mul_(a[t - 1])  # now the product of the chunk's decays up to t
    carried = torch.zeros_like(h[-1])
    for n in range(1, carried.shape[1]):
        torch.addcmul(h[-1, :, n - 1], a[-1, :, n - 1], carried[:, n - 1], out=carried[:, n])
    h.addcmul_(a, carried)
    return h.permute(1, 2, 0, 3).flatten(1, 2)[:, :frames]


def _chunks(x: Tensor, size: int) -> Tensor:
    """Cut (B, T, C) into (size, B, chunks, C), so that what one step needs lies together; the last chunk ends in
    zeros."""
    batch, frames, width = x.shape
    whole, rest = divmod(frames, size)
    chunks = x.new_empty(size, batch, whole + (rest > 0), width)
    chunks.permute(1, 2, 0, 3)[:, :whole] = x[:, : whole * size].unflatten(1, (whole, size))
    if rest:
        chunks[:rest, :, whole] = x[:, whole * size :].transpose(0, 1)
        chunks[rest:, :, whole] = 0
    return chunks
