"""Seconds and memory to analyse many experiments, to resample a test set, and to compare large masks.

    python -m benchmarks.analysis [--experiments 200] [--rounds 10] [--utterances 230] [--masks 20]

Prints JSON. The experiments are made up: random masks of a small model, hypotheses with random errors. Targets: 200
experiments of 10 rounds in 10 s and 1 GiB; 10 000 resamples of 2620 utterances in 1 s; the overlaps of 20 masks of
86.6 M weights in 20 s.
"""

import argparse
import io
import itertools
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from rich.console import Console

from lth.analysis.analyse import analyse
from lth.analysis.measure.overlap import Packed, overlap
from lth.files import write_jsonl, write_sums
from lth.speech.bootstrap import Bootstrap
from lth.speech.wer import score
from lth.store.maskfile import save_mask
from lth.store.rows import Row, write_csv
from lth.tickets.mask import Mask

STRATEGIES = ("constant", "decaying", "cubic", "one_shot")
#: Prunable matrices of the paper's 86.6 M parameters, roughly: one number a layer.
LARGE = (14_432, 236_544, *(10_747_904,) * 2, *(8_388_608,) * 8, 29_696)


def fill(outputs: Path, experiments: int, rounds: int, utterances: int) -> None:
    """Experiments as `run.py` leaves them, without weights; a tenth of the utterances are dev."""
    rng = np.random.default_rng(0)
    words = [f"word{n}" for n in range(500)]
    texts = [" ".join(rng.choice(words, rng.integers(3, 12))) for _ in range(utterances)]
    sets = ["dev" if n % 2 else "test" for n in range(utterances)]
    masks = [
        Mask({"w": torch.rand(64, 64) < 0.8**n}) if n else Mask.dense({"w": torch.ones(64, 64)}) for n in range(rounds)
    ]
    for number in range(experiments):
        folder, rows, keys = outputs / f"experiment-{number:03d}", [], []
        (folder / "rounds").mkdir(parents=True)
        for n, mask in enumerate(masks):
            key = f"{number:016x}{n:016x}"
            rows.append(_round(outputs / "store/rounds" / key, n, mask, texts, sets, rng))
            keys.append(key)
            (folder / "rounds" / f"round-{n:02d}").symlink_to(Path("../../store/rounds") / key)
        write_csv(folder / "rounds.csv", rows)
        about = {"id": f"id-{number}", "name": folder.name, "keys": keys, "rounds": rounds - 1, "finished": True}
        (folder / "experiment.json").write_text(json.dumps(about))
        schedule = {"_target_": f"lth.tickets.schedule.{STRATEGIES[number % len(STRATEGIES)]}"}
        config = {"seed": number // len(STRATEGIES), "corpus": {"name": "made-up"}, "strategy": {"schedule": schedule}}
        (folder / "config.yaml").write_text(json.dumps(config))


def _round(folder: Path, number: int, mask: Mask, texts: list[str], sets: list[str], rng) -> Row:
    folder.mkdir(parents=True)
    wrong = rng.random(len(texts)) < 0.2
    heard = [" ".join(["oops", *text.split()[1:]]) if bad else text for text, bad in zip(texts, wrong, strict=True)]
    rows = [
        {"set": name, "id": f"u{n}", "reference": text, "hypothesis": said}
        for n, (name, text, said) in enumerate(zip(sets, texts, heard, strict=True))
    ]
    write_jsonl(folder / "hypotheses.jsonl", rows)
    wer = {}
    for name in ("dev", "test"):
        own = [row for row in rows if row["set"] == name]
        found = score([row["reference"] for row in own], [row["hypothesis"] for row in own])
        wer[name] = {"wer": found.wer, "cer": found.cer}
    metrics = {
        "key": folder.name,
        "round": number,
        "density": mask.density,
        "density_total": mask.density,
        "dev_wer": wer["dev"]["wer"],
        "dev_cer": wer["dev"]["cer"],
        "test_wer": wer["test"]["wer"],
        "test_cer": wer["test"]["cer"],
        "tests": {"test": wer["test"]},
        "inputs": {"corpus": "fingerprint"},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    save_mask(folder / "mask.lth", mask, {"round": number})
    write_sums(folder)
    return Row.from_metrics(metrics)


def seconds(call) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def overlaps(masks: int) -> dict:
    """All pairs of large random masks."""
    packed = []
    for seed in range(masks):
        bits = np.random.default_rng(seed)
        layers = {}
        for n, size in enumerate(LARGE):
            one = np.frombuffer(bits.bytes((size + 7) // 8), dtype=np.uint8)
            layers[f"layer{n}"] = (one, int(np.bitwise_count(one).sum()), size)
        packed.append(Packed(layers))
    pairs = list(itertools.combinations(packed, 2))
    return {
        "masks": masks,
        "weights": sum(LARGE),
        "pairs": len(pairs),
        "seconds": seconds(lambda: [overlap(*p) for p in pairs]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("experiments", 200), ("rounds", 10), ("utterances", 230), ("masks", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    config = OmegaConf.load(Path(__file__).resolve().parents[1] / "conf" / "analyze.yaml")
    with tempfile.TemporaryDirectory() as scratch:
        fill(Path(scratch), options.experiments, options.rounds, options.utterances)
        config.outputs = scratch
        taken = seconds(lambda: analyse(config, Console(file=io.StringIO(), width=100)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    words = np.random.default_rng(0).integers(5, 40, 2620)
    errors = np.random.default_rng(1).binomial(words, 0.1)[:, None]
    bootstrap = min(seconds(lambda: Bootstrap(words, 10_000).intervals(errors)) for _ in range(3))
    sizes = {name: getattr(options, name) for name in ("experiments", "rounds", "utterances")}
    found = {
        "benchmark": "analysis",
        "analysis": {**sizes, "seconds": round(taken, 2), "peak_gib": round(peak, 2)},
        "bootstrap": {"utterances": 2620, "resamples": 10_000, "seconds": round(bootstrap, 3)},
        "overlap": overlaps(options.masks),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
