"""A trial under the real `wandb agent`, against the double of the backend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import wandb
import yaml

from lth.tracking.trial import TrialRun
from tests.configs import PROJECT, TINY, compose
from tests.loopback_wandb import fixture, sweeps
from tests.loopback_wandb.server import Server
from tests.loopback_wandb.state import ENTITY

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server


def make_sweep(server: Server, name: str, words: tuple[str, ...], **changes) -> str:
    """A sweep of one of the project's files, its command made tiny; returns its id."""
    config = yaml.safe_load((PROJECT / "sweeps" / f"{name}.yaml").read_text()) | changes
    config["command"] = [*config["command"][:-1], *TINY, *words, config["command"][-1]]
    config["command"][1] = sys.executable
    made = sweeps.upsert(server.state, {"projectName": config["project"], "config": yaml.safe_dump(config)})
    return made["sweep"]["name"]


def agent(sweep: str, folder: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "wandb", "agent", *options, f"{ENTITY}/audio-lottery/{sweep}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_DIR": str(folder)}
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300)


def test_the_trials_run_carries_the_objectives_and_its_rounds_are_runs_beside_it(wandb_server, tmp_path, cache):
    fixed = {name: {"value": value} for name, value in {"strategy": "decaying", "strategy.amount": 0.5}.items()}
    words = ("rounds=1", "seeds=[0,1]", f"outputs={tmp_path}", f"corpus.cache={cache}")
    sweep = make_sweep(wandb_server, "grid", words, parameters=fixed)
    done = agent(sweep, tmp_path / "agent")
    assert done.returncode == 0, done.stderr
    assert "2 experiments, 4 rounds: 4 trained, 0 reused" in done.stdout

    runs = list(wandb.Api().runs(f"{ENTITY}/audio-lottery", filters={}))
    (trial,) = (run for run in runs if run.sweep_name == sweep)
    rounds = [run for run in runs if run is not trial]
    assert trial.state == "finished" and trial.job_type == "trial"
    assert {run.group for run in rounds} == {trial.group} == {trial.name} == {f"grid-{trial.id}"}
    assert sorted(run.name for run in rounds) == [
        f"grid-{trial.id}-seed-{seed}-round-{number:02d}" for seed in (0, 1) for number in (0, 1)
    ]
    history = list(trial.scan_history())
    assert [(row["_step"], row["seed"], row["round"]) for row in history] == [
        (0, 0, 0),
        (1, 0, 1),
        (2, 1, 0),
        (3, 1, 1),
    ]
    outcomes = []
    for dense, ticket in (history[:2], history[2:]):
        assert dense["density"] == 1 and ticket["density"] == pytest.approx(0.5, abs=1e-3)
        extreme = ticket if ticket["dev_wer"] <= dense["dev_wer"] else dense
        outcomes.append((extreme["density"], extreme["dev_wer"]))
    assert (history[1]["extreme_density"], history[1]["extreme_dev_wer"]) == outcomes[0]
    assert "extreme_density" not in history[2]  # a pruner compares first seeds
    for name, values in zip(("extreme_density", "extreme_dev_wer"), zip(*outcomes, strict=True), strict=True):
        assert trial.summary[name] == pytest.approx(sum(values) / 2)
    assert (trial.summary["trained"], trial.summary["reused"]) == (4, 0)
    assert trial.config["strategy.amount"] == 0.5 and trial.config["resolved"]["rounds"] == 1


def test_a_trial_that_cannot_be_played_is_a_failed_run_and_the_agent_goes_on(wandb_server, tmp_path, cache):
    point = {"strategy": {"value": "decaying"}, "strategy.prune_factor": {"value": 0.8}}
    point["strategy.amount"] = {"values": [0.1, 0.5]}  # with 0.1 the density stays above 60 %
    words = ("target=0.55", f"outputs={tmp_path}", f"corpus.cache={cache}")
    sweep = make_sweep(wandb_server, "grid", words, parameters=point)
    options = ("--max-consecutive-failed-runs", "1")
    done = agent(sweep, tmp_path / "agent", *options)
    assert done.returncode == 0, done.stderr
    first, second = sweeps.runs_of(wandb_server.state, wandb_server.state.sweeps[ENTITY, "audio-lottery", sweep])
    assert (first.state, second.state) == ("failed", "finished")
    assert "never reached" in first.summary["reason"]


def test_a_stopped_trial_ends_at_once(wandb_server, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "p")
    config = compose(f"outputs={tmp_path}")
    with pytest.raises(KeyboardInterrupt), TrialRun("t", tmp_path / "t", config) as trial:
        os.kill(os.getpid(), 15)  # what the agent does
        raise AssertionError("went on")
    assert trial.stopped
    (run,) = wandb_server.state.runs.values()
    assert run.state == "failed"


def test_without_a_server_the_trial_goes_on(wandb_client, tmp_path, caplog):
    os.environ |= {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40}
    config = compose(f"outputs={tmp_path}", "tracking.init_timeout=2")
    with TrialRun("t", tmp_path / "t", config) as trial:
        assert trial.run is None
        trial.finish({"extreme_density": 1.0})
    assert "the sweep does not hear of this trial" in caplog.text
