"""Which weights go: a criterion scores every weight of a parameter, and the lowest scores are pruned.

Besides the weights a criterion may want evidence, a tensor for each parameter: what it ``needs`` is ``gradients``
of the loss, ``norms`` of the inputs, or ``flow``, the gradients of SynFlow's objective; `lth.lottery.evidence` gathers
them. It is ``scored_at`` "trained", on the weights of the round before, or at "init", on the values that round
starts from, and then it does not matter what was trained. With ``steps`` a round's pruning is done in that many
parts, the scores taken anew under the mask so far.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

Evidence = Mapping[str, Tensor]


class Criterion:
    """Score the weights of a parameter; the lowest scores are pruned. A subclass says how in `score`."""

    needs: ClassVar[str | None] = None
    scored_at: ClassVar[str] = "trained"
    steps: int = 1
    utterances: int | None = None

    def __call__(
        self, name: str, weight: Tensor, generator: Generator | None = None, evidence: Evidence | None = None
    ) -> Tensor:
        """Return the scores of a parameter's weights, of its shape; the higher are kept.

        Raises:
            ValueError: this criterion needs evidence, and there is none on the parameter.
        """
        if not self.needs:
            return self.score(weight, generator, None)
        if evidence is None or name not in evidence:
            raise ValueError(f"There is no evidence on {name}, and {type(self).__name__} cannot score it without.")
        return self.score(weight, generator, evidence[name].to(weight.device))

    def score(self, weight: Tensor, generator: Generator | None, evidence: Tensor | None) -> Tensor:
        """Return the scores of a parameter's weights, of its shape.

        Args:
            generator: the source of random numbers, on the CPU.
            evidence: of the parameter's shape, where the criterion ``needs`` any; else None.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Magnitude(Criterion):
    """Score a weight by |w|: the smallest go (Han et al. 2015; Frankle and Carbin 2019)."""

    def score(self, weight: Tensor, generator: Generator | None, evidence: Tensor | None) -> Tensor:
        return weight.abs()


@dataclass(frozen=True)
class Random(Criterion):
    """Score a weight by a uniform draw: the control that ignores what was trained.

    Raises:
        ValueError: there is no generator to draw from.
    """

    def score(self, weight: Tensor, generator: Generator | None, evidence: Tensor | None) -> Tensor:
        if generator is None:
            raise ValueError("Random pruning needs a seeded torch.Generator, so that a round can be repeated.")
        return torch.rand(weight.shape, generator=generator)


@dataclass(frozen=True)
class Saliency(Criterion):
    """Score a weight by |w g|, what the loss would change by, to first order, if it went (Molchanov et al. 2016).

    Args:
        utterances: of the train split, for g; None for as many as dev has.
    """

    utterances: int | None = None
    needs: ClassVar[str | None] = "gradients"

    def __post_init__(self):
        check_count("utterances", self.utterances)

    def score(self, weight: Tensor, generator: Generator | None, evidence: Tensor | None) -> Tensor:
        assert evidence is not None  # `__call__` has made sure of it
        return (weight * evidence).abs()


@dataclass(frozen=True)
class Snip(Saliency):
    """Score a weight by |w g| before training (Lee et al. 2019, SNIP, eq. 6, without its normalisation).

    Args:
        steps: 1 is SNIP; more of them are iterative SNIP (de Jorge et al. 2021).
    """

    steps: int = 1
    scored_at: ClassVar[str] = "init"

    def __post_init__(self):
        check_count("utterances", self.utterances)
        check_count("steps", self.steps)


@dataclass(frozen=True)
class SynFlow(Criterion):
    """Score a weight by |w dR/dw| before training and without data (Tanaka et al. 2020, algorithm 1).

    R is the flow through the network of absolute weights.

    Args:
        steps: parts of a round's pruning, the density falling exponentially.
    """

    steps: int = 100
    needs: ClassVar[str | None] = "flow"
    scored_at: ClassVar[str] = "init"

    def __post_init__(self):
        check_count("steps", self.steps)

    def score(self, weight: Tensor, generator: Generator | None, evidence: Tensor | None) -> Tensor:
        assert evidence is not None  # `__call__` has made sure of it
        return (weight * evidence).abs()


@dataclass(frozen=True)
class Wanda(Criterion):
    """Score a weight by |w| times the 2-norm of the feature it weighs (Sun et al. 2023, eq. 1).

    Args:
        utterances: of the train split, for the norms; None for as many as dev has.
    """

    utterances: int | None = None
    needs: ClassVar[str | None] = "norms"

    def __post_init__(self):
        check_count("utterances", self.utterances)

    def score(self, weight: Tensor, generator: Generator | None, evidence: Tensor | None) -> Tensor:
        assert evidence is not None  # `__call__` has made sure of it
        return weight.abs() * evidence


def check_count(name: str, value: int | None) -> None:
    """Raise ValueError unless `value` is a whole number of at least 1, or None."""
    if value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{name} is a whole number of at least 1, not {value!r}.")
