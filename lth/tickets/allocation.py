"""Where the pruned weights are taken from.

An allocation turns the amount of a round into pools: some parameters, and the number of weights they lose
together; within a pool the criterion decides. `layers` lists the prunable parameters' names layer by layer in
the model's order, and `survivors` says how many weights each of them has left.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

Pool = tuple[tuple[str, ...], int]
Layers = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Global:
    """One pool of everything: the weakest weights go, wherever they are."""

    def __call__(self, survivors: Mapping[str, int], layers: Layers, amount: float) -> list[Pool]:
        names = tuple(name for layer in layers for name in layer)
        return [(names, round(amount * sum(survivors[name] for name in names)))]


@dataclass(frozen=True)
class Layerwise:
    """Consecutive groups of equally many layers, front to back, pruned in proportion to their ratios.

    With `normalize` group g prunes ``ratios[g] * c * amount``, c such that the whole model loses exactly
    ``round(amount * survivors)`` weights. Without it it prunes ``ratios[g] * amount``, rounded for every
    parameter as torch.nn.utils.prune does; since groups of as many layers do not hold as many weights, the
    whole model then loses another share than `amount`.

    Raises:
        ValueError: `ratios` is empty or holds one that is not positive, there are more of them than layers,
            or one asks a group for more weights than it has left.
    """

    ratios: Sequence[float]
    normalize: bool = True

    def __post_init__(self):
        ratios = self.ratios if isinstance(self.ratios, Iterable) else (self.ratios,)
        object.__setattr__(self, "ratios", tuple(ratios))
        if not self.ratios or not all(isinstance(r, int | float) and 0 < r < float("inf") for r in self.ratios):
            raise ValueError(f"ratios must be one or more positive numbers, not {list(self.ratios)}.")

    def __call__(self, survivors: Mapping[str, int], layers: Layers, amount: float) -> list[Pool]:
        groups = [[name for layer in group for name in layer] for group in split(layers, len(self.ratios))]
        ratio = {name: Fraction(r) for r, group in zip(self.ratios, groups, strict=True) for name in group}
        total = round(amount * sum(survivors[name] for name in ratio))
        weighted = sum(ratio[name] * survivors[name] for name in ratio)
        # Fractions, so that the shares add up to the total with no rounding of their own.
        unit = total / weighted if self.normalize and weighted else Fraction(amount)
        for g, (r, group) in enumerate(zip(self.ratios, groups, strict=True), start=1):
            share = float(r * unit)
            if share > 1 and any(survivors[name] for name in group):
                raise ValueError(
                    f"Ratio {r:g} would prune {share:.1%} of group {g} of {len(groups)} "
                    f"(from {group[0]} to {group[-1]}): lower that ratio or the amount."
                )
        if self.normalize:
            counts = apportion(total, {name: ratio[name] * survivors[name] * unit for name in ratio})
        else:
            counts = {
                name: round(r * amount * survivors[name])
                for r, group in zip(self.ratios, groups, strict=True)
                for name in group
            }
        return [((name,), count) for name, count in counts.items()]


def split(layers: Layers, groups: int) -> list[Layers]:
    """`layers` in consecutive groups, the first ones a layer longer where they do not divide evenly.

    Raises:
        ValueError: there are fewer layers than groups.
    """
    if groups > len(layers):
        raise ValueError(f"{groups} ratios need at least {groups} prunable layers, and the model has {len(layers)}.")
    size, longer = divmod(len(layers), groups)
    starts = [g * size + min(g, longer) for g in range(groups + 1)]
    return [layers[start:stop] for start, stop in pairwise(starts)]


def apportion(total: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    """`shares`, which sum to `total`, as whole numbers by the largest remainder; ties go to the first."""
    counts = {name: int(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: counts[name] - shares[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def rehearse(allocation, amounts: Iterable[float], sizes: Mapping[str, int], layers: Layers) -> list[float]:
    """The density after each round by counting alone, so that what cannot work is refused before training.

    Exact for `Global` and `Layerwise`, whose totals do not depend on which weights of a pool go.

    Args:
        allocation: how each round's amount is spread.
        amounts: the share of the survivors that each round prunes.
        sizes: the weights each prunable parameter starts with.
        layers: their names by layer.

    Raises:
        ValueError: the allocation refuses a round.
    """
    survivors, total, densities = dict(sizes), sum(sizes.values()), []
    for amount in amounts:
        for names, count in allocation(survivors, layers, amount):
            for name in names:
                taken = min(count, survivors[name])
                survivors[name] -= taken
                count -= taken
        densities.append(sum(survivors.values()) / total)
    return densities
