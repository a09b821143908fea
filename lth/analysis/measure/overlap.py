"""How much two masks have in common, against what chance would give them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lth.tickets.mask import Mask


@dataclass(frozen=True)
class Packed:
    """A mask as bits: name -> (packed bits, weights kept, weights)."""

    layers: Mapping[str, tuple[np.ndarray, int, int]]

    @classmethod
    def of(cls, mask: Mask) -> "Packed":
        return cls(
            {
                name: (np.packbits(bits.numpy().reshape(-1)), mask.survivors()[name], bits.numel())
                for name, bits in mask.items()
            }
        )


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
        """Return how far it is from chance, 0, to the most they could share, 1: unlike the ratio, free of density."""
        room = self.most - self.expected
        return (self.both - self.expected) / room if room > 1e-9 * self.most else None

    @property
    def score(self) -> float | None:
        """Standard deviations above chance."""
        return (self.both - self.expected) / self.deviation if self.deviation else None


def overlap(first: Packed, second: Packed) -> Overlap | None:
    """Compare two masks over the same parameters; None where they are of other models."""
    sizes = [{name: size for name, (_, _, size) in one.layers.items()} for one in (first, second)]
    if sizes[0] != sizes[1]:
        return None
    both, either, most, expected, variance = 0, 0, 0, 0.0, 0.0
    for name, (a, kept, size) in first.layers.items():
        b, other, _ = second.layers[name]
        together = int(np.bitwise_count(_words(a) & _words(b)).sum())
        both, either, most = both + together, either + kept + other - together, most + min(kept, other)
        if size:
            expected += kept * other / size
        if size > 1:
            variance += kept * (other / size) * (1 - other / size) * (size - kept) / (size - 1)
    return Overlap(both, either, most, expected, math.sqrt(variance))


def _words(bits: np.ndarray) -> np.ndarray:
    """Eight bytes at a time where they divide evenly."""
    return bits.view(np.uint64) if len(bits) % 8 == 0 else bits
