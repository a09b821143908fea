"""Lotteries on a disk that gets full: run in a mount namespace of its own, prints one JSON document.

unshare --mount python -m tests.lottery.full_disk CACHE MOUNT_POINT
"""

import contextlib
import io
import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import safetensors.torch

import lth.lottery.round
import lth.store.folder
import lth.store.store
import lth.training.checkpoint
from lth.files import damaged
from tests.attempts import attempt, checksums
from tests.lotteries import result

SIZE = 24 * 2**20
MOMENTS = {
    "a checkpoint": (lth.training.checkpoint, "save_tensors", 3),
    "a round's mask": (lth.lottery.round, "save_mask", 2),
    "a round's checksums": (lth.store.store, "write_sums", 3),  # the first ones are the init's
    "the table of rounds": (lth.store.folder, "write_csv", 2),
    "the init": (safetensors.torch, "save_file", 1),
}


def fill(disk: Path) -> Path:
    """Take all that is left, to the last byte."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return disk / "filler"


def filling(disk: Path, call: int, original):
    """``original``, before whose ``call``-th call the disk gets full."""
    calls = [0]

    def replacement(*args, **kwargs):
        calls[0] += 1
        if calls[0] == call:
            fill(disk)
        return original(*args, **kwargs)

    return replacement


def said(*words: str, outputs: Path, cache: Path) -> dict:
    """Exit code and stderr of an attempt."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as stderr:
        code = attempt("rounds=1", *words, outputs=outputs, cache=cache)
    return {"code": code, "lines": stderr.getvalue().splitlines()}


def digest(outputs: Path) -> str:
    return sha256(repr(result(outputs / "demo")).encode()).hexdigest()


def trial(disk: Path, cache: Path, prepare=contextlib.nullcontext) -> dict:
    """What an attempt says on a disk that gets full, what it leaves, and what the next one makes of it."""
    outputs = disk / "outputs"
    with prepare():
        full = said(outputs=outputs, cache=cache)
    (disk / "filler").unlink()
    rounds = sorted((outputs / "store" / "rounds").glob("*"))
    left = {
        "damaged": [problem for folder in rounds if (problem := damaged(folder))],
        "finished": len(rounds),
        "litter": [name for name in checksums(disk) if ".tmp" in name or ".making" in name or "/new/" in name],
    }
    before = checksums(outputs / "store" / "rounds") if rounds else {}
    again = said(outputs=outputs, cache=cache)
    after = checksums(outputs / "store" / "rounds")
    kept = all(after.get(name) == value for name, value in before.items())
    return {"full": full, **left, "again": again, "kept": kept, "result": digest(outputs)}


def main(cache: Path, disk: Path) -> None:
    said(outputs=cache / "reference", cache=cache)
    found = {"reference": digest(cache / "reference")}

    @contextlib.contextmanager
    def at(module, function, call):
        original = getattr(module, function)
        setattr(module, function, filling(disk, call, original))
        try:
            yield
        finally:
            setattr(module, function, original)

    @contextlib.contextmanager
    def nearly_full():
        filler = fill(disk)
        with filler.open("r+b") as file:
            file.truncate(filler.stat().st_size - 2**20)
        yield

    for moment, where in MOMENTS.items():
        with mounted(disk):
            found[moment] = trial(disk, cache, lambda where=where: at(*where))
    with mounted(disk):
        found["the corpus"] = trial(disk, disk / "corpus", nearly_full)
    print(json.dumps(found))


@contextlib.contextmanager
def mounted(disk: Path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
