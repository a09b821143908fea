"""Where the pruned weights are taken from.

An allocation turns the amount of a round into pools: some parameters, and the number of weights they lose
together; within a pool the criterion decides. `layers` lists the prunable parameters' names layer by layer in
the model's order, `survivors` says how many weights each of them has left, and `shapes` what shape it has.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import pairwise
from math import prod

from lth.tickets.cluster import Shapes

Pool = tuple[tuple[str, ...], int]
Layers = Sequence[Sequence[str]]
Allocation = Callable[[Mapping[str, int], Layers, float, Shapes], list[Pool]]


@dataclass(frozen=True)
class Global:
    """Take the weights from one pool of everything: the weakest go, wherever they are."""

    def __call__(
        self, survivors: Mapping[str, int], layers: Layers, amount: float, shapes: Shapes | None = None
    ) -> list[Pool]:
        names = tuple(name for layer in layers for name in layer)
        return [(names, round(amount * sum(survivors[name] for name in names)))]


@dataclass(frozen=True)
class Layerwise:
    """Prune consecutive groups of equally many layers, front to back, in proportion to their ratios.

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

    def __call__(
        self, survivors: Mapping[str, int], layers: Layers, amount: float, shapes: Shapes | None = None
    ) -> list[Pool]:
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


def uniform() -> Layerwise:
    """Make the allocation by which every parameter loses the same share."""
    return Layerwise([1])


@dataclass(frozen=True)
class ERK:
    """Give each parameter a density in proportion to sum(shape) / prod(shape).

    Erdos-Renyi-kernel (Evci et al. 2020, RigL, section 3).

    Small and narrow parameters stay denser. What a parameter would keep beyond its survivors is spread over the
    others by the same rule, so that the whole model loses exactly ``round(amount * survivors)`` weights; since
    what was pruned does not come back, every round of a lottery has the ERK densities of its own total.
    An LSTM's stacked gates are one matrix.
    """

    def __call__(self, survivors: Mapping[str, int], layers: Layers, amount: float, shapes: Shapes) -> list[Pool]:
        names = [name for layer in layers for name in layer]
        total = sum(survivors[name] for name in names)
        goal = total - round(amount * total)
        weight = {name: sum(shapes[name]) if survivors[name] else 0 for name in names}
        # In the order in which they reach their limit as the common factor grows.
        open_names = sorted((n for n in names if weight[n]), key=lambda n: Fraction(survivors[n], weight[n]))
        kept, left = dict.fromkeys(names, Fraction(0)), Fraction(goal)
        while open_names:
            factor = left / sum(weight[name] for name in open_names)
            if factor * weight[open_names[0]] <= survivors[open_names[0]]:
                kept |= {name: factor * weight[name] for name in open_names}
                break
            full = open_names.pop(0)
            kept[full] = Fraction(survivors[full])
            left -= survivors[full]
        counts = apportion(goal, kept)
        return [((name,), survivors[name] - counts[name]) for name in names]


@dataclass(frozen=True)
class Excluding:
    """Leave some parameters as they are; the others lose what the whole model is to lose.

    Args:
        patterns: a parameter's name, a module's (``convs.0`` is all that begins with ``convs.0.``), or a shell
            pattern (``*.weight_hh*``).
        allocation: of the others.

    Raises:
        ValueError: a pattern matches no parameter, or more is asked of the others than they have left.
    """

    patterns: Sequence[str]
    allocation: Allocation

    def __call__(self, survivors: Mapping[str, int], layers: Layers, amount: float, shapes: Shapes) -> list[Pool]:
        left_alone = matching(self.patterns, [name for layer in layers for name in layer])
        rest = [[name for name in layer if name not in left_alone] for layer in layers]
        rest = [layer for layer in rest if layer]
        remaining = sum(survivors[name] for layer in rest for name in layer)
        count = round(amount * sum(survivors[name] for layer in layers for name in layer))
        if count > remaining:
            raise ValueError(
                f"exclude leaves {remaining} weights to prune, and {count} are to go: exclude less or prune less."
            )
        return self.allocation(survivors, rest, count / remaining, shapes) if count else []


def matching(patterns: Iterable[str], names: Sequence[str]) -> set[str]:
    """Return the names that a pattern of `Excluding` means.

    Raises:
        ValueError: a pattern means none of them.
    """
    matched: set[str] = set()
    for pattern in patterns:
        by_pattern = {name for name in names if name == pattern or name.startswith(f"{pattern}.")}
        by_pattern |= {name for name in names if fnmatchcase(name, pattern)}
        if not by_pattern:
            raise ValueError(f"exclude: {pattern} is none of the prunable parameters {', '.join(names)}.")
        matched |= by_pattern
    return matched


def split(layers: Layers, groups: int) -> list[Layers]:
    """Return `layers` in consecutive groups, the first ones a layer longer where they do not divide evenly.

    Raises:
        ValueError: there are fewer layers than groups.
    """
    if groups > len(layers):
        raise ValueError(f"{groups} ratios need at least {groups} prunable layers, and the model has {len(layers)}.")
    size, longer = divmod(len(layers), groups)
    starts = [g * size + min(g, longer) for g in range(groups + 1)]
    return [layers[start:stop] for start, stop in pairwise(starts)]


def apportion(total: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    """Round `shares`, which sum to `total`, to whole numbers by the largest remainder; ties go to the first."""
    counts = {name: int(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: counts[name] - shares[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def simulate(
    allocation: Allocation,
    fraction_to_prune: Callable[[int, int], float],
    rounds: int,
    survivors: Mapping[str, int],
    layers: Layers,
    shapes: Shapes,
    max_prunable: Mapping[str, int],
) -> list[float]:
    """Return the share of round 0's weights left after each round, by counting alone.

    What cannot work is refused before training.

    Exact where single weights are pruned: totals do not depend on which weights of a pool go.

    Args:
        allocation: how each round's amount is spread.
        fraction_to_prune: (round, survivors of the round before) -> the share of those that the round prunes.
        rounds: how many.
        survivors: the weights each prunable parameter starts with.
        layers: their names by layer.
        shapes: of the parameters.
        max_prunable: how many of its weights each parameter may lose in all.

    Raises:
        ValueError: the allocation refuses a round, or asks for more weights than may go.
    """
    left, prunable, densities = dict(survivors), dict(max_prunable), []
    for number in range(1, rounds + 1):
        amount = fraction_to_prune(number, sum(left.values()))
        for names, count in allocation(left, layers, amount, shapes) if amount else []:
            free = sum(prunable[name] for name in names)
            if count > free:
                where = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
                floor = (sum(left[name] for name in names) - free) / sum(prod(shapes[name]) for name in names)
                raise ValueError(
                    f"round {number} is to prune {count} weights of {where}, and the structure lets {free} go, "
                    f"down to a density of {floor:.2%}: prune less or play fewer rounds."
                )
            for name in names:
                taken = min(count, prunable[name])
                left[name] -= taken
                prunable[name] -= taken
                count -= taken
        densities.append(sum(left.values()) / sum(survivors.values()))
    return densities
