"""Densities worked by hand and published ones."""

import math

import pytest

from lth.tickets.schedule import constant, decaying, rounds_to


@pytest.mark.parametrize(
    ("rounds", "percent"), [(0, 100), (3, 51.2), (5, 32.8), (7, 21.0), (8, 16.8), (10, 10.7), (14, 4.4)]
)
def test_constant_gives_the_published_densities(rounds, percent):
    assert 100 * constant(0.2).density(rounds) == pytest.approx(percent, abs=0.05)


def test_decaying_by_hand():
    schedule = decaying(0.2, 0.9)
    assert [schedule.amount(n) for n in (1, 2, 3)] == pytest.approx([0.2, 0.18, 0.162])
    assert schedule.density(3) == pytest.approx(0.8 * 0.82 * 0.838)
    assert 100 * schedule.density(20) == pytest.approx(15.4, abs=0.05)
    assert 100 * schedule.floor() == pytest.approx(12.05, abs=0.005)


@pytest.mark.parametrize(("amount", "factor"), [(0.2, 0.9), (0.5, 0.5), (0.9, 0.99), (0.999, 0.3), (0.01, 0.999)])
def test_the_floor_is_where_the_product_ends(amount, factor):
    product = math.prod(1 - amount * factor**k for k in range(100_000))
    assert decaying(amount, factor).floor() == pytest.approx(product, rel=1e-9)


def test_a_factor_of_one_is_constant():
    assert decaying(0.3, 1).floor() == constant(0.3).floor() == 0
    assert decaying(0.3, 1).density(9) == constant(0.3).density(9)
    assert constant(0.3) == decaying(0.3, 1.0)


@pytest.mark.parametrize("rounds", range(30))
def test_rounds_to_inverts_density(rounds):
    for schedule in (constant(0.2), constant(0.5), decaying(0.2, 0.9), decaying(0.4, 0.95)):
        assert rounds_to(schedule, schedule.density(rounds)) == rounds
        assert rounds_to(schedule, schedule.density(rounds + 1) * 1.0001) == rounds + 1


@pytest.mark.parametrize(("target", "rounds"), [(1, 0), (0.8, 1), (0.79, 2), (0.512, 3), (0.044, 14)])
def test_rounds_to_by_hand(target, rounds):
    assert rounds_to(constant(0.2), target) == rounds


@pytest.mark.parametrize("target", [0.044, 0.12, 0, float("nan")])
def test_targets_at_or_below_the_floor_are_refused_and_the_floor_named(target):
    with pytest.raises(ValueError, match=r"floor of 12\.05%"):
        rounds_to(decaying(0.2, 0.9), target)


def test_the_floor_itself_is_refused():
    schedule = decaying(0.2, 0.9)
    with pytest.raises(ValueError, match="floor"):
        rounds_to(schedule, schedule.floor())
    assert rounds_to(schedule, schedule.floor() + 1e-6) > 20
    with pytest.raises(ValueError, match=r"floor of 0\.00%"):
        rounds_to(constant(0.2), 0)


def test_a_percentage_is_no_density():
    with pytest.raises(ValueError, match=r"at most 1, not 4\.4"):
        rounds_to(constant(0.2), 4.4)


@pytest.mark.parametrize("amount", [0, 1, -0.1, 1.2, float("nan"), float("inf"), "0.2", None, True])
def test_bad_amounts(amount):
    for make in (constant, decaying):
        with pytest.raises(ValueError, match=r"amount .* between 0 and 1, not"):
            make(amount)


@pytest.mark.parametrize("factor", [0, -0.5, 1.0001, 2, float("nan"), "0.9", None])
def test_bad_factors(factor):
    with pytest.raises(ValueError, match=r"prune_factor .* above 0 and at most 1, not"):
        decaying(0.2, factor)
