"""Evidence: Holm by hand, p-values by counting, the bootstrap by its closed form and by a plain loop."""

import numpy as np
import pytest

from lth.analysis.measure.statistics import holm, p_value, verdict
from lth.speech.bootstrap import Bootstrap


def test_holm_by_hand():
    # sorted .005 .01 .03 .04: times 4, 3, 2, 1 is .02 .03 .06 .04, and never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_p_value_counts_the_far_side():
    assert p_value(np.array([1.0] * 97 + [-1.0] * 2)) == pytest.approx(2 * 3 / 100)
    assert p_value(np.array([-1.0] * 9)) == pytest.approx(0.2)
    assert p_value(np.zeros(9)) == 1.0


def test_verdicts():
    assert [verdict(d, p) for d, p in ((-0.1, 0.01), (0.1, 0.01), (-0.1, 0.05), (0.1, None))] == [
        "better",
        "worse",
        "no evidence either way",
        "not tested",
    ]


def test_every_resample_draws_as_many_utterances_as_there_are():
    counts = Bootstrap(np.ones(30), resamples=250).counts
    assert counts.shape == (250, 30)
    assert (counts.sum(1) == 30).all() and (counts == counts.round()).all()
    # each utterance is drawn once on average, with the binomial's variance 1 - 1/n
    assert counts.mean(0) == pytest.approx(np.ones(30), abs=0.3)
    assert counts.var() == pytest.approx(1 - 1 / 30, rel=0.1)


def test_rates_are_those_of_a_loop_over_the_draws():
    rng = np.random.default_rng(3)
    words, errors = rng.integers(1, 9, 12), rng.integers(0, 5, (12, 3))
    bootstrap = Bootstrap(words, resamples=40)
    for counts, rates in zip(bootstrap.counts, bootstrap.rates(errors), strict=True):
        drawn = [n for n, times in enumerate(counts) for _ in range(int(times))]
        for system in range(3):
            assert rates[system] == pytest.approx(sum(errors[n, system] for n in drawn) / sum(words[n] for n in drawn))


def test_interval_of_equal_lengths_is_the_binomials():
    n, wrong = 400, 100
    errors = np.array([1] * wrong + [0] * (n - wrong))[:, None]
    (low, high), deviation = Bootstrap(np.ones(n)).intervals(errors)[0], np.sqrt(0.25 * 0.75 / n)
    assert (low, high) == pytest.approx((0.25 - 1.96 * deviation, 0.25 + 1.96 * deviation), abs=0.004)


def test_one_utterance_has_no_interval():
    assert np.isnan(Bootstrap(np.array([5])).intervals(np.array([[2]]))).all()


def test_over_seeds_counts_both_kinds_of_chance():
    """Variance of the mean over S drawn seeds: that of utterances, and of seeds over S."""
    n, resamples = 50, 40_000
    flat = np.zeros((n, 2))
    flat[:, 1] = 1.0  # utterances all alike: only the draw of seeds varies
    means = Bootstrap(np.ones(n), resamples).over_seeds(flat)
    assert means.mean() == pytest.approx(0.5, abs=0.01)
    assert means.var() == pytest.approx(0.25 / 2, rel=0.05)
    one = np.arange(n, dtype=float)[:, None]
    both = Bootstrap(np.ones(n), resamples).over_seeds(np.concatenate([one, one], axis=1))  # seeds all alike
    assert both.var() == pytest.approx(one.var() / n, rel=0.05)
