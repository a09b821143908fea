"""How much a round prunes.

Two kinds, both pure functions of the round's number, so that a resumed experiment prunes what an uninterrupted
one would. A `Schedule` says what share of the survivors goes, whatever they are. A `Curve` says what share of
the prunable weights is left; it begins at the density of round 0, which is 1 unless that is somebody's ticket.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Schedule:
    """Prune ``first_amount * prune_factor ** (n - 1)`` of the weights that survived round n - 1, in round n."""

    first_amount: float
    prune_factor: float = 1.0

    def __post_init__(self):
        check_amount(self.first_amount)
        if not (isinstance(self.prune_factor, int | float) and 0 < self.prune_factor <= 1):
            raise ValueError(
                "prune_factor multiplies the amount after every round and must be above 0 and at most 1, "
                f"not {self.prune_factor!r}."
            )

    def amount(self, round: int) -> float:
        """Return the share of the survivors that round `round` (1 is the first pruned one) prunes."""
        return self.first_amount * self.prune_factor ** (round - 1)

    def density(self, rounds: int, start: float = 1.0) -> float:
        """Return the nominal share of the weights left after `rounds` pruned rounds from a density of `start`."""
        return start * math.prod(1 - self.amount(n) for n in range(1, rounds + 1))

    def rounds(self, asked: int, target: float | None, start: float = 1.0) -> int:
        """Return the pruned rounds to play: `asked`, or what `target` needs; ValueError where it is out of reach."""
        return asked if target is None else rounds_to(self, target if start == 1 else min(target / start, 1.0))

    def floor(self) -> float:
        """Return the density that no number of rounds gets under: 0 for a constant amount.

        The infinite product of 1 - a f^k over k >= 0, by Euler's series for its logarithm,
        -sum over j >= 1 of a^j / (j (1 - f^j)).
        """
        if self.prune_factor == 1:
            return 0.0
        logarithm, power, j = 0.0, self.first_amount, 1
        while power > 1e-18:
            logarithm += power / (j * -math.expm1(j * math.log(self.prune_factor)))
            power, j = power * self.first_amount, j + 1
        return math.exp(-logarithm)


def constant(amount: float = 0.2) -> Schedule:
    """Prune the same share of the survivors every round (Frankle and Carbin 2019): density (1 - amount)^n.

    Raises:
        ValueError: `amount` is not between 0 and 1.
    """
    return Schedule(amount)


def decaying(amount: float = 0.2, prune_factor: float = 0.9) -> Schedule:
    """Prune a share that shrinks by `prune_factor` after every round: gentler as less is left, down to a floor.

    Raises:
        ValueError: `amount` is not between 0 and 1, or `prune_factor` not above 0 and at most 1.
    """
    return Schedule(amount, prune_factor)


class Curve:
    """Where a schedule goes, in densities of the prunable weights; it is ``length`` pruned rounds long."""

    length: int

    def density(self, rounds: int, start: float = 1.0) -> float:
        """Return the share of the prunable weights left after `rounds` pruned rounds from a density of `start`."""
        raise NotImplementedError

    def amount(self, round: int, start: float = 1.0) -> float:
        """Return the share of the survivors that round `round` (1 is the first pruned one) prunes."""
        return 1 - self.density(round, start) / self.density(round - 1, start)

    def rounds(self, asked: int, target: float | None, start: float = 1.0) -> int:
        """Return the pruned rounds to play: those of the curve, or fewer if they reach `target`; none if `asked` is 0.

        Raises:
            ValueError: round 0 is not denser than the curve's first density, or `target` is under its last.
        """
        if not asked:
            return 0
        densities = [self.density(number, start) for number in range(self.length + 1)]
        check_densities(densities[1:], start)
        if target is None:
            return self.length
        if target < densities[-1] * (1 - 1e-9):
            raise ValueError(
                f"the schedule ends at a density of {densities[-1]:.2%}: raise the target or add a density."
            )
        return next(n for n, density in enumerate(densities) if density <= target * (1 + 1e-9))


@dataclass(frozen=True)
class Cubic(Curve):
    """Prune fast at first and gently at the end, to exactly `target` in round N = `length` (Zhu and Gupta 2017, eq. 1).

    Sparsity s_n = s_N + (s_0 - s_N) (1 - n / N)^3, s_0 being that of round 0.

    Raises:
        ValueError: `target` is not between 0 and 1.
    """

    target: float
    length: int

    def __post_init__(self):
        if self.length:
            check_densities([self.target])

    def density(self, rounds: int, start: float = 1.0) -> float:
        return self.target + (start - self.target) * (1 - min(rounds / self.length, 1)) ** 3


@dataclass(frozen=True)
class Listed(Curve):
    """Prune to densities one by one: ``densities[n - 1]`` of the prunable weights are left after round n.

    Raises:
        ValueError: there is none, or they do not fall strictly from under 1 to above 0.
    """

    densities: Sequence[float]

    def __post_init__(self):
        several = isinstance(self.densities, Iterable) and not isinstance(self.densities, str)
        object.__setattr__(self, "densities", tuple(self.densities) if several else (self.densities,))
        check_densities(self.densities)

    @property
    def length(self) -> int:
        return len(self.densities)

    def density(self, rounds: int, start: float = 1.0) -> float:
        return self.densities[min(rounds, self.length) - 1] if rounds else start


@dataclass(frozen=True)
class OneShot(Curve):
    """Prune once: to a density of `target`, or without one by the share `first_amount` of round 0's weights.

    Raises:
        ValueError: the one that counts is not between 0 and 1.
    """

    first_amount: float = 0.8
    target: float | None = None
    length = 1

    def __post_init__(self):
        check_amount(self.first_amount) if self.target is None else check_densities([self.target])

    def density(self, rounds: int, start: float = 1.0) -> float:
        end = start * (1 - self.first_amount) if self.target is None else self.target
        return end if rounds else start


def cubic(target: float | None, rounds: int) -> Cubic:
    """Return the `Cubic` curve to a density of `target` in so many rounds.

    Raises:
        ValueError: no `target` between 0 and 1; with no rounds to play there need be none.
    """
    if target is None:
        if rounds:
            raise ValueError("a cubic schedule ends at a density and needs one, such as target=0.1.")
        target = 1.0  # a dense round alone, or a control: nothing is pruned
    return Cubic(target, rounds)


def listed(densities: Sequence[float]) -> Listed:
    """Return the `Listed` curve through these densities."""
    return Listed(densities)


def one_shot(amount: float = 0.8, target: float | None = None) -> OneShot:
    """Return the `OneShot` curve to `target`, or by `amount` where there is none."""
    return OneShot(amount, target)


def rounds_to(schedule: Schedule, target: float) -> int:
    """Return the fewest pruned rounds whose nominal density is at most `target`.

    Raises:
        ValueError: `target` is above 1, or at or below the schedule's floor, which is named.
    """
    if target > 1:
        raise ValueError(f"A target density is a share of the prunable weights, at most 1, not {target:g}.")
    floor = schedule.floor()
    if not target > floor:
        raise ValueError(
            f"A density of {target:.2%} is never reached: amount={schedule.first_amount:g} with "
            f"prune_factor={schedule.prune_factor:g} stays above its floor of {floor:.2%}; "
            "raise one of them or the target."
        )
    rounds, density = 0, 1.0
    while density > target * (1 + 1e-9):  # 0.8 ** 3 is a hair above 0.512 in floating point
        rounds += 1
        density *= 1 - schedule.amount(rounds)
    return rounds


def check_amount(amount: float) -> None:
    """Raise ValueError unless `amount` is a share strictly between 0 and 1."""
    if not (isinstance(amount, int | float) and 0 < amount < 1):
        raise ValueError(
            f"amount is the share of the surviving weights that a round prunes and must be between 0 and 1, "
            f"not {amount!r}."
        )


def check_densities(densities: Sequence[float], start: float = 1.0) -> None:
    """Raise ValueError unless these are one or more numbers that fall strictly from under `start` to above 0."""
    numbers = all(isinstance(d, int | float) and not isinstance(d, bool) and d > 0 for d in densities)
    if not (densities and numbers and all(after < before for before, after in pairwise([start, *densities]))):
        given = ", ".join(f"{d:g}" if isinstance(d, float) else str(d) for d in densities) or "nothing"
        raise ValueError(
            f"densities are shares of the prunable weights that fall from round to round, each under {start:g} "
            f"(round 0's) and above 0, not {given}."
        )
