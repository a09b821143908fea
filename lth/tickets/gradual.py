"""Pruning while a network trains: the density falls along a curve instead of from round to round."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cubic:
    """Lower the density fast at first, while much is redundant, and slowly at the end (Zhu and Gupta 2017, eq. 1).

    Args:
        begin, end: shares of the training between which weights are pruned.
        every: optimiser steps from one pruning to the next.

    Raises:
        ValueError: not 0 <= begin < end <= 1, or `every` is less than one step.
    """

    begin: float
    end: float
    every: int

    def __post_init__(self):
        numbers = all(isinstance(share, int | float) for share in (self.begin, self.end))
        if not (numbers and 0 <= self.begin < self.end <= 1):
            raise ValueError(
                f"begin and end are shares of the training with 0 <= begin < end <= 1, not {self.begin!r} and "
                f"{self.end!r}."
            )
        if self.every < 1:
            raise ValueError(f"every is a number of steps, at least 1, not {self.every!r}.")

    def density(self, progress: float, first: float, last: float) -> float:
        """Return the density at a progress between 0 and 1: `first` up to `begin`, `last` from `end` on."""
        along = min(max((progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return last + (first - last) * (1 - along) ** 3

    def due(self, step: int, progress: float) -> bool:
        """Return whether weights are pruned after this optimiser step: every so often, and once the end is reached."""
        return progress >= self.end or (progress >= self.begin and step % self.every == 0)


def amount_to(density: float, kept: int, total: int) -> float:
    """Return the share of `kept` survivors to prune so that ``round(density * total)`` of `total` weights remain.

    Raises:
        ValueError: nothing would remain.
    """
    remain = round(density * total)
    if remain < 1 or not math.isfinite(density):
        raise ValueError(f"A density of {density:.2g} leaves none of {total} weights.")
    return max(kept - remain, 0) / kept
