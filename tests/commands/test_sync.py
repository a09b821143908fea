"""`python -m lth sync`: what `wandb.Api()` shows after uploading, after interruptions and after repeating."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import wandb

import lth.tracking.rounds
import lth.tracking.sync
from lth.commands.sync import main
from lth.tracking.record import run_id
from tests.loopback_wandb import fixture
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
from tests.loopback_wandb.server import Server

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server


def run_sync(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["lth", *words])
    return main("python -m lth sync")


def check_all_there(server: Server) -> None:
    """Everything the experiment recorded is on the server, once."""
    api = wandb.Api()
    runs = api.runs("loopback/lottery", order="+created_at")
    assert [run.name for run in runs] == [f"demo-round-{number:02d}" for number in range(ROUNDS)]
    for number, run in enumerate(runs):
        assert (run.group, run.job_type, run.state) == ("demo", "round", "finished")
        assert run.config["strategy"] == {"amount": 0.2}
        assert run.summary["density"] == 0.5**number
        assert [(r["_step"], r["loss"]) for r in run.scan_history()] == [(s, 1 / (1 + s)) for s in range(STEPS)]
        assert len(server.state.runs[tuple(run.path)].history) == STEPS  # not hidden by the reader either
        used = ["demo-init:v0", f"demo-mask:v{number - 1}"] if number else []
        assert sorted(a.name for a in run.used_artifacts()) == used
        logged = [f"demo-mask:v{number}"] + (["demo-init:v0"] if number == 0 else [])
        assert sorted(a.name for a in run.logged_artifacts()) == sorted(logged)
    versions = {c: server.state.collections["loopback", "lottery", c].versions for c in ("demo-init", "demo-mask")}
    assert {name: len(ids) for name, ids in versions.items()} == {"demo-init": 1, "demo-mask": ROUNDS}
    for alias, number in {"round-00": 0, "round-01": 1, "round-02": 2, "best": 1, "extreme": 2}.items():
        assert api.artifact(f"loopback/lottery/demo-mask:{alias}").metadata["round"] == number
    assert not server.state.unknown


def test_an_offline_experiment_arrives_whole_and_repeating_changes_nothing(
    wandb_server,
    tmp_path,
    monkeypatch,
    capsys,
):
    play_all(tmp_path, "offline")
    times = [r["_timestamp"] for r in lth.tracking.record.load_history(tmp_path / "demo", run_id(ID, 1))]
    assert run_sync(monkeypatch, f"outputs={tmp_path}") == 0
    assert "demo: done, checked against the server" in capsys.readouterr().out
    check_all_there(wandb_server)
    arrived = wandb.Api().run(f"loopback/lottery/{run_id(ID, 1)}").scan_history()
    assert [r["_timestamp"] for r in arrived] == pytest.approx(times[: STEPS - 1] + times[STEPS:])
    assert len(run_folders(tmp_path, 1)) == 1  # the offline run is left as it was

    uploads = wandb_server.state.operations["CreateArtifact"]
    capsys.readouterr()
    assert run_sync(monkeypatch, f"outputs={tmp_path}", "experiments=[de*]", "json=true") == 0
    assert json.loads(capsys.readouterr().out) == {"outputs": str(tmp_path), "problems": {"demo": []}}
    assert wandb_server.state.operations["CreateArtifact"] == uploads
    check_all_there(wandb_server)


def test_a_killed_upload_is_completed_by_repeating_it(wandb_server, tmp_path, monkeypatch):
    play_all(tmp_path, "offline")
    command = [sys.executable, "-m", "lth", "sync", f"outputs={tmp_path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as upload:
        for line in upload.stdout:
            if line.startswith("demo-round-01: uploading"):
                os.kill(upload.pid, signal.SIGKILL)
    assert upload.returncode == -9
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 0
    check_all_there(wandb_server)


def test_two_uploads_at_once_take_turns(wandb_server, tmp_path):
    play_all(tmp_path, "offline")
    command = [sys.executable, "-m", "lth", "sync", f"outputs={tmp_path}"]
    with lth.tracking.sync.turn(tmp_path / "demo"):
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert ["another `lth sync` is uploading it" in process.stdout.readline() for process in both] == [True] * 2
    texts = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(text.count(": uploading ") for text in texts) == [0, ROUNDS]
    assert sorted(text.count(": is there") for text in texts) == [0, ROUNDS]
    check_all_there(wandb_server)


def test_after_the_servers_death_the_upload_goes_on_where_it_stopped(wandb_server, tmp_path, monkeypatch):
    monkeypatch.setattr(lth.tracking.rounds, "FAILED_FINISH_SECONDS", 0.5)
    tracker = opened(tmp_path, "online", init_timeout=1, finish_timeout=1)
    play(tracker, tmp_path, 0)
    with tracker.round(1, inputs={"key": "key1"}) as run:
        for step in range(STEPS):
            run.log(row(step))
            if step == 5:
                wandb_server.misbehave("drop")
        run.finish(metrics(1), artifacts(run, tmp_path, 1))
    play(tracker, tmp_path, 2)
    tracker.close(extreme=2, best=1)
    assert tracker.guard.broken
    wandb.teardown()

    wandb_server.misbehave(None)
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 0
    check_all_there(wandb_server)


def test_it_adds_what_wandb_sync_leaves_out(wandb_server, tmp_path, monkeypatch):
    play_all(tmp_path, "offline")
    for number in range(ROUNDS):
        command = [sys.executable, "-m", "wandb", "sync", str(run_folders(tmp_path, number)[0])]
        subprocess.run(command, check=True, capture_output=True)
    assert not wandb_server.state.runs["loopback", "lottery", run_id(ID, 1)].used
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 0
    check_all_there(wandb_server)


def test_artifacts_are_made_again_from_the_store(wandb_server, tmp_path, monkeypatch):
    """The staged files and W&B's own runs are gone, and the outputs have moved."""
    play_all(tmp_path / "before", "offline")
    (tmp_path / "before").rename(tmp_path / "after")
    shutil.rmtree(tmp_path / "after" / "demo" / "wandb" / "data")
    for number in range(ROUNDS):
        shutil.rmtree(run_folders(tmp_path / "after", number)[0])
    assert run_sync(monkeypatch, f"experiments={tmp_path}/after/demo") == 0
    check_all_there(wandb_server)


def test_a_mask_gone_from_the_store_is_reported(wandb_server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lth.tracking.sync, "PATIENCE", 0)
    play_all(tmp_path, "offline")
    mask = store_files(tmp_path, 1)["mask"]
    mask.unlink()
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 1
    printed = capsys.readouterr()
    assert "demo: incomplete" in printed.out
    assert "mask.lth" in printed.err

    mask.write_bytes(b"another mask")
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 1
    assert "is not what it was" in capsys.readouterr().err

    store_files(tmp_path, 1)
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 0


def test_done_is_said_only_after_reading_back(wandb_server, tmp_path, monkeypatch, capsys):
    """Uploads that change nothing on the server are found out."""
    monkeypatch.setattr(lth.tracking.sync, "PATIENCE", 0)
    monkeypatch.setattr(lth.tracking.sync, "upload", lambda *arguments, **options: [])
    play_all(tmp_path, "offline")
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 1
    printed = capsys.readouterr()
    assert "demo: incomplete" in printed.out
    assert "demo-round-02: demo-mask is not on the server" in printed.err
    assert "demo-round-02: extreme is not on the server" in printed.err


def test_an_artifact_with_other_content_is_not_taken_for_ours(wandb_server, tmp_path, monkeypatch, capsys):
    play_all(tmp_path, "offline")
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 0
    for artifact in wandb_server.state.artifacts.values():
        artifact.digest = "0" * 32
    monkeypatch.setattr(lth.tracking.sync, "PATIENCE", 0)
    monkeypatch.setattr(lth.tracking.sync, "upload", lambda *arguments, **options: [])
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 1
    assert "demo-round-00: demo-init is not on the server" in capsys.readouterr().err


def test_two_experiments_of_one_name_keep_their_own_lineage(wandb_server, tmp_path, monkeypatch):
    """Their masks share a collection, in which `round-NN`, `best` and `extreme` belong to the newer one."""
    play_all(tmp_path, "offline")
    play_all(tmp_path, "offline", experiment_id="id 2", config={"seed": 8})
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 0
    api = wandb.Api()
    for one in (ID, "id 2"):
        run = api.run(f"loopback/lottery/{run_id(one, 2)}")
        used = {alias for artifact in run.used_artifacts() for alias in artifact.aliases}
        assert {run_id(one, 0), run_id(one, 1)} <= used
    assert run_id("id 2", 2) in api.artifact("loopback/lottery/demo-mask:extreme").aliases


def test_it_needs_a_login(wandb_client, tmp_path, monkeypatch, capsys):
    play_all(tmp_path, "offline")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 2
    assert "run `wandb login` first" in capsys.readouterr().err


def test_an_unknown_experiment_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "untracked").mkdir()
    assert run_sync(monkeypatch, f"outputs={tmp_path}", "experiments=dmeo") == 2
    assert "experiments=dmeo: there is none of that name" in capsys.readouterr().err
    assert run_sync(monkeypatch, f"outputs={tmp_path}", "experiments=untracked") == 2
    assert "tracking=offline" in capsys.readouterr().err


def test_a_dead_server_is_reported_in_a_sentence(wandb_server, tmp_path, monkeypatch, capsys):
    play_all(tmp_path, "offline")
    wandb_server.misbehave(401)
    assert run_sync(monkeypatch, f"experiments={tmp_path}/demo") == 2
    assert "W&B failed while demo was uploaded" in capsys.readouterr().err
