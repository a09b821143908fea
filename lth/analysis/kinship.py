"""What the masks of two lotteries have in common, and which difference between the lotteries changes them."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from lth.analysis.document import Column, Heat, Table
from lth.analysis.experiments import Experiment, Round
from lth.analysis.labels import SILENT
from lth.analysis.overlap import Overlap, Packed, overlap
from lth.analysis.sections.noise import train_noise

#: Densities this close, as a ratio, count as the same.
CLOSE = 1.05
NOTE = (
    "Weights kept in both masks over what two random masks with the same densities in every layer would share (1 is "
    "chance), at the rounds where two lotteries are as dense as each other, nearest to their tickets."
)
#: Of a config, what is neither of the other aspects.
PARTS = ("model", "features", "augment", "trainer")
#: What two lotteries may differ in, and what says whether they do.
ASPECTS: Mapping[str, Callable[[Experiment], object]] = {
    "init and seed": lambda one: (one.about.get("init"), one.seed),
    "strategy": lambda one: _stated(one.config.get("strategy") or {}),
    "noise": lambda one: train_noise(one.config),
    "corpus": lambda one: one.setting[:2],
    "setting": lambda one: [
        _stated(one.config.get(part) or {}) for part in ("model", "features", "augment", "trainer")
    ],
}


@dataclass(frozen=True)
class Pair:
    """One round of each of two lotteries, and what their masks share."""

    experiments: tuple[Experiment, Experiment]
    rounds: tuple[Round, Round]
    shared: Overlap

    @property
    def differ(self) -> tuple[str, ...]:
        """The aspects in which the lotteries differ."""
        a, b = self.experiments
        return tuple(name for name, of in ASPECTS.items() if of(a) != of(b))


def pairs(experiments: Sequence[Experiment], masks: Callable[[Round], Packed | None]) -> list[Pair]:
    """Every two lotteries with masks over the same parameters, at the densities that `matched` chooses."""
    found = []
    for a, b in combinations(experiments, 2):
        rounds = matched(a, b)
        packed = [masks(one) for one in rounds] if rounds else []
        shared = None if not packed or None in packed else overlap(*packed)
        if shared is not None:
            found.append(Pair((a, b), rounds, shared))
    return found


def matched(first: Experiment, second: Experiment) -> tuple[Round, Round] | None:
    """A pruned round of each: as dense as each other (within 5 %, or else as near as can be), near both tickets."""
    choices = [(a, b) for a in _pruned(first) for b in _pruned(second)]
    if not choices or not (first.ticket and second.ticket):
        return None

    def gap(pair: tuple[Round, Round]) -> float:
        return abs(math.log(pair[0].density / pair[1].density))

    def away(pair: tuple[Round, Round]) -> float:
        return abs(math.log(pair[0].density * pair[1].density / (first.ticket.density * second.ticket.density)))

    close = [pair for pair in choices if gap(pair) <= math.log(CLOSE)] or [min(choices, key=gap)]
    return min(close, key=lambda pair: (round(away(pair), 6), gap(pair)))


def heat(found: Sequence[Pair], names: Mapping[str, str]) -> Heat:
    """Times chance, lottery by lottery.

    Args:
        names: by the experiments' ids, in their order.
    """
    ratios = {}
    for pair in found:
        a, b = (one.id for one in pair.experiments)
        ratios[a, b] = ratios[b, a] = pair.shared.ratio
    values = [[ratios.get((a, b)) for b in names] for a in names]
    labels = list(names.values())
    return Heat("overlap", "Mask overlap against chance", labels, labels, values, "number", middle=1.0, note=NOTE)


def pair_table(found: Sequence[Pair], names: Mapping[str, str]) -> Table:
    """Every pair with its rounds, those that share most first."""
    columns = [Column("mask"), Column("other mask"), Column("differ in"), Column("densities' ratio", "number")]
    columns += [Column("Jaccard", "percent"), Column("times chance", "number")]
    columns += [Column("of what is possible", "percent"), Column("deviations above chance", "number")]
    rows = []
    for pair in sorted(found, key=lambda pair: -(pair.shared.share or 0)):
        said = [
            f"{names[one.id]}, round {played.row.round} ({100 * played.density:.1f} %)"
            for one, played in zip(pair.experiments, pair.rounds, strict=True)
        ]
        rows.append([*said, ", ".join(pair.differ) or "nothing", nearness(pair), pair.shared.jaccard])
        rows[-1] += [pair.shared.ratio, pair.shared.share, pair.shared.score]
    note = (
        f"{NOTE} Of what is possible: 0 is chance, 100 % all that the sparser mask keeps. Deviations: standard "
        "deviations of the hypergeometric law, layers independent."
    )
    return Table("overlap_pairs", "Pairs of masks", columns, rows, note)


def kind_table(found: Sequence[Pair]) -> Table:
    """What changing one thing, and what changing several, does to a mask."""
    kinds = by_difference(found)
    columns = [Column("differ in"), Column("pairs", "count"), Column("densities' ratio", "number")]
    columns += [Column("Jaccard", "percent"), Column("times chance", "number")]
    columns += [Column("of what is possible", "percent"), Column("least", "percent"), Column("most", "percent")]
    rows = []
    for differ, ones in kinds.items():
        shares = [one.shared.share for one in ones if one.shared.share is not None]
        rows.append([", ".join(differ) or "nothing", len(ones), _mean(nearness(one) for one in ones)])
        rows[-1] += [_mean(one.shared.jaccard for one in ones), _mean(one.shared.ratio for one in ones)]
        rows[-1] += [_mean(shares), min(shares, default=None), max(shares, default=None)]
    note = "Means over pairs. Of what is possible, with its least and most: 0 is chance, 100 % the same weights."
    return Table("overlap_kinds", "What changes a mask", columns, rows, note)


def by_difference(found: Iterable[Pair]) -> dict[tuple[str, ...], list[Pair]]:
    """Pairs by what their lotteries differ in, few differences first."""
    kinds = defaultdict(list)
    for pair in found:
        kinds[pair.differ].append(pair)
    order = list(ASPECTS)
    return dict(sorted(kinds.items(), key=lambda item: (len(item[0]), [order.index(name) for name in item[0]])))


def said(found: Sequence[Pair]) -> list[str]:
    """A sentence about the masks of lotteries that differ in one thing only; and what noise changes, where it does."""
    kinds = by_difference(found)
    single = {differ[0]: ones for differ, ones in kinds.items() if len(differ) == 1}
    if not single:
        return []
    parts = [
        f"only in {name} share {_mean(one.shared.ratio for one in ones):.2f} times what chance would give "
        f"({len(ones)} pair{'s' * (len(ones) > 1)})"
        for name, ones in single.items()
    ]
    text = [f"Masks of lotteries that differ {'; '.join(parts)}."]
    if "noise" in single:
        noisy, seeds = (_mean(one.shared.share for one in single.get(name, ())) for name in ("noise", "init and seed"))
        text.append(
            f"Other noise in training leaves {100 * noisy:.0f} % of the way from chance to the same mask"
            + ("." if seeds is None else f", another init and seed in the same noise {100 * seeds:.0f} %.")
        )
    return text


def nearness(pair: Pair) -> float:
    """The sparser density over the denser, in (0, 1]."""
    low, high = sorted(one.density for one in pair.rounds)
    return low / high


def _pruned(one: Experiment) -> list[Round]:
    return [played for played in one.rounds if played.density < 1 and (played.stored.path / "mask.lth").is_file()]


def _stated(config: Mapping) -> dict:
    """What a config chooses, without what cannot change a result."""
    return {name: value for name, value in config.items() if name not in SILENT}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
