"""Reading and writing files, and locks between processes."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lth.errors import UserError
from lth.files import lock, read_json, read_jsonl, save_tensors, write_jsonl

HOLD = """
import sys, time
from pathlib import Path
from lth.files import lock
with lock(Path(sys.argv[1]), waiting=lambda: print("waiting", flush=True)) as held:
    print("held", held, flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path: Path, seconds: float) -> subprocess.Popen:
    """A process that holds a lock for so long, or until it is killed."""
    command = [sys.executable, "-c", HOLD, str(path), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_json_that_is_not_there_is_empty(tmp_path):
    assert read_json(tmp_path / "none.json") == {}


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b"3", b"[" * 100_000])
def test_damaged_json_is_named(tmp_path, content):
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(UserError, match=r"state\.json is damaged \(.*\): fetch it again$"):
        read_json(tmp_path / "state.json", "fetch it again")


def test_json_lines_come_back_as_they_were_written(tmp_path):
    rows = [{"id": "ä", "loss": 0.1}, {"id": "b\nc", "loss": None}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()[0] == '{"id": "ä", "loss": 0.1}'
    assert read_jsonl(tmp_path / "rows.jsonl") == rows
    write_jsonl(tmp_path / "numbers.jsonl", [{"loss": np.float32(0.5), "wer": torch.tensor(0.25)}])
    assert read_jsonl(tmp_path / "numbers.jsonl") == [{"loss": 0.5, "wer": 0.25}]


def test_damaged_json_lines_are_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a"')
    with pytest.raises(UserError, match=r"rows\.jsonl is damaged"):
        read_jsonl(tmp_path / "rows.jsonl")


def test_a_lock_is_one_process_at_a_time_and_ends_with_it(tmp_path):
    path = tmp_path / "locks" / "key"
    with holder(path, 60) as process:
        assert process.stdout.readline() == "held True\n"
        with lock(path, wait=False) as held:
            assert not held
        with open(path) as file, pytest.raises(BlockingIOError):  # noqa: PTH123 the system's own view
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process.kill()
        process.wait()
        with lock(path, wait=False) as held:
            assert held


def test_whoever_waits_says_so_once_and_gets_the_lock(tmp_path):
    with lock(tmp_path / "key") as held:
        assert held
        process = holder(tmp_path / "key", 0)
        assert process.stdout.readline() == "waiting\n"
    assert process.communicate(timeout=30)[0] == "held True\n"


def test_the_lock_is_given_back_when_its_block_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), lock(tmp_path / "key"):
        raise ZeroDivisionError
    with lock(tmp_path / "key", wait=False) as held:
        assert held


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, code):
    """NFS without its lock daemon, and Lustre mounted without flock."""

    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(UserError, match=r"without locks \(.*\): put outputs= and store= on another disk"),
        lock(tmp_path / "key"),
    ):
        raise AssertionError("not held")


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_tensors_are_for_whom_the_umask_says(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        save_tensors({"a": torch.arange(6.0).reshape(2, 3).T}, tmp_path / "a.safetensors", {"tree": "x"})
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == mode
    assert torch.equal(load_file(tmp_path / "a.safetensors")["a"], torch.arange(6.0).reshape(2, 3).T)
