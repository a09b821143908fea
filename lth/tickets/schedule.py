"""How much a round prunes."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Round n prunes ``first * prune_factor ** (n - 1)`` of the weights that survived round n - 1.

    A pure function of the round's number, so a resumed experiment prunes what an uninterrupted one would.
    """

    first: float
    prune_factor: float = 1.0

    def __post_init__(self):
        check_amount(self.first)
        if not (isinstance(self.prune_factor, int | float) and 0 < self.prune_factor <= 1):
            raise ValueError(
                "prune_factor multiplies the amount after every round and must be above 0 and at most 1, "
                f"not {self.prune_factor!r}."
            )

    def amount(self, round: int) -> float:
        """Share of the survivors that round `round` (1 is the first pruned one) prunes."""
        return self.first * self.prune_factor ** (round - 1)

    def density(self, rounds: int) -> float:
        """Nominal share of the prunable weights left after `rounds` pruned rounds."""
        return math.prod(1 - self.amount(n) for n in range(1, rounds + 1))

    def floor(self) -> float:
        """The density that no number of rounds gets under: 0 for a constant amount.

        The infinite product of 1 - a f^k over k >= 0, by Euler's series for its logarithm,
        -sum over j >= 1 of a^j / (j (1 - f^j)).
        """
        if self.prune_factor == 1:
            return 0.0
        logarithm, power, j = 0.0, self.first, 1
        while power > 1e-18:
            logarithm += power / (j * -math.expm1(j * math.log(self.prune_factor)))
            power, j = power * self.first, j + 1
        return math.exp(-logarithm)


def constant(amount: float = 0.2) -> Schedule:
    """The same share of the survivors every round (Frankle and Carbin 2019): density (1 - amount)^n.

    Raises:
        ValueError: `amount` is not between 0 and 1.
    """
    return Schedule(amount)


def decaying(amount: float = 0.2, prune_factor: float = 0.9) -> Schedule:
    """A share that shrinks by `prune_factor` after every round: gentler as less is left, down to a floor.

    Raises:
        ValueError: `amount` is not between 0 and 1, or `prune_factor` not above 0 and at most 1.
    """
    return Schedule(amount, prune_factor)


def rounds_to(schedule: Schedule, target: float) -> int:
    """The fewest pruned rounds whose nominal density is at most `target`.

    Raises:
        ValueError: `target` is above 1, or at or below the schedule's floor, which is named.
    """
    if target > 1:
        raise ValueError(f"A target density is a share of the prunable weights, at most 1, not {target:g}.")
    floor = schedule.floor()
    if not target > floor:
        raise ValueError(
            f"A density of {target:.2%} is never reached: amount={schedule.first:g} with "
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
