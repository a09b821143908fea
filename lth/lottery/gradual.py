"""Gradual pruning: a round that prunes while it trains, ``strategy=gradual``."""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from omegaconf import DictConfig
from torch import Tensor

from lth.errors import UserError
from lth.lottery.iterative import Known
from lth.lottery.rewinding import Init, Rewind, RoundSpec, TrainedRound
from lth.lottery.setup.build import make
from lth.lottery.setup.plain import plain
from lth.lottery.strategy import Strategy
from lth.tickets.allocation import Layers
from lth.tickets.gradual import Cubic
from lth.tickets.mask import Mask
from lth.training.gradual import PruneGradually

#: The parts of a strategy that decide which weights go; of a gradual round they are in the key, not a mask.
PARTS = ("allocation", "criterion", "structure", "exclude")


@dataclass(frozen=True)
class Gradual:
    """Makes the rounds that are one training each, from round 0's start down to a density (Zhu & Gupta 2017)."""

    curve: Cubic
    strategy: Strategy
    layers: Layers
    parts: Mapping  # of the config

    words = "the density falls during each round"

    def __call__(self, number: int, previous: TrainedRound, known: Known) -> RoundSpec:
        """Return the round that starts as round 0 does and ends at the density of round ``number``."""
        first = known.round0
        density = self.strategy.densities(first.mask, self.layers, number)[-1]
        settings = {**asdict(self.curve), "density": density, **self.parts}
        mask_callback = functools.partial(PruneGradually, curve=self.curve, last=density, prune=self.prune)
        return replace(first, mask_callback=mask_callback, density=density, key={**first.key, "gradual": settings})

    def prune(self, weights: Mapping[str, Tensor], mask: Mask, amount: float, step: int) -> Mask:
        """Prune this share of the survivors; what is random in it depends on the seed and the step only."""
        return self.strategy.prune_fraction(weights, mask, self.layers, amount, step)


def gradual(config: DictConfig, strategy: Strategy, layers: Layers, rewind: Rewind) -> Gradual | None:
    """Make what ``strategy.gradual`` describes; None where rounds are pruned between trainings.

    Raises:
        UserError: it makes no sense, by itself or with the rest of the config.
    """
    if config.strategy.get("gradual") is None:
        return None
    if not isinstance(rewind, Init):
        raise UserError("strategy=gradual trains every round from the init; leave out strategy/rewind")
    if config.trainer.patience is not None:
        raise UserError(
            f"strategy=gradual must reach the end of its curve: leave out trainer.patience={config.trainer.patience}"
        )
    if strategy.criterion.needs or strategy.criterion.scored_at == "init":
        raise UserError(
            f"strategy/criterion={config.strategy.criterion.name} does not go with strategy=gradual, which prunes by "
            "the weights of the moment: choose strategy/criterion=magnitude or random"
        )
    chosen = plain(config.strategy)
    return Gradual(make(Cubic, config, "strategy.gradual"), strategy, layers, {part: chosen[part] for part in PARTS})
