"""The sweep view of a small study whose outcomes are known."""

import itertools
import random

import optuna
import pytest
from optuna.trial import TrialState

from lth.analysis.inputs import Analysis
from lth.analysis.sections.sweep import front, hypervolume, outcome, section


def test_front_by_brute_force():
    generator = random.Random(0)
    points = [(generator.randrange(8) / 8, generator.randrange(8) / 8) for _ in range(40)]
    made = optuna.create_study(directions=["minimize", "minimize"])
    for density, wer in points:
        trial = made.ask()
        trial.set_user_attr("outcome", {"extreme_density": density, "extreme_dev_wer": wer})
        made.tell(trial, [wer, density])
    kept = [outcome(trial) for trial in front(made)]
    better = lambda a, b: a[0] <= b[0] and a[1] <= b[1] and a != b  # noqa: E731
    assert kept == sorted({b for b in points if not any(better(a, b) for a in points)})
    assert all(points.index(outcome(trial)) == trial.number for trial in front(made))  # of equal ones the first


def test_hypervolume_by_counting_cells():
    generator = random.Random(1)
    for _ in range(20):
        points = [(generator.randrange(11), generator.randrange(11)) for _ in range(6)]
        cells = itertools.product(range(10), range(10))
        covered = sum(any(x <= i and y <= j for x, y in points) for i, j in cells)
        assert hypervolume(points, (10, 10)) == covered
    assert hypervolume([], (1, 1)) == 0


def study(trials: int) -> optuna.Study:
    made = optuna.create_study(study_name="s", directions=["minimize", "minimize"])
    for n in range(trials):
        trial = made.ask()
        amount = trial.suggest_float("strategy.amount", 0.1, 0.5)
        trial.suggest_categorical("strategy", ["decaying", "decaying_layerwise"])
        trial.set_user_attr("outcome", {"extreme_density": 1 - amount, "extreme_dev_wer": 0.1 + amount / 10})
        trial.set_user_attr("words", {"strategy.amount": round(amount, 3)})
        trial.set_user_attr("trained", 2)
        trial.set_user_attr("reused", 1 if n else 0)
        made.tell(trial, [0.1 + amount / 10, 1 - amount])
    made.tell(made.ask(), state=TrialState.FAIL)
    return made


def test_the_section_counts_and_names_the_sparsest():
    made = study(10)
    said = section(Analysis([], study=made))
    text = " ".join(said.text)
    sparsest = max(made.trials[:10], key=lambda trial: trial.params["strategy.amount"])
    assert f"(trial {sparsest.number}: " in text
    assert "11 trials: 10 finished, 0 stopped early or not playable, 1 failed" in text
    assert "20 rounds trained, 9 reused (31%)" in text
    (pareto, importances) = said.tables
    assert len(pareto.rows) == 10  # sparser is worse throughout: all are on the front
    shares = {row[0]: row[1] for row in importances.rows}
    assert shares["strategy.amount"] == max(shares.values())
    assert {chart.name for chart in said.charts} >= {"pareto", "hypervolume", "slice_strategy_amount", "slice_strategy"}


def test_a_search_with_one_objective_has_one_best_trial():
    made = optuna.create_study(direction="minimize")
    for density in (0.5, 0.3, 0.3):
        trial = made.ask()
        trial.set_user_attr("outcome", {"extreme_density": density, "extreme_dev_wer": 0.1})
        made.tell(trial, density)
    assert [trial.number for trial in front(made)] == [1]
    assert section(Analysis([])) is None


@pytest.mark.parametrize("trials", [0, 3])
def test_few_trials_say_so(trials):
    text = " ".join(section(Analysis([], study=study(trials))).text)
    assert ("No trial has finished yet" if not trials else "Importances need 8 finished trials; there are 3") in text
