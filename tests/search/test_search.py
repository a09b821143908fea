"""`python -m lth search` as a user gives it, on tiny lotteries."""

import csv
import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.pruners import ThresholdPruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from rich.console import Console

import lth.lottery.trial
from lth.errors import UserError
from lth.lottery.setup import names
from lth.search import search as driver
from lth.search import study as study_file
from tests.configs import PROJECT
from tests.lotteries import ATTENTIVE, command


def overrides(outputs: Path, cache: Path, *words: str) -> list[str]:
    return [word for word in command(*words, outputs=outputs, cache=cache) if word != "strategy.amount=0.5"]


@pytest.fixture
def search(tmp_path, cache):
    """The search in this process; returns what it prints."""

    def play(*words: str) -> str:
        console = Console(file=io.StringIO(), width=200)
        given = overrides(tmp_path, cache, *words)
        driver.search(names.compose(given, "search"), given, console)
        return console.file.getvalue()

    return play


def start(outputs: Path, cache: Path, *words: str, code: str = "") -> subprocess.Popen:
    """The search in a process of its own; ``code`` runs first, to place a fault."""
    run = "sys.argv.insert(1, 'search'); runpy.run_module('lth', run_name='__main__', alter_sys=True)"
    program = f"{ATTENTIVE}import runpy, sys\n{code}\n{run}"
    return subprocess.Popen(
        [sys.executable, "-c", program, *overrides(outputs, cache, *words)],
        cwd=PROJECT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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


def test_two_objectives_and_a_study_that_is_continued(search, tmp_path):
    search("n_trials=2")
    out = search("n_trials=3", "sampler=nsga2")
    study = load(tmp_path)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    trained = sum(trial.user_attrs["trained"] for trial in study.trials)
    reused = sum(trial.user_attrs["reused"] for trial in study.trials)
    assert trained == len(rounds_in(tmp_path)) and trained + reused == 9
    assert f"3 complete · 3 experiments, 9 rounds: {trained} trained, {reused} reused" in out
    table = out[out.index("Pareto front") :]
    for dev_wer, density in pareto([trial.values for trial in study.trials]):
        assert f"{density:.2%}" in table and f"{dev_wer:.2%}" in table
    assert {path.name for path in tmp_path.glob("tickets-*")} == {"tickets-0000", "tickets-0001", "tickets-0002"}


def test_infeasible_and_crashed_trials_are_recorded_and_the_study_goes_on(search, tmp_path, monkeypatch):
    words = ("objective=one", "target=0.55", "sampler=random")
    half = {"strategy": "decaying", "strategy.amount": 0.5, "strategy.prune_factor": 1.0}
    monkeypatch.setattr(study_file, "space", lambda trial: half)
    search(*words, "n_trials=1")
    monkeypatch.undo()
    study = load(tmp_path)
    study.enqueue_trial({"strategy": "decaying", "strategy.amount": 0.1, "strategy.prune_factor": 0.8})  # floor 60 %
    study.enqueue_trial(half)

    def crash(*_):
        raise RuntimeError("boom")

    monkeypatch.setattr(lth.lottery.trial, "run", crash)
    out = search(*words, "n_trials=3")
    first, infeasible, crashed = load(tmp_path).trials
    assert first.state == TrialState.COMPLETE
    assert infeasible.state == crashed.state == TrialState.FAIL
    assert "never reached" in infeasible.user_attrs["reason"]
    assert crashed.user_attrs["reason"] == "RuntimeError: boom" and "boom" in crashed.user_attrs["traceback"]
    assert "failed: RuntimeError: boom" in out and "1 complete, 2 fail" in out


def test_a_full_disk_ends_the_worker_and_not_the_trial(search, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lth.lottery.trial, "run", full)
    with pytest.raises(OSError):
        search("n_trials=1")
    (trial,) = load(tmp_path).trials
    assert trial.state == TrialState.FAIL and "reason" not in trial.user_attrs


def test_a_hopeless_trial_ends_after_the_round_that_shows_it(search, tmp_path, monkeypatch):
    monkeypatch.setattr(study_file, "make_pruner", lambda name: ThresholdPruner(upper=0.9, n_warmup_steps=1))
    monkeypatch.setattr(lth.lottery.trial, "winning", lambda rows: (None, None))
    out = search("objective=one", "pruner=median", "n_trials=1")
    (trial,) = load(tmp_path).trials
    assert trial.state == TrialState.PRUNED
    assert trial.intermediate_values == {0: 1.0, 1: 1.0}  # of the rounds 0, 1 and 2
    assert "after round 1" in trial.user_attrs["reason"] and len(rounds_in(tmp_path)) == 2
    assert "1 pruned" in out


def test_seeds_are_a_repeated_measure(search, tmp_path):
    search("seeds=[0,1]", "n_trials=1", "rounds=1")
    (trial,) = load(tmp_path).trials
    assert not any("seed" in name for name in trial.params)
    found = []
    for seed in (0, 1):
        with (tmp_path / f"tickets-0000-seed-{seed}" / "rounds.csv").open() as file:
            dense, ticket = csv.DictReader(file)
        row = ticket if float(ticket["dev_wer"]) <= float(dense["dev_wer"]) else dense
        found.append((float(row["dev_wer"]), float(row["density"])))
    assert trial.values == pytest.approx([sum(column) / 2 for column in zip(*found, strict=True)])
    assert trial.user_attrs["trained"] == 4  # different inits: nothing to share


def test_two_workers_one_killed_in_the_middle_of_a_round(tmp_path, cache):
    dying = "import os, signal, lth.lottery.round as r\nr.evaluate = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    dead = start(tmp_path, cache, "n_trials=2", code=dying)
    dead.communicate(timeout=200)
    assert dead.returncode == -signal.SIGKILL
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
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.glob("store/partial/*/*")):
        time.sleep(0.1)
    worker.send_signal(signal.SIGINT)
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 130 and "lth search: stopped" in err
    (trial,) = load(tmp_path).trials
    assert trial.state == TrialState.FAIL and "reason" not in trial.user_attrs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("strategy.amount=0.3",), "strategy.amount is what is searched"),
        (("strategy=layerwise",), "strategy is what is searched"),
        (("noise=level", "search_noise=true"), "noise is what is searched"),
        (("name=x",), "give study= instead"),
        (("pruner=median",), "pruner needs a single objective"),
        (("objective=three",), "use one or two"),
        (("sampler=cmaes",), "sampler=cmaes is unknown"),
        (("n_trials=0",), "n_trials=0"),
        (("study=a/b",), "study=a/b"),
        (("storage=mysql://host/db",), "storage=mysql"),
        (("tokens=AB",), "not among the output tokens"),
    ],
)
def test_bad_input_is_refused_before_any_trial(search, tmp_path, words, said):
    with pytest.raises(UserError, match=said):
        search(*words)
    assert not list(tmp_path.glob("tickets-*"))


def test_another_setting_under_the_same_name_is_refused(search):
    search("n_trials=1", "rounds=0")
    with pytest.raises(UserError, match="was begun with another"):
        search("n_trials=2", "rounds=1")
    with pytest.raises(UserError, match="objective=two"):
        search("n_trials=2", "rounds=0", "objective=one")
