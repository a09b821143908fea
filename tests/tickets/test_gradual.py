"""The cubic curve of Zhu and Gupta (2017), by hand."""

import pytest

from lth.tickets.gradual import Cubic, amount_to


def test_hand_worked_densities():
    """Their equation 1 in sparsities: s = s_f + (s_i - s_f) (1 - (t - t0) / (n dt))^3."""
    curve = Cubic(begin=0.2, end=0.6, every=5)
    # halfway, the last eighth of what is to be pruned is left; a quarter of the way, 27/64 of it
    assert curve.density(0.4, 1.0, 0.2) == pytest.approx(0.2 + 0.8 / 8)
    assert curve.density(0.3, 1.0, 0.2) == pytest.approx(0.2 + 0.8 * 27 / 64)
    assert curve.density(0.5, 0.5, 0.1) == pytest.approx(0.1 + 0.4 / 64)
    for progress, density in {0.0: 1.0, 0.2: 1.0, 0.6: 0.2, 0.61: 0.2, 1.0: 0.2}.items():
        assert curve.density(progress, 1.0, 0.2) == density


def test_when_weights_are_pruned():
    curve = Cubic(begin=0.25, end=0.75, every=4)
    due = [step for step in range(1, 21) if curve.due(step, step / 20)]
    assert due == [8, 12, 15, 16, 17, 18, 19, 20]  # the end is reached at step 15, which is no multiple of 4


@pytest.mark.parametrize("total", [7, 100, 22860, 86_600_000])
def test_the_amount_leaves_the_exact_count(total):
    kept = total
    for density in (0.9, 0.5123, 0.3333333, 0.17):
        amount = amount_to(density, kept, total)
        kept -= round(amount * kept)
        assert kept == round(density * total)
    assert amount_to(0.5, kept, total) == 0  # it is below that already: nothing regrows


@pytest.mark.parametrize("begin, end, every", [(0.5, 0.5, 1), (-0.1, 0.5, 1), (0.0, 1.1, 1), (0, 1, 0), ("a", 1, 1)])
def test_senseless_settings_are_refused(begin, end, every):
    with pytest.raises(ValueError, match="not "):
        Cubic(begin, end, every)


def test_nothing_left_is_refused():
    with pytest.raises(ValueError, match="leaves none of 100 weights"):
        amount_to(0.001, 100, 100)
