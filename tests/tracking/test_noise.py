"""The noise grid's own W&B run: what the server has of it, and that it is logged once."""

import wandb

from lth.tracking.noise import log_noise
from lth.tracking.record import load_records, run_id
from tests.commands.test_sync import run_sync
from tests.loopback_wandb import fixture
from tests.loopback_wandb.played import ID, ROUNDS, opened, play_all

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server

ROWS = [{"noise": "clean", "dense_test_wer": 0.1}, {"noise": "level 0.5", "level": 0.5, "dense_test_wer": 0.4}]
SUMMARY = {"dense_test_wer_level_0.5": 0.4}


def log(root, mode, text="round,ticket\n"):
    tracker = opened(root, mode)
    (root / "demo/noise.csv").write_text(text)
    log_noise(tracker, root / "demo/noise.csv", [0, 2], ROWS, SUMMARY, {"kind": "grid"})
    tracker.close(extreme=2, best=1)
    return tracker


def noise_runs():
    return [run for run in wandb.Api().runs("loopback/lottery") if run.job_type == "noise"]


def check(run):
    assert (run.name, run.group, run.state) == ("demo-noise", "demo", "finished")
    assert run.config["test_noise"] == {"kind": "grid"} and run.config["tested"] == [0, 2]
    assert run.summary["dense_test_wer_level_0.5"] == 0.4
    assert [row["dense_test_wer"] for row in run.scan_history()] == [0.1, 0.4]
    assert sorted(a.name for a in run.used_artifacts()) == ["demo-mask:v0", "demo-mask:v2"]
    assert [a.name for a in run.logged_artifacts()] == ["demo-noise:v0"]


def test_offline_and_uploaded_behind_the_rounds(wandb_server, tmp_path, monkeypatch, capsys):
    play_all(tmp_path, "offline")
    log(tmp_path, "offline")
    log(tmp_path, "offline")  # the experiment given again
    assert len(load_records(tmp_path / "demo")) == ROUNDS + 1
    (tmp_path / "demo/noise.csv").write_text("another grid")
    assert run_sync(monkeypatch, f"outputs={tmp_path}") == 0
    assert "demo: done, checked against the server" in capsys.readouterr().out
    (run,) = noise_runs()
    check(run)


def test_online_once_and_the_experiment_can_still_be_resumed(wandb_server, tmp_path):
    play_all(tmp_path, "online")
    assert not log(tmp_path, "online").guard.broken
    log(tmp_path, "online")
    (run,) = noise_runs()
    check(run)
    assert wandb.Api().run(f"loopback/lottery/{run_id(ID, 1)}").job_type == "round"
    assert not wandb_server.state.unknown


def test_a_server_that_is_gone_does_not_stop_it(wandb_server, tmp_path):
    play_all(tmp_path, "offline")
    wandb_server.misbehave("drop")
    tracker = opened(tmp_path, "online", init_timeout=1, finish_timeout=1)
    (tmp_path / "demo/noise.csv").write_text("x")
    log_noise(tracker, tmp_path / "demo/noise.csv", [0], ROWS, SUMMARY, {})
    assert tracker.guard.broken
    assert load_records(tmp_path / "demo")[-1].job_type == "noise"  # for `lth sync`, later
