"""Densities worked by hand and published ones."""

import math

import pytest

from lth.tickets.schedule import constant, cubic, decaying, listed, one_shot, rounds_to


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


def test_cubic_is_the_formula_of_zhu_and_gupta():
    """Sparsity s_t = s_f + (s_i - s_f) (1 - t / n)^3, their equation 1, from a dense network and from a ticket."""
    for start in (1.0, 0.6):
        initial, final, n = 1 - start, 0.9, 8
        sparsities = [final + (initial - final) * (1 - t / n) ** 3 for t in range(n + 1)]
        schedule = cubic(0.1, n)
        assert [1 - schedule.density(t, start) for t in range(n + 1)] == pytest.approx(sparsities)
        assert schedule.density(n, start) == 0.1 and schedule.rounds(n, 0.1, start) == n
        left = start
        for t in range(1, n + 1):
            left *= 1 - schedule.amount(t, start)
            assert left == pytest.approx(1 - sparsities[t])


def test_listed_and_one_shot_by_hand():
    schedule = listed([0.5, 0.3, 0.17])
    assert [schedule.density(n) for n in range(5)] == [1, 0.5, 0.3, 0.17, 0.17]
    assert [schedule.amount(n) for n in (1, 2, 3, 4)] == pytest.approx([0.5, 0.4, 13 / 30, 0])
    assert schedule.rounds(5, None) == 3 and schedule.rounds(5, 0.3) == 2 and schedule.rounds(5, 0.4) == 2
    assert listed(0.5).rounds(5, None) == 1
    assert [one_shot(0.8).density(n) for n in range(3)] == pytest.approx([1, 0.2, 0.2])
    assert one_shot(0.8).density(1, 0.5) == pytest.approx(0.1)
    assert one_shot(0.8, target=0.3).density(1, 0.5) == 0.3 and one_shot(0.8, 0.3).rounds(7, 0.3) == 1


def test_no_rounds_asked_are_no_rounds():
    for schedule in (constant(0.2), listed([0.5]), one_shot(), cubic(None, 0), cubic(0.1, 0)):
        assert schedule.rounds(0, None) == 0


def test_a_curve_that_starts_under_its_ticket_is_refused():
    for schedule in (listed([0.5, 0.3]), one_shot(target=0.5), cubic(0.5, 4)):
        with pytest.raises(ValueError, match=r"each under 0\.5"):
            schedule.rounds(5, None, 0.5)
    with pytest.raises(ValueError, match=r"ends at a density of 30\.00%"):
        listed([0.5, 0.3]).rounds(5, 0.2)


@pytest.mark.parametrize("densities", [[], [0], [1], [0.5, 0.5], [0.3, 0.5], [0.5, -0.1], ["a"], [None], "0.5", [True]])
def test_bad_densities(densities):
    with pytest.raises(ValueError, match="densities are shares"):
        listed(densities)


def test_bad_targets():
    for target in (0, 1, 2, float("nan"), "x"):
        for make in (lambda t: cubic(t, 5), lambda t: one_shot(target=t)):
            with pytest.raises(ValueError, match="densities are shares"):
                make(target)
    with pytest.raises(ValueError, match="needs one, such as target"):
        cubic(None, 5)
