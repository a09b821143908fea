"""Tracking: what W&B's own readers see of an experiment, and what W&B's failures do to it."""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import wandb

import lth.tracking.rounds
from lth.errors import UserError
from lth.tracking.guard import Guard, call_with_timeout
from lth.tracking.record import load_records, run_id
from tests.loopback_wandb import fixture, sweeps
from tests.loopback_wandb.played import (
    ID,
    ROUNDS,
    STEPS,
    artifacts,
    metrics,
    opened,
    play,
    play_all,
    row,
    run_folders,
    store_files,
)
from tests.loopback_wandb.server import API_KEY, Server

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server


def inspect(folder: Path, *options: str) -> list[dict]:
    """A run's transaction log as W&B's own reader prints it."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(folder)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(printed)] if options else [json.loads(line) for line in printed.splitlines()]


def of_type(log: list[dict], kind: str) -> list[dict]:
    return [record[kind] for record in log if record["type"] == kind]


def in_a_bare_process(root: Path, *command: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Python with an empty home, an empty working folder and no W&B settings."""
    (root / "home").mkdir()
    (root / "cwd").mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    paths = {"HOME": str(root / "home"), "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, *command],
        cwd=root / "cwd",
        env={**clean, **paths, **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("mode", ["disabled", "offline"])
def test_files_are_written_in_the_experiments_own_folder_only(tmp_path, mode):
    done = in_a_bare_process(tmp_path, "-m", "tests.loopback_wandb.played", str(tmp_path), mode)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not list((tmp_path / "home").rglob("*"))
    assert not list((tmp_path / "cwd").rglob("*"))
    folder = tmp_path / "demo"
    assert [p.name for p in folder.glob("*")] == ([] if mode == "disabled" else ["wandb"])
    assert done.stdout == ("no wandb\n" if mode == "disabled" else "imported wandb\n")


def test_an_offline_run_holds_the_whole_round(wandb_client, tmp_path):
    play_all(tmp_path, "offline")
    (folder,) = run_folders(tmp_path, 1)
    log = inspect(folder)
    (run,) = of_type(log, "run")
    assert (run["display_name"], run["run_group"], run["job_type"]) == ("demo-round-01", "demo", "round")

    (shown,) = inspect(folder, "--summary")
    assert shown["state"] == "finished"
    assert shown["step"] == STEPS - 1
    assert shown["config"]["strategy"] == {"amount": 0.2}
    assert shown["config"]["inputs"] == {"key": "key1"}
    summary = shown["summary"]
    assert summary["density"] == 0.5
    assert summary["dev_wer"] == 0.25  # of the finished round, not of the last epoch's row
    assert summary["test-clean_wer"] == 0.125
    assert summary["train_loss"] == 0.25

    metrics_by_epoch = {
        m.get("name") or m["glob_name"] for m in of_type(log, "metric") if m.get("step_metric") == "epoch"
    }
    assert metrics_by_epoch == {"dev_*", "train_loss"}


def test_offline_artifacts_are_init_once_and_a_mask_a_round(wandb_client, tmp_path):
    play_all(tmp_path, "offline")
    logged = [of_type(inspect(run_folders(tmp_path, number)[0]), "artifact") for number in range(ROUNDS)]
    assert [[a["name"] for a in artifacts] for artifacts in logged] == [
        ["demo-init", "demo-mask"],
        ["demo-mask"],
        ["demo-mask"],
    ]
    mask = logged[1][0]
    assert mask["type"] == "mask"
    assert {"round-01", run_id(ID, 1)} <= set(mask["aliases"])
    files = {entry["path"]: Path(entry["local_path"]) for entry in mask["manifest"]["contents"]}
    assert files["mask.lth"] == store_files(tmp_path, 1)["mask"]  # uploaded from the store: no copy
    assert json.loads(files["round.json"].read_text())["round"] == 1


def test_equal_masks_of_two_rounds_are_two_artifacts(wandb_client, tmp_path):
    tracker = opened(tmp_path, "offline")
    for number in (0, 1):
        with tracker.round(number, inputs={"key": f"key{number}"}) as run:
            run.finish(metrics(number), artifacts(run, tmp_path, 0))
    digests = {record.artifacts[-1].digest for record in load_records(tmp_path / "demo")}
    assert len(digests) == 2


KILLED = """
import os, sys
from pathlib import Path
from tests.loopback_wandb.played import opened, play, row
root = Path(sys.argv[1])
tracker = opened(root, sys.argv[2])
play(tracker, root, 0)
run = tracker.round(1, inputs={"key": "key1"}).__enter__()
for step in range(8):
    run.log(row(step))
os.kill(os.getpid(), 9)
"""


def test_a_killed_round_is_replayed_and_a_finished_one_left_alone(wandb_client, tmp_path):
    killed = in_a_bare_process(tmp_path, "-c", KILLED, str(tmp_path), "offline")
    assert killed.returncode == -9, killed.stderr
    (finished,) = run_folders(tmp_path, 0)
    assert len(run_folders(tmp_path, 1)) == 1

    tracker = opened(tmp_path, "offline")
    play(tracker, tmp_path, 0)
    play(tracker, tmp_path, 1, first=5, history=[row(step) for step in range(5)])
    assert run_folders(tmp_path, 0) == [finished]
    (resumed,) = run_folders(tmp_path, 1)
    history = of_type(inspect(resumed), "history")
    assert [h["item"]["loss"] for h in history] == [1 / (1 + step) for step in range(STEPS)]


def test_an_exception_in_a_round_leaves_it_unfinished(wandb_client, tmp_path):
    tracker = opened(tmp_path, "offline")
    with pytest.raises(ZeroDivisionError), tracker.round(0, inputs={"key": "key0"}) as run:
        run.log(row(0))
        raise ZeroDivisionError
    assert inspect(run_folders(tmp_path, 0)[0], "--summary")[0]["exit_code"] == 1
    assert not load_records(tmp_path / "demo")


def test_two_experiments_of_one_name_keep_their_records(wandb_client, tmp_path):
    play_all(tmp_path, "offline")
    play_all(tmp_path, "offline", experiment_id="id 2")
    names = [record.run_id for record in load_records(tmp_path / "demo")]
    assert names == [run_id(one, number) for one in (ID, "id 2") for number in range(ROUNDS)]


def test_the_clients_cache_is_bounded_when_the_experiment_ends(wandb_client, tmp_path):
    tracker = opened(tmp_path, "offline", cache_gb=25e-9)
    cache = tmp_path / "demo/wandb/cache/artifacts/obj"
    cache.mkdir(parents=True)
    for number in range(4):  # ten bytes each, the first the oldest, all newer than what the client writes
        (cache / str(number)).write_bytes(b"x" * 10)
        os.utime(cache / str(number), (time.time() + 1000 + number,) * 2)
    play(tracker, tmp_path, 0)
    tracker.close()
    assert sorted(path.name for path in cache.iterdir()) == ["2", "3"]


def test_guard_returns_warns_once_and_never_raises(caplog):
    guard = Guard("demo")
    assert guard(lambda: 3) == 3
    assert guard(lambda: 3, seconds=1) == 3
    start = time.monotonic()
    assert guard(lambda: time.sleep(30), seconds=0.1) is None
    assert time.monotonic() - start < 10
    assert guard(lambda: 1 / 0) is None
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert "python -m lth sync experiments=demo" in warning.getMessage()


def test_call_with_timeout_raises_what_the_call_raises():
    with pytest.raises(ZeroDivisionError):
        call_with_timeout(5, lambda: 1 / 0)


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(UserError, match="offline, online or disabled"):
        opened(tmp_path, "on")


def test_online_without_a_login_is_refused_before_anything_starts(tmp_path):
    done = in_a_bare_process(tmp_path, "-m", "tests.loopback_wandb.played", str(tmp_path), "online")
    assert "UserError: tracking=online needs a W&B login: run `wandb login` once, or" in done.stderr
    assert not list(tmp_path.glob("demo/wandb/*run-*"))


def test_online_lineage_as_the_api_shows_it(wandb_server, tmp_path):
    play_all(tmp_path, "online")
    api = wandb.Api()
    runs = api.runs("loopback/lottery", order="+created_at")
    assert [run.name for run in runs] == ["demo-round-00", "demo-round-01", "demo-round-02"]
    assert {(run.group, run.job_type, run.state) for run in runs} == {("demo", "round", "finished")}
    assert [sorted(a.name for a in run.used_artifacts()) for run in runs] == [
        [],
        ["demo-init:v0", "demo-mask:v0"],
        ["demo-init:v0", "demo-mask:v1"],
    ]
    assert [sorted(a.name for a in run.logged_artifacts()) for run in runs] == [
        ["demo-init:v0", "demo-mask:v0"],
        ["demo-mask:v1"],
        ["demo-mask:v2"],
    ]
    assert [r["loss"] for r in runs[2].scan_history()] == [1 / (1 + step) for step in range(STEPS)]
    assert runs[2].summary["density"] == 0.25
    best = api.artifact("loopback/lottery/demo-mask:best")
    assert best.metadata["round"] == 1
    assert set(best.aliases) == {"round-01", "best", run_id(ID, 1)}
    folder = Path(api.artifact("loopback/lottery/demo-mask:extreme").download(str(tmp_path / "down")))
    assert (folder / "mask.lth").read_bytes() == b"mask 2"
    assert json.loads((folder / "round.json").read_text())["density"] == 0.25
    assert not wandb_server.state.unknown


def test_an_online_round_killed_midway_goes_on_without_doubled_rows(wandb_server, tmp_path):
    address = {"WANDB_BASE_URL": wandb_server.url, "WANDB_API_KEY": API_KEY, "WANDB_ERROR_REPORTING": "false"}
    killed = in_a_bare_process(tmp_path, "-c", KILLED, str(tmp_path), "online", **address)
    assert killed.returncode == -9, killed.stderr
    tracker = opened(tmp_path, "online")
    play(tracker, tmp_path, 0)
    play(tracker, tmp_path, 1, first=5, history=[row(step) for step in range(5)])
    tracker.close(best=1)
    assert not tracker.guard.broken
    run = wandb.Api().run(f"loopback/lottery/{run_id(ID, 1)}")
    assert run.state == "finished"
    assert [(r["_step"], r["loss"]) for r in run.scan_history()] == [(s, 1 / (1 + s)) for s in range(STEPS)]


FAULTS = ["refuse", "hang", "drop", "quota", 500, 401]


@pytest.mark.parametrize("when", ["start", "middle"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_server_does_not_stop_a_round(
    wandb_server: Server,
    tmp_path,
    monkeypatch,
    caplog,
    fault,
    when,
):
    monkeypatch.setattr(lth.tracking.rounds, "FAILED_FINISH_SECONDS", 0.5)
    tracker = opened(tmp_path, "online", init_timeout=1, finish_timeout=1)

    def fail() -> None:
        if fault == "refuse":
            wandb_server.stop()
        elif fault == "quota":  # runs are taken, files are not: 507 is Insufficient Storage
            wandb_server.misbehave(507, where="/_blob/")
        else:
            wandb_server.misbehave(fault)

    began = time.monotonic()
    if when == "start":
        fail()
    with tracker.round(0, inputs={"key": "key0"}) as run:
        for step in range(STEPS):
            run.log(row(step))
            if when == "middle" and step == 5:
                fail()
        run.finish(metrics(0), artifacts(run, tmp_path, 0))
    play(tracker, tmp_path, 1)
    tracker.close(extreme=1, best=1)
    assert time.monotonic() - began < 60  # it would be the two rounds' timeouts, a few seconds
    assert [record.round for record in load_records(tmp_path / "demo")] == [0, 1]
    (warning,) = [r for r in caplog.records if r.name.startswith("lth")]
    assert "python -m lth sync experiments=demo" in warning.getMessage()


def test_a_folder_that_cannot_be_written_does_not_stop_a_round(wandb_client, tmp_path, caplog):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "wandb").write_text("in the way")
    play_all(tmp_path, "offline")
    assert len([r for r in caplog.records if r.name.startswith("lth")]) == 1


def test_the_rounds_of_a_sweeps_trial_are_runs_of_their_own(wandb_server, tmp_path):
    state = wandb_server.state
    config = "{method: grid, program: run.py, parameters: {x: {values: [1]}}}"
    sweep = sweeps.upsert(state, {"projectName": "lottery", "config": config})["sweep"]["name"]
    os.environ |= {"WANDB_SWEEP_ID": sweep, "WANDB_RUN_ID": "trial", "WANDB_PROJECT": "lottery"}
    with wandb.init(dir=tmp_path, settings=wandb.Settings(silent=True, console="off")) as trial:
        tracker = play_all(tmp_path, "online")
        trial.log({"objective": 0.5})
    assert not tracker.guard.broken
    members = {key[2]: run.sweep for key, run in state.runs.items()}
    assert members == {"trial": sweep} | {run_id(ID, number): None for number in range(ROUNDS)}
    assert state.runs["loopback", "lottery", "trial"].summary["objective"] == 0.5
