"""Gradual pruning: a round that prunes while it trains, ``strategy=gradual``."""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from lth.errors import UserError
from lth.lottery.rewinding import Init, Rewind, Ticket
from lth.lottery.setup.setting import build
from lth.lottery.strategy import Strategy, named
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

    def __call__(self, first: Ticket, density: float) -> Ticket:
        """The round that starts as round 0 does and ends at this density."""
        settings = {**asdict(self.curve), "density": density, **self.parts}
        keep = functools.partial(PruneGradually, curve=self.curve, last=density, prune=self.prune)
        return replace(first, keep=keep, density=density, key={**first.key, "gradual": settings})

    def prune(self, weights: Mapping[str, Tensor], mask: Mask, amount: float, step: int) -> Mask:
        """Prune this share of the survivors; what is random in it depends on the seed and the step only."""
        return self.strategy.prune_share(weights, mask, self.layers, amount, step)


def gradual(config: DictConfig, strategy: Strategy, layers: Layers, rewind: Rewind) -> Gradual | None:
    """What ``strategy.gradual`` says; None where rounds are pruned between trainings.

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
            f"strategy=gradual prunes by the weights of the moment, not by {type(strategy.criterion).__name__}: "
            "choose strategy/criterion=magnitude or random"
        )
    chosen = named(OmegaConf.to_container(config.strategy, resolve=True))
    parts = {part: chosen[part] for part in PARTS if part in chosen}
    return Gradual(build(config.strategy.gradual), strategy, layers, parts)
