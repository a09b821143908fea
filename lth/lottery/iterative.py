"""The question that every round after the first begins with, which ticket comes next, and its usual answer."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lth.lottery.evidence import gather
from lth.lottery.rewinding import Rewind, RoundSpec, TrainedRound, TrainUntil
from lth.lottery.setup.setting import ExperimentSetup
from lth.lottery.strategy import Strategy
from lth.tickets.allocation import Layers
from lth.tickets.mask import Mask


@dataclass(frozen=True)
class Known:
    """What a round's ticket may be made from.

    Args:
        setting: to run the model, where a criterion asks for gradients or activations.
        round0: the ticket of the first round.
        mask: number of a round -> its mask, where an earlier call of the experiment has made it.
        train_until: trains a part of round 0, to be rewound to.
    """

    setting: ExperimentSetup
    round0: RoundSpec
    mask: Callable[[int], Mask | None]
    train_until: TrainUntil


class Pruning(Protocol):
    """Makes the ticket of a round from the round before it; `words` say what is special about it, if anything."""

    @property
    def words(self) -> str: ...

    def __call__(self, number: int, previous: TrainedRound, known: Known) -> RoundSpec: ...


@dataclass(frozen=True)
class Iterative:
    """Prunes the weights that the round before has trained, and rewinds what survives (Frankle & Carbin 2019)."""

    strategy: Strategy
    layers: Layers
    rewind: Rewind

    @property
    def words(self) -> str:
        return self.rewind.words

    def __call__(self, number: int, previous: TrainedRound, known: Known) -> RoundSpec:
        mask = known.mask(number) or self.prune(number, previous, known)
        return self.rewind(mask, known.round0, previous, known.train_until)

    def prune(self, number: int, previous: TrainedRound, known: Known) -> Mask:
        """Return the mask of round ``number``, made from the weights that the criterion is scored at."""
        scored = known.round0.weights if self.strategy.criterion.scored_at == "init" else previous.weights
        evidence = functools.partial(gather, known.setting)
        return self.strategy.prune(scored(), previous.mask, self.layers, number, evidence)
