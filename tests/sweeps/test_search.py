"""`python -m sweeps.search` as a user gives it, on tiny lotteries."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tests.configs import PROJECT
from tests.lottery import command


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("corpus")


def start(outputs: Path, cache: Path, *words: str, code: str = "") -> subprocess.Popen:
    """The search in a process of its own; ``code`` runs first, to place a fault."""
    base = [word for word in command(*words, outputs=outputs, cache=cache) if not word.startswith("strategy.amount")]
    program = f"import runpy, sys\n{code}\nrunpy.run_module('sweeps.search', run_name='__main__', alter_sys=True)"
    return subprocess.Popen(
        [sys.executable, "-c", program, *base],
        cwd=PROJECT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def search(outputs: Path, cache: Path, *words: str, code: str = "") -> tuple[int, str, str]:
    worker = start(outputs, cache, *words, code=code)
    out, err = worker.communicate(timeout=200)
    return worker.returncode, out, err


def load(outputs: Path, name: str = "tickets", **options) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(outputs / "studies" / f"{name}.journal")))
    return optuna.load_study(study_name=name, storage=storage, **options)


def rounds_in(outputs: Path) -> set[str]:
    return {path.name for path in (outputs / "store" / "rounds").iterdir()}


def pareto(points: list[list[float]]) -> set[tuple[float, ...]]:
    """By the definition: nothing is as good in both and better in one."""
    def beaten(a, b):
        return all(x <= y for x, y in zip(b, a, strict=True)) and a != b

    return {tuple(a) for a in points if not any(beaten(a, b) for b in points)}


def test_two_objectives_and_a_study_that_is_continued(tmp_path, cache):
    code, out, err = search(tmp_path, cache, "n_trials=2")
    assert (code, err) == (0, "")
    code, out, err = search(tmp_path, cache, "n_trials=3", "sampler=nsga2")
    assert (code, err) == (0, "")
    study = load(tmp_path)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    trained = sum(trial.user_attrs["trained"] for trial in study.trials)
    reused = sum(trial.user_attrs["reused"] for trial in study.trials)
    assert trained == len(rounds_in(tmp_path)) and trained + reused == 9
    assert f"3 complete · 3 experiments, 9 rounds: {trained} trained, {reused} reused" in out
    front = pareto([trial.values for trial in study.trials])
    table = out[out.index("Pareto front") :]
    for dev_wer, density in front:
        assert f"{density:.2%}" in table and f"{dev_wer:.2%}" in table
    assert {path.name for path in tmp_path.glob("tickets-*")} == {"tickets-0000", "tickets-0001", "tickets-0002"}


def test_infeasible_and_crashed_trials_are_recorded_and_the_study_goes_on(tmp_path, cache):
    words = ("objective=one", "n_trials=3", "target=0.55", "sampler=random")
    assert search(tmp_path, cache, *words[:1], "n_trials=1", *words[2:], code=FIXED)[0] == 0
    study = load(tmp_path)
    study.enqueue_trial({"strategy": "decaying", "strategy.amount": 0.1, "strategy.prune_factor": 0.8})  # floor 60 %
    study.enqueue_trial({"strategy": "decaying", "strategy.amount": 0.5, "strategy.prune_factor": 1.0})
    crash = "import lth.trial\ndef run(*_): raise RuntimeError('boom')\nlth.trial.run = run"
    code, out, _ = search(tmp_path, cache, *words, code=crash)
    assert code == 0
    first, infeasible, crashed = load(tmp_path).trials
    assert first.state == TrialState.COMPLETE
    assert infeasible.state == crashed.state == TrialState.FAIL
    assert "never reached" in infeasible.user_attrs["reason"]
    assert crashed.user_attrs["reason"] == "RuntimeError: boom" and "boom" in crashed.user_attrs["traceback"]
    assert "failed: RuntimeError: boom" in out and "1 complete, 2 fail" in out


FIXED = """
import sweeps.study
sweeps.study.space = lambda trial: {"strategy": "decaying", "strategy.amount": 0.5, "strategy.prune_factor": 1.0}
"""
HOPELESS = """
import sweeps.study, sweeps.worker
from optuna.pruners import ThresholdPruner
sweeps.study.make_pruner = lambda name: ThresholdPruner(upper=0.9, n_warmup_steps=1)
import lth.trial
lth.trial.winning = lambda rows: (None, None)
"""


def test_a_hopeless_trial_ends_after_the_round_that_shows_it(tmp_path, cache):
    code, out, err = search(tmp_path, cache, "objective=one", "pruner=median", "n_trials=1", code=HOPELESS)
    assert (code, err) == (0, "")
    (trial,) = load(tmp_path).trials
    assert trial.state == TrialState.PRUNED
    assert trial.intermediate_values == {0: 1.0, 1: 1.0}  # of the rounds 0, 1 and 2
    assert "after round 1" in trial.user_attrs["reason"] and len(rounds_in(tmp_path)) == 2
    assert "1 pruned" in out


def test_seeds_are_a_repeated_measure(tmp_path, cache):
    assert search(tmp_path, cache, "seeds=[0,1]", "n_trials=1", "rounds=1")[0] == 0
    (trial,) = load(tmp_path).trials
    assert not any("seed" in name for name in trial.params)
    found = []
    for seed in (0, 1):
        with (tmp_path / f"tickets-0000-seed-{seed}" / "rounds.csv").open() as file:
            import csv

            dense, ticket = csv.DictReader(file)
        row = ticket if float(ticket["dev_wer"]) <= float(dense["dev_wer"]) else dense
        found.append((float(row["dev_wer"]), float(row["density"])))
    assert trial.values == pytest.approx([sum(column) / 2 for column in zip(*found, strict=True)])
    assert trial.user_attrs["trained"] == 4  # different inits: nothing to share


def test_two_workers_one_killed_in_the_middle_of_a_round(tmp_path, cache):
    dying = "import os, signal, lth.round\nlth.round.evaluate = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    code, _, _ = search(tmp_path, cache, "n_trials=2", code=dying)
    assert code == -signal.SIGKILL
    workers = [start(tmp_path, cache, "n_trials=2") for _ in range(2)]
    outs = [worker.communicate(timeout=200) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outs
    lost, *others = load(tmp_path).trials
    assert lost.state == TrialState.FAIL and [t.state for t in others] == [TrialState.COMPLETE] * 2
    assert lost.params in [t.params for t in others]
    assert sum(t.user_attrs["trained"] for t in others) == len(rounds_in(tmp_path))  # no round was trained twice
    assert all("2 complete" in out for out, _ in outs)


def test_ctrl_c_hands_the_trial_back(tmp_path, cache):
    worker = start(tmp_path, cache, "n_trials=1", "trainer.max_epochs=500")
    journal = tmp_path / "studies" / "tickets.journal"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.is_file() and "begun" in journal.read_text()
                                               or list(tmp_path.glob("store/partial/*/*"))):
        time.sleep(0.1)
    worker.send_signal(signal.SIGINT)
    out, err = worker.communicate(timeout=60)
    assert worker.returncode == 130 and "sweeps.search: stopped" in err
    (trial,) = load(tmp_path).trials
    assert trial.state == TrialState.FAIL and "reason" not in trial.user_attrs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("strategy.amount=0.3",), "strategy.amount is what is searched"),
        (("strategy=layerwise",), "strategy is what is searched"),
        (("name=x",), "give study= instead"),
        (("pruner=median",), "pruner needs a single objective"),
        (("objective=three",), "use one or two"),
        (("n_trials=0",), "n_trials=0"),
        (("storage=mysql://host/db",), "storage=mysql"),
        (("corpus=an4", "corpus.root=/nowhere"), "/nowhere"),
    ],
)
def test_bad_input_is_refused_in_one_sentence_before_any_trial(tmp_path, words, said):
    done = subprocess.run(
        [sys.executable, "-m", "sweeps.search", *words, f"outputs={tmp_path}", "tracking=disabled"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("tickets-*"))


def test_another_setting_under_the_same_name_is_refused(tmp_path, cache):
    assert search(tmp_path, cache, "n_trials=1", "rounds=0")[0] == 0
    code, _, err = search(tmp_path, cache, "n_trials=2", "rounds=1")
    assert code == 2 and "was begun with another" in err
    code, _, err = search(tmp_path, cache, "n_trials=2", "rounds=0", "objective=one")
    assert code == 2 and "was begun with objective=two" in err
