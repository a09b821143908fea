"""An experiment played without training, for the tests of tracking; also a program: played.py FOLDER MODE."""

import json
import sys
from pathlib import Path

from lth.store.store import StoredRound
from lth.tracking.artifacts import Artifact, round_artifacts
from lth.tracking.record import run_id
from lth.tracking.rounds import RoundRun, SilentRun
from lth.tracking.session import TrackingOptions
from lth.tracking.tracker import Tracker

ROUNDS = 3
STEPS = 12
ID = "id 1"


def row(step: int) -> dict:
    return {"step": step, "epoch": step / 10, "loss": 1 / (1 + step), "lr": 0.1}


def scores(step: int) -> dict:
    return {"step": step, "epoch": 2.0, "dev_wer": 0.5, "dev_cer": 0.2, "dev_loss": 1.5, "train_loss": 0.25}


def metrics(number: int) -> dict:
    return {
        "round": number,
        "key": f"key{number}",
        "density": 0.5**number,
        "dev_wer": 0.25,
        "tests": {"test-clean": {"wer": 0.125, "cer": 0.0625, "words": 80}},
        "inputs": {"corpus": "synthetic"},
    }


def store_files(root: Path, number: int) -> dict[str, Path]:
    """The store's files of a round: an init that all rounds share, and a mask of its own."""
    files = {"init": root / "store" / "init.safetensors", "mask": root / "store" / str(number) / "mask.lth"}
    files["mask"].parent.mkdir(parents=True, exist_ok=True)
    files["init"].write_bytes(b"init")
    files["mask"].write_bytes(b"mask %d" % number)
    return files


def artifacts(run: RoundRun | SilentRun, root: Path, number: int) -> list[Artifact]:
    """The init and mask of a round, as a lottery logs them; its `round` artifact has a test of its own."""
    files = store_files(root, number)
    files["mask"].with_name("metrics.json").write_text(json.dumps(metrics(number)))
    stored = StoredRound(files["mask"].parent)
    logged = round_artifacts(run.record, stored, init=files["init"], rewind=None, about={}, weights=False)
    return [artifact for artifact in logged if artifact.kind != "round"]


def opened(root: Path, mode: str, **changes) -> Tracker:
    options = {"project": "lottery", "init_timeout": 20, "finish_timeout": 20}
    about = {
        "experiment": "demo",
        "experiment_id": ID,
        "folder": root / "demo",
        "config": {"seed": 7, "strategy": {"amount": 0.2}},
    }
    options |= {name: value for name, value in changes.items() if name not in about}
    about |= {name: value for name, value in changes.items() if name in about}
    return Tracker.open(TrackingOptions(mode, **options), **about)


def play(tracker: Tracker, root: Path, number: int, first: int = 0, **options) -> None:
    """A whole round; one that is resumed begins with step `first`."""
    with tracker.round(number, inputs={"key": f"key{number}"}, **options) as run:
        for step in range(first, STEPS):
            run.log(row(step))
        run.log(scores(STEPS - 1))
        run.finish(metrics(number), artifacts(run, root, number))


def play_all(root: Path, mode: str, **changes) -> Tracker:
    tracker = opened(root, mode, **changes)
    for number in range(ROUNDS):
        play(tracker, root, number)
    tracker.close(extreme=2, best=1)
    return tracker


def run_folders(root: Path, number: int) -> list[Path]:
    return sorted((root / "demo" / "wandb").glob(f"*run-*-{run_id(ID, number)}"))


if __name__ == "__main__":
    play_all(Path(sys.argv[1]), sys.argv[2])
    print("imported wandb" if "wandb" in sys.modules else "no wandb")
