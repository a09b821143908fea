"""How much two masks have in common, against what chance would give them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lth.tickets.mask import Mask


@dataclass(frozen=True)
class Packed:
    """A mask as bits, an eighth of its size: name -> (bits in words of 64, weights kept, shape)."""

    layers: Mapping[str, tuple[np.ndarray, int, tuple[int, ...]]]

    @classmethod
    def of(cls, mask: Mask) -> "Packed":
        kept = mask.survivors()
        return cls({name: (_words(bits.numpy()), kept[name], tuple(bits.shape)) for name, bits in mask.items()})


@dataclass(frozen=True)
class Overlap:
    """Weights kept in both masks: seen, and expected of masks drawn at random with the same density in every layer.

    `most` is what they could share at most: in every layer, all that the sparser keeps. `deviation` is the standard
    deviation under chance: hypergeometric in every layer, layers independent.
    """

    both: int
    either: int
    most: int
    expected: float
    deviation: float

    @property
    def jaccard(self) -> float:
        """Kept in both / kept in either."""
        return self.both / self.either if self.either else 1.0

    @property
    def ratio(self) -> float | None:
        """Kept in both / expected by chance; 1 is chance."""
        return self.both / self.expected if self.expected else None

    @property
    def share(self) -> float | None:
        """How far from chance, 0, to the most that they could share, 1; unlike the ratio it does not know density."""
        room = self.most - self.expected
        return (self.both - self.expected) / room if room > 0 else None

    @property
    def score(self) -> float | None:
        """Standard deviations above chance."""
        return (self.both - self.expected) / self.deviation if self.deviation else None


def overlap(first: Packed, second: Packed) -> Overlap | None:
    """Of two masks over the same parameters; None where they are of other models."""
    shapes = [{name: shape for name, (_, _, shape) in one.layers.items()} for one in (first, second)]
    if shapes[0] != shapes[1]:
        return None
    both, either, most, expected, variance = 0, 0, 0, 0.0, 0.0
    for name, (a, kept, shape) in first.layers.items():
        b, other, _ = second.layers[name]
        size, together = math.prod(shape), int(np.bitwise_count(a & b).sum())
        both, either, most = both + together, either + kept + other - together, most + min(kept, other)
        if size:
            expected += kept * other / size
        if size > 1:
            variance += kept * (other / size) * (1 - other / size) * (size - kept) / (size - 1)
    return Overlap(both, either, most, expected, math.sqrt(variance))


def _words(bits: np.ndarray) -> np.ndarray:
    """The bits of a bool array as uint64, the last ones filled up with zeros."""
    packed = np.packbits(bits.reshape(-1))
    return np.pad(packed, (0, -len(packed) % 8)).view(np.uint64)
