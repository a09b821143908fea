"""Seconds to list a store of 1000 rounds, and to take a round from the store instead of training it.

    python -m benchmarks.store [--rounds 1000] [--megabytes 12]

Prints JSON. A reused round is found with all of its checksums verified, its weights read and its history told;
its weights are as large as the demo's by default. Best of five, since other processes only ever add time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from lth.files import write_jsonl
from lth.lottery.round import retold
from lth.store.housekeeping import inventory
from lth.store.maskfile import save_mask
from lth.store.store import Store
from lth.tickets.mask import Mask


def fill(store: Store, rounds: int) -> None:
    """Rounds with metrics as long as real ones, no weights to speak of; every tenth belongs to an experiment."""
    inputs = {"init": "0" * 64, "mask": "1" * 64, **{f"setting {n}": "x" * 20 for n in range(40)}}
    for number in range(rounds):
        key = f"{number:032x}"
        folder = store.root / "rounds" / key
        folder.mkdir(parents=True)
        metrics = {"key": key, "round": number % 10, "density": 0.5, "dev_wer": 0.25, "inputs": inputs}
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1))
        for name in ("mask.lth", "weights.safetensors", "hypotheses.jsonl", "history.jsonl", "SHA256SUMS"):
            (folder / name).write_bytes(b"x")
    for number in range(rounds // 10):
        folder = store.root.parent / f"experiment-{number}"
        folder.mkdir()
        keys = [f"{number * 10 + n:032x}" for n in range(10)]
        (folder / "experiment.json").write_text(json.dumps({"id": str(number), "keys": keys, "init": "0" * 64}))


def real_round(store: Store, megabytes: float) -> str:
    """A round with weights of this size, half of them pruned, and its key."""
    key, weights = "f" * 32, {f"layer{n}": torch.randn(int(megabytes * 1e6 / 4 / 12), 1) for n in range(12)}
    with store.adding(key) as folder:
        save_mask(folder / "mask.lth", Mask({name: w > 0 for name, w in weights.items()}), {"key": key})
        save_file(weights, folder / "weights.safetensors")
        (folder / "metrics.json").write_text(json.dumps({"key": key, "inputs": {}}))
        write_jsonl(folder / "history.jsonl", [{"step": n, "epoch": 0.1, "loss": 1.0, "lr": 0.1} for n in range(100)])
        write_jsonl(folder / "hypotheses.jsonl", [{"set": "dev", "id": str(n)} for n in range(500)])
    return key


def best(times: int, call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return round(min(seconds), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--megabytes", type=float, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder)
        store = Store(outputs / "store")
        fill(store, options.rounds)
        command = [sys.executable, "-m", "lth", "store", f"outputs={folder}"]
        listed = inventory(store.root, outputs)
        assert sum(item.kind == "round" for item in listed) == options.rounds
        report = {
            "rounds": options.rounds,
            "list_seconds": best(5, lambda: inventory(store.root, outputs)),
            "list_command_seconds": best(5, lambda: subprocess.run(command, check=True, capture_output=True)),
        }
        key = real_round(store, options.megabytes)

        def reuse() -> None:
            stored = store.find(key)
            stored.weights(), stored.mask(), retold(stored, [lambda row: None])

        report |= {"megabytes": options.megabytes, "reused_round_seconds": best(5, reuse)}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
