"""What the masks of two lotteries have in common, and which difference between the lotteries changes them."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from lth.analysis.experiments import Experiment, Round
from lth.analysis.labels import SILENT
from lth.analysis.measure.overlap import Overlap, Packed, overlap

#: Densities this close, as a ratio, count as the same.
CLOSE = 1.05
#: Of a config, what is neither of the other aspects.
PARTS = ("model", "features", "augment", "trainer")
#: What two lotteries may differ in, and what says whether they do.
ASPECTS: Mapping[str, Callable[[Experiment], object]] = {
    "init and seed": lambda one: (one.about.get("init"), one.seed),
    "strategy": lambda one: _stated(one.config.get("strategy") or {}),
    "noise": lambda one: one.train_noise,
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
        """Return the aspects in which the lotteries differ."""
        a, b = self.experiments
        return tuple(name for name, of in ASPECTS.items() if of(a) != of(b))


def pairs(experiments: Sequence[Experiment], masks: Callable[[Round], Packed | None]) -> list[Pair]:
    """Return every two lotteries with masks over the same parameters, at the densities that `matched` chooses."""
    found = []
    for a, b in combinations(experiments, 2):
        rounds = matched(a, b)
        if rounds is None:
            continue
        first, second = masks(rounds[0]), masks(rounds[1])
        shared = overlap(first, second) if first and second else None
        if shared is not None:
            found.append(Pair((a, b), rounds, shared))
    return found


def matched(first: Experiment, second: Experiment) -> tuple[Round, Round] | None:
    """Return a pruned round of each, as dense as each other (within 5 %, else as near as can be), near both tickets."""
    choices = [(a, b) for a in _pruned(first) for b in _pruned(second)]
    if not choices or not (first.ticket and second.ticket):
        return None
    middle = first.ticket.density * second.ticket.density

    def gap(pair: tuple[Round, Round]) -> float:
        return abs(math.log(pair[0].density / pair[1].density))

    def away(pair: tuple[Round, Round]) -> float:
        return abs(math.log(pair[0].density * pair[1].density / middle))

    close = [pair for pair in choices if gap(pair) <= math.log(CLOSE)] or [min(choices, key=gap)]
    return min(close, key=lambda pair: (round(away(pair), 6), gap(pair)))


def by_difference(found: Iterable[Pair]) -> dict[tuple[str, ...], list[Pair]]:
    """Sort pairs by what their lotteries differ in, few differences first."""
    kinds = defaultdict(list)
    for pair in found:
        kinds[pair.differ].append(pair)
    order = list(ASPECTS)
    return dict(sorted(kinds.items(), key=lambda item: (len(item[0]), [order.index(name) for name in item[0]])))


def nearness(pair: Pair) -> float:
    """Return the sparser density over the denser, in (0, 1]."""
    low, high = sorted(one.density for one in pair.rounds)
    return low / high


def _pruned(one: Experiment) -> list[Round]:
    return [played for played in one.rounds if played.density < 1 and (played.stored.path / "mask.lth").is_file()]


def _stated(config: Mapping) -> dict:
    """What a config chooses, without what cannot change a result."""
    return {name: value for name, value in config.items() if name not in SILENT}
