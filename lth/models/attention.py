"""Attention and what stands beside it in a Transformer (Vaswani et al. 2017), for padded batches."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lth.models.lengths import valid_frames

#: Keys and values, each (B, heads, T, units / heads).
KeyValue = tuple[Tensor, Tensor]


def key_mask(lengths: Tensor, frames: int) -> Tensor:
    """Return a (B, 1, 1, T) bool tensor for (B,) lengths, True where a key may be looked at."""
    return valid_frames(lengths, frames)[:, None, None]


class Positions(nn.Module):
    """A layer that scales its input by the root of its width, as embeddings are, and adds sinusoids (section 3.5)."""

    def __init__(self, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """Add the positions from ``first`` on to (B, T, units)."""
        units = x.shape[-1]
        places = torch.arange(first, first + x.shape[1], device=x.device, dtype=torch.float32)
        rates = torch.exp(torch.arange(0, units, 2, device=x.device) * (-math.log(10_000) / units))
        angles = places[:, None] * rates
        sinusoids = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :units]
        return self.dropout(x * math.sqrt(units) + sinusoids)


class Attention(nn.Module):
    """Attention by scaled dot products in several heads (section 3.2).

    The keys have no bias: it would add the same to what every key of a query scores, which the softmax takes away.

    Args:
        units: of queries, keys, values and the output.
        dropout: of the attention's weights.

    Raises:
        ValueError: ``heads`` does not divide ``units``.
    """

    def __init__(self, units: int, heads: int, dropout: float):
        super().__init__()
        if heads < 1 or units % heads:
            raise ValueError(f"units={units} cannot be cut into heads={heads} of the same size")
        self.heads = heads
        self.q = nn.Linear(units, units)
        self.k = nn.Linear(units, units, bias=False)
        self.v = nn.Linear(units, units)
        self.out = nn.Linear(units, units)
        self.dropout = nn.Dropout(dropout)

    def key_value(self, x: Tensor) -> KeyValue:
        """Map (B, T, units) to the keys and values that ``forward`` looks at."""
        return self._split(self.k(x)), self._split(self.v(x))

    def forward(self, x: Tensor, key_value: KeyValue, mask: Tensor | None = None, *, causal: bool = False) -> Tensor:
        """Map (B, Q, units) queries to (B, Q, units).

        Args:
            key_value: of the frames that the queries look at, by ``key_value``.
            mask: see ``key_mask``; None: all keys may be looked at.
            causal: the queries' place n looks at the keys up to n.
        """
        dropout = self.dropout.p if self.dropout.training else 0.0
        q = self._split(self.q(x))
        attended = F.scaled_dot_product_attention(q, *key_value, attn_mask=mask, dropout_p=dropout, is_causal=causal)
        return self.out(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them (section 3.3)."""

    def __init__(self, units: int, hidden: int, dropout: float):
        super().__init__()
        self.up = nn.Linear(units, hidden)
        self.down = nn.Linear(hidden, units)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., units) to (..., units)."""
        return self.down(self.dropout(F.relu(self.up(x))))
