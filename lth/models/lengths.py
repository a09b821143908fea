"""Working with padded batches so that padding never changes an utterance's output."""

from typing import TypeVar, cast

import torch
from torch import Tensor, nn

#: A number of frames, or a tensor of such numbers.
Length = TypeVar("Length", int, Tensor)


def valid_frames(lengths: Tensor, frames: int) -> Tensor:
    """Return a (B, T) bool tensor for (B,) lengths, True where a frame belongs to the utterance."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def reverse_within(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each sequence of a (B, T, C) batch within its own length; its padding stays where it is."""
    steps = torch.arange(x.shape[1], device=x.device)
    index = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return x.gather(1, index[..., None].expand_as(x))


class FrameBatchNorm(nn.BatchNorm1d):
    """Batch normalisation whose statistics are taken over real frames only.

    The reference code lets padded frames into the statistics, so that an utterance's training signal depends
    on its neighbours' lengths. Takes (B, T, C) or (B, T, C, F); statistics are per channel C. Padding comes
    out as zero.
    """

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Normalise (B, T, C) or (B, T, C, F), real where (B, T) ``valid`` is True."""
        if not self.training:
            shape = (1, 1, -1) + (1,) * (x.dim() - 3)
            mean, variance = cast(Tensor, self.running_mean), cast(Tensor, self.running_var)
            scale = self.weight * (variance + self.eps).rsqrt()
            shift = self.bias - mean * scale
            y = x * scale.view(shape) + shift.view(shape)
            return y * valid.view(*valid.shape, *(1,) * (x.dim() - 2))
        y = x.new_zeros(x.shape)
        y[valid] = super().forward(x[valid])
        return y


class OverTokens(nn.Module):
    """A module that runs along tokens, not frames: called with (B, L) tokens and their (B,) lengths first."""
