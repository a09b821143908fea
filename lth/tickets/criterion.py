"""Which weights go: a criterion scores every weight of a parameter, and the lowest scores are pruned."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Magnitude:
    """|w|: the smallest weights go (Han et al. 2015; Frankle and Carbin 2019)."""

    def __call__(self, name: str, weight: Tensor, generator: Generator | None) -> Tensor:
        return weight.abs()


@dataclass(frozen=True)
class Random:
    """A uniform draw for every weight: the control that ignores what was trained.

    Raises:
        ValueError: there is no generator to draw from.
    """

    def __call__(self, name: str, weight: Tensor, generator: Generator | None) -> Tensor:
        if generator is None:
            raise ValueError("Random pruning needs a seeded torch.Generator, so that a round can be repeated.")
        return torch.rand(weight.shape, generator=generator)
