"""What a trial is worth, by hand-worked examples."""

import dataclasses

import pytest

from lth.errors import UserError
from lth.lottery.trial import Outcome, seeds_of, tally, trained_and_reused
from lth.store.rows import Row
from tests.configs import compose

DENSE = Row(0, 1.0, 1.0, 0.20, 0.1, None, None, None, None, None, None, False, "k0")


def ticket(density: float, dev_wer: float, reused: bool = False) -> Row:
    return dataclasses.replace(DENSE, round=1, density=density, dev_wer=dev_wer, reused=reused)


def test_the_outcome_is_that_of_the_extreme_ticket():
    rows = [DENSE, ticket(0.8, 0.15), ticket(0.6, 0.20), ticket(0.4, 0.21)]
    assert Outcome.of(rows) == Outcome(density=0.6, dev_wer=0.20)
    assert Outcome.of(rows[:2]) == Outcome(density=0.8, dev_wer=0.15)


def test_without_a_winning_ticket_it_is_the_dense_model():
    assert Outcome.of([DENSE, ticket(0.8, 0.3), ticket(0.5, float("nan"))]) == Outcome(density=1.0, dev_wer=0.20)


@pytest.mark.parametrize("rows", [[], [ticket(0.5, 0.1)], [dataclasses.replace(DENSE, dev_wer=float("nan"))]])
def test_without_a_dense_round_there_is_no_outcome(rows):
    with pytest.raises(UserError, match="dense round"):
        Outcome.of(rows)


def test_seeds_are_averaged():
    mean = Outcome.mean([Outcome(0.5, 0.1), Outcome(0.25, 0.3)])
    assert mean.metrics() == pytest.approx({"extreme_density": 0.375, "extreme_dev_wer": 0.2})


def test_seeds():
    assert seeds_of(compose("seed=7")) == [7]
    assert seeds_of(compose("seed=7", "seeds=[1,0]")) == [1, 0]
    for wrong in ("[]", "[1,1]", "[a]", "[-1]", "3"):
        with pytest.raises(UserError, match="seeds="):
            seeds_of(compose(f"seeds={wrong}"))


def test_what_was_trained_and_what_was_reused():
    played = [[DENSE, ticket(0.5, 0.1)], [ticket(1, 0.2, reused=True), ticket(0.5, 0.1)]]
    assert trained_and_reused(played) == (3, 1)
    again = [[dataclasses.replace(row, earlier=not row.reused) for row in rows] for rows in played]
    assert trained_and_reused(again) == (0, 4)  # the same command once more
    assert tally(2, 3, 1) == "2 experiments, 4 rounds: 3 trained, 1 reused"
