"""How an experiment prunes: a choice on each axis of `lth.tickets`, made in ``conf/strategy``."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from lth.errors import Infeasible, UserError
from lth.lottery.setup.build import build
from lth.tickets.allocation import ERK, Allocation, Excluding, Global, Layers, Layerwise, matching, simulate
from lth.tickets.criterion import Criterion, Evidence
from lth.tickets.mask import Mask
from lth.tickets.prune import prune
from lth.tickets.schedule import Curve, Schedule
from lth.tickets.structure import Structure, Weights, shapes_of

Gather = Callable[[Criterion, Mapping[str, Tensor], Mask], Evidence]

#: What each part of the config makes, and one of its choices.
PARTS = {
    "schedule": (Schedule | Curve, "constant"),
    "allocation": (Global | Layerwise | ERK, "global"),
    "criterion": (Criterion, "magnitude"),
    "structure": (Structure, "weights"),
}


@dataclass(frozen=True)
class Strategy:
    """Turns the trained weights of one round into the mask of the next.

    Args:
        exclude: patterns of the parameters that stay as they are; see `lth.tickets.allocation.Excluding`.
        start: density of round 0, which is 1 unless that is somebody's ticket.
    """

    schedule: Schedule | Curve
    allocation: Allocation
    criterion: Criterion
    structure: Structure
    exclude: tuple[str, ...]
    seed: int
    start: float = 1.0

    @classmethod
    def of(cls, config: DictConfig) -> "Strategy":
        """Make the strategy of an experiment's config; UserError where it makes no sense."""
        parts = {name: part(config, name) for name in PARTS}
        exclude = patterns(config.strategy.exclude)
        if exclude:
            parts["allocation"] = Excluding(exclude, parts["allocation"])
        return cls(**parts, exclude=exclude, seed=config.seed)

    def starting_at(self, density: float) -> "Strategy":
        """Return the same strategy for a round 0 of this density."""
        return replace(self, start=density)

    def rounds(self, rounds: int, target: float | None, density: float = 1.0) -> int:
        """Return the number of pruned rounds from this density on: what the schedule, ``target`` or ``rounds`` says."""
        try:
            return self.schedule.rounds(rounds, target, density)
        except ValueError as error:
            raise Infeasible(f"{f'target={target}' if target else 'strategy.schedule'}: {error}") from error

    def fraction_to_prune(self, number: int, kept: int, total: int) -> float:
        """Return the fraction of ``kept`` survivors that round ``number`` prunes, of ``total`` prunable weights.

        Where a density is meant, be it by the schedule or because whole groups seldom come to the very count that
        was asked for, what one round leaves is made good by the next.
        """
        if isinstance(self.schedule, Schedule) and isinstance(self.structure, Weights):
            return self.schedule.amount(number)
        goal = round(self.schedule.density(number, self.start) * total)
        return max(kept - goal, 0) / kept if kept else 0.0

    def densities(self, first: Mask, layers: Layers, rounds: int) -> list[float]:
        """Return the density after each pruned round, counted from round 0's mask before anything is trained.

        Where whole groups go, the density that the rounds stay just above.
        """
        room = {name: self.structure.max_prunable(bits) for name, bits in first.items()}
        share = partial(self.fraction_to_prune, total=first.total)
        try:
            matching(self.exclude, list(first))
            shares = simulate(self.allocation, share, rounds, first.survivors(), layers, shapes_of(first), room)
            return [first.density * share for share in shares]
        except ValueError as error:
            raise Infeasible(f"strategy: {error}") from error

    def prune(
        self,
        weights: Mapping[str, Tensor],
        mask: Mask,
        layers: Layers,
        number: int,
        gather: Gather | None = None,
    ) -> Mask:
        """Return the mask of round ``number``; what is random in it depends on the seed and the round only.

        Args:
            weights: those the criterion is scored at.
            gather: (criterion, weights, mask) -> the evidence that the criterion needs, under this mask.
        """
        kept, steps = mask.kept, self.criterion.steps
        amount = self.fraction_to_prune(number, kept, mask.total)
        goal = 1 - round(amount * kept) / kept if kept else 1.0
        for step in range(1, steps + 1):
            if steps > 1:
                amount = max(mask.kept - round(kept * goal ** (step / steps)), 0) / mask.kept
            evidence = gather(self.criterion, weights, mask) if gather and self.criterion.needs and amount else None
            mask = self.prune_fraction(weights, mask, layers, amount, number, evidence)
        return mask

    def prune_fraction(
        self,
        weights: Mapping[str, Tensor],
        mask: Mask,
        layers: Layers,
        amount: float,
        number: int,
        evidence: Evidence | None = None,
    ) -> Mask:
        """Return the mask less this share of its survivors; ``number`` seeds what is random."""
        if not amount:
            return mask
        return prune(
            weights,
            mask,
            layers,
            amount=amount,
            allocation=self.allocation,
            criterion=partial(self.criterion, evidence=evidence),
            structure=self.structure,
            generator=torch.Generator().manual_seed(self.seed * 100_003 + number),
        )


def part(config: DictConfig, name: str) -> Any:
    """Make what ``strategy.NAME`` describes; UserError where that is no such part of a strategy."""
    chosen, (kind, example) = config.strategy.get(name), PARTS[name]
    made = build(config, f"strategy.{name}") if OmegaConf.is_dict(chosen) else None
    if not isinstance(made, kind):
        raise UserError(f"strategy.{name}={chosen} is none: choose one of the group, such as strategy/{name}={example}")
    return made


def patterns(exclude: object) -> tuple[str, ...]:
    """Return the patterns of ``strategy.exclude``, one or several."""
    found = [exclude] if isinstance(exclude, str) else exclude
    if not isinstance(found, Iterable) or not all(isinstance(pattern, str) and pattern for pattern in found):
        raise UserError(f"strategy.exclude={exclude} is no list of parameters or modules: give names, such as [output]")
    return tuple(found)
