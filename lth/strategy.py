"""How an experiment prunes: a schedule, an allocation and a criterion, chosen in ``conf/strategy``."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from omegaconf import DictConfig
from torch import Tensor

from lth.errors import Infeasible
from lth.setting import build
from lth.tickets.allocation import Layers, rehearse
from lth.tickets.mask import Mask
from lth.tickets.prune import Allocation, Criterion, prune
from lth.tickets.schedule import Schedule, rounds_to


@dataclass(frozen=True)
class Strategy:
    """Turns the trained weights of one round into the mask of the next."""

    schedule: Schedule
    allocation: Allocation
    criterion: Criterion
    seed: int

    @classmethod
    def of(cls, config: DictConfig) -> "Strategy":
        """The strategy of an experiment's config; UserError where it makes no sense."""
        parts = {part: build(config.strategy[part]) for part in ("schedule", "allocation", "criterion")}
        return cls(**parts, seed=config.seed)

    def rounds(self, rounds: int, target: float | None, density: float = 1.0) -> int:
        """Pruned rounds to play from this density on: ``rounds``, or as many as a density of ``target`` needs."""
        if target is None:
            return rounds
        try:
            return rounds_to(self.schedule, target if density == 1 else min(target / density, 1.0))
        except ValueError as error:
            raise Infeasible(f"target={target}: {error}") from error

    def densities(self, first: Mask, layers: Layers, rounds: int) -> list[float]:
        """The density after each pruned round, counted from round 0's mask before anything is trained."""
        amounts = [self.schedule.amount(number) for number in range(1, rounds + 1)]
        try:
            shares = rehearse(self.allocation, amounts, first.survivors(), layers)
            return [first.density * share for share in shares]
        except ValueError as error:
            raise Infeasible(f"strategy: {error}") from error

    def prune(self, weights: dict[str, Tensor], mask: Mask, layers: Layers, number: int) -> Mask:
        """The mask of round ``number``; what is random in it depends on the seed and the round only."""
        return self.prune_share(weights, mask, layers, self.schedule.amount(number), number)

    def prune_share(
        self, weights: Mapping[str, Tensor], mask: Mask, layers: Layers, amount: float, number: int
    ) -> Mask:
        """The mask less this share of its survivors; ``number`` seeds what is random."""
        return prune(
            weights,
            mask,
            layers,
            amount=amount,
            allocation=self.allocation,
            criterion=self.criterion,
            generator=torch.Generator().manual_seed(self.seed * 100_003 + number),
        )
