"""Two processes that need the same round: one trains it, the other waits, and takes over when the first dies."""

import csv
import json
import signal
import subprocess
import time

from tests.lotteries import play, result, start

#: The process reports that it has come to this step, then waits for leave to go on.
PAUSE = """
import os, time, lth.training.callbacks
original, calls = lth.training.callbacks.History.on_train_batch_end, [0]
def pausing(*args, **kwargs):
    calls[0] += 1
    if calls[0] == {call}:
        open({folder!r} + '/paused', 'w').close()
        while not os.path.exists({folder!r} + '/go'):
            time.sleep(0.05)
    return original(*args, **kwargs)
lth.training.callbacks.History.on_train_batch_end = pausing
"""


def until_paused(process: subprocess.Popen, folder) -> None:
    while not (folder / "paused").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def until_waiting(process: subprocess.Popen) -> None:
    for line in process.stderr:
        if "another process is training round" in line:
            return
    raise AssertionError("it did not wait")


def counts(folder) -> list[bool]:
    """Which rounds of an experiment were reused."""
    with (folder / "rounds.csv").open() as file:
        return [row["reused"] == "true" for row in csv.DictReader(file)]


def test_the_other_takes_over_when_the_trainer_dies(cache, tmp_path):
    shared, reference = tmp_path / "shared", tmp_path / "reference"
    # in the second epoch of round 1; an epoch has ten steps
    first = start("name=first", outputs=shared, cache=cache, code=PAUSE.format(call=33, folder=str(tmp_path)))
    until_paused(first, tmp_path)
    second = start("name=second", outputs=shared, cache=cache)
    until_waiting(second)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    said, errors = second.communicate(timeout=300)
    assert second.returncode == 0, errors
    assert "2 rounds trained, 1 reused" in said
    (only,) = [line for line in said.splitlines() if line.startswith("round 1/2") and "epoch" in line]
    assert "epoch 2/2" in only  # the first epoch was the dead trainer's
    done = play("name=second", outputs=reference, cache=cache)
    assert done.returncode == 0, done.stderr
    assert result(shared / "second") == result(reference / "second")


def test_the_other_waits_and_has_the_round_too(cache, tmp_path):
    outputs = tmp_path / "outputs"
    words = ("rounds=1", "tracking=offline")
    first = start(*words, "name=first", outputs=outputs, cache=cache, code=PAUSE.format(call=15, folder=str(tmp_path)))
    until_paused(first, tmp_path)
    second = start(*words, "name=second", outputs=outputs, cache=cache)
    until_waiting(second)
    (tmp_path / "go").touch()
    for process in (first, second):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    reused = [counts(outputs / name) for name in ("first", "second")]
    assert [a + b for a, b in zip(*reused, strict=True)] == [1, 1]  # each round was trained by one of them
    assert (reused[0][0], reused[1][0]) == (False, True)
    assert len(list((outputs / "store/rounds").iterdir())) == 2
    assert result(outputs / "first") == result(outputs / "second")

    (record,) = outputs.glob("second/wandb/records/*-round-00")  # W&B hears the whole round, though it was not trained
    assert json.loads((record / "record.json").read_text())["config"]["reused"] is True
    told = [json.loads(line) for line in (record / "history.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in (outputs / "second/rounds/round-00/history.jsonl").read_text().splitlines()]
    assert [{name: value for name, value in row.items() if name != "_timestamp"} for row in told] == rows
