"""Seconds and memory until the first batch of a manifest of 300 000 utterances, in JSON.

    python -m benchmarks.manifest [--utterances 300000] [--distinct]

The lines point to a few small files, or with `--distinct` each to a path of its own (a hard link to one of them, so
that no disk is timed). `cold` reads a manifest for the first time, `warm` finds what that has left in `corpus.cache`.
Each is a process of its own, its start and imports included; `imports` is what these alone take.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

FILES = 200
FIRST = """
import json, resource, sys, time
from lth.lottery.setup.names import compose
from lth.lottery.plan import check_fits
from lth.lottery.setup.setting import prepare

def now():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_seconds": round(time.process_time(), 2), "peak_mib": round(peak)}

imports = now()
setting = prepare(compose(["corpus=manifest", "trainer.threads=1", *sys.argv[1:]]))
check_fits(setting)  # as run.py does before it trains
batch = next(iter(setting.train_batches(0)))
found = {"utterances": setting.utterances, "of_the_batch": len(batch["ids"])}
print(json.dumps({**now(), "imports": imports, **found, "fingerprint": setting.corpus.fingerprint[:16]}))
"""


def make(folder: Path, utterances: int, distinct: bool) -> None:
    """Write three manifests and their audio: one to four seconds of noise, texts of two to five of 5000 words."""
    chance, stream = random.Random(0), np.random.default_rng(0)
    clips = [f"clips/{n}.flac" for n in range(FILES)]
    (folder / "clips").mkdir()
    for clip in clips:
        soundfile.write(folder / clip, stream.normal(0, 0.05, chance.randint(16_000, 64_000)), 16_000)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 8))) for _ in range(5000)]
    for split, size in (("train", utterances), ("dev", 300), ("test", 300)):
        with (folder / f"{split}.jsonl").open("w") as file:
            for n in range(size):
                audio = clips[n % FILES]
                if distinct:
                    audio = f"{split}/{n // 1000}/{n}.flac"
                    (folder / audio).parent.mkdir(parents=True, exist_ok=True)
                    (folder / audio).hardlink_to(folder / clips[n % FILES])
                text = " ".join(chance.choices(words, k=chance.randint(2, 5)))
                row = {"audio": audio, "text": text, "speaker": f"s{n % 2000}", "id": f"{split}-{n:06d}"}
                file.write(json.dumps(row) + "\n")


def first_batch(folder: Path) -> dict:
    """Return what a process took that has only asked for its first batch."""
    words = [f"corpus.{split}={folder / f'{split}.jsonl'}" for split in ("train", "dev", "test")]
    command = [sys.executable, "-c", FIRST, *words, f"corpus.cache={folder / 'cache'}"]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {"seconds": round(time.perf_counter() - started, 2), **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=300_000)
    parser.add_argument("--distinct", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, options.utterances, options.distinct)
        report = {"benchmark": "manifest", **vars(options), "cpus": os.cpu_count(), "load": os.getloadavg()[0]}
        report |= {"processor": platform.processor() or platform.machine()}
        report |= {"cold": first_batch(folder), "warm": first_batch(folder)}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
