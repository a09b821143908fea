"""What tracking costs a round: disabled against offline, and against online on a loopback server.

    python -m benchmarks.tracking [--repeats 3] [--rounds 2] [KEY=VALUE ...]

Plays the demo's rounds (or those of the Hydra words given, such as `corpus.sizes.train=300 trainer.max_epochs=1`)
in each mode in turn, the order changing with every repeat, each in a store of its own. Prints JSON:

    calls_seconds     seconds a round inside calls to the tracker: what training waits for, measured directly
    paired_seconds    mean difference of a whole round to the same round with tracking disabled, and its
                      standard error: also holds what W&B's own process takes away, and the machine's noise
    reused_seconds    a round that another experiment finds in the store
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from lth.lottery.experiment import run
from lth.lottery.plan import Plan
from lth.lottery.setup import names
from lth.tracking.rounds import RoundRun
from lth.tracking.tracker import Tracker

MODES = ("disabled", "offline", "online")
CONF = Path(__file__).resolve().parents[1] / "conf"


class Clock:
    """Seconds spent inside the methods that it watches."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, owner: type, name: str) -> None:
        method: Callable = getattr(owner, name)

        def timed(*args, **kwargs):
            start = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        setattr(owner, name, timed)


@contextlib.contextmanager
def loopback(folder: Path) -> Iterator[None]:
    """The tests' double of the W&B backend in a process of its own."""
    command = [sys.executable, "-m", "tests.loopback_wandb", "--port", "0", "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            words = dict(word.split("=", 1) for word in server.stdout.readline().split() if "=" in word)
            os.environ |= words
            yield
        finally:
            server.terminate()


def play(words: list[str], outputs: Path, clock: Clock) -> list[dict]:
    """An experiment; of every round after the first, which also waits for the corpus, seconds and calls."""
    marks = []
    config = names.compose([*words, f"outputs={outputs}"])
    run(
        Plan.of(config),
        Console(file=io.StringIO()),
        on_round=lambda rows: marks.append((time.perf_counter(), clock.seconds)),
    )
    return [
        {"seconds": after - before, "calls": calls - earlier} for (before, earlier), (after, calls) in pairwise(marks)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2, help="pruned rounds; the dense one is not counted")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    clock = Clock()
    for owner, name in ((Tracker, "round"), (RoundRun, "__enter__"), (RoundRun, "log"), (RoundRun, "finish")):
        clock.watch(owner, name)

    timings: dict[str, list[dict]] = {mode: [] for mode in MODES}
    reused: dict[str, list[float]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as folder, loopback(Path(folder) / "server"):
        words = [f"rounds={options.rounds}", f"corpus.cache={folder}/corpus", *options.words]
        play([*words, "tracking=disabled", "rounds=0"], Path(folder) / "warm", clock)
        for repeat in range(options.repeats):
            for mode in MODES[repeat % 3 :] + MODES[: repeat % 3]:
                outputs = Path(folder) / f"{mode}-{repeat}"
                timings[mode] += play([*words, f"tracking={mode}", f"name={mode}{repeat}"], outputs, clock)
                again = play([*words, f"tracking={mode}", f"name={mode}{repeat}again"], outputs, clock)
                reused[mode] += [row["seconds"] for row in again]

    report: dict = {"rounds": len(timings["disabled"]), "cpus": os.cpu_count(), "load": os.getloadavg()[0]}
    plain = [row["seconds"] for row in timings["disabled"]]
    report["round_seconds"] = round(statistics.median(plain), 3)
    for mode in MODES:
        calls = statistics.median(row["calls"] for row in timings[mode])
        pairs = [row["seconds"] - without for row, without in zip(timings[mode], plain, strict=True)]
        error = statistics.stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else None
        report[mode] = {
            "calls_seconds": round(calls, 4),
            "calls_percent": round(100 * calls / statistics.median(plain), 2),
            "paired_seconds": round(statistics.mean(pairs), 3),
            "paired_standard_error": None if error is None else round(error, 3),
            "reused_seconds": round(statistics.median(reused[mode]), 3),
        }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
