"""How much speech a second of training goes through, in JSON.

    python -m benchmarks.training                          # on the built-in corpus
    python -m benchmarks.training --corpus an4 --root DIR  # on AN4, as in docs/results/speed.md

Each model trains one epoch of a fixed subset through the same code as an experiment, loader, SpecAugment,
optimiser and masks included. The fastest of `--repeats` counts, beside what the machine can do at best: a
large matrix product in the same precision.
"""

import argparse
import json
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from lth.lottery.setup.names import compose
from lth.lottery.setup.setting import ExperimentSetup, prepare
from lth.speech.batches import Batches
from lth.tickets.mask import Mask
from lth.training.callbacks import KeepPruned
from lth.training.train import train

REFERENCE_MODEL = ("model=deepspeech2_paper", "features=spectrogram", "augment=reference")
PRESETS = ("_gru", "_mingru", "_minlstm", "_residual", "_streaming")
MODELS = {
    "small preset": ((), 320),
    **{f"deepspeech2{preset}": ((f"model=deepspeech2{preset}",), 320) for preset in PRESETS},
    **{name: ((f"model={name}",), 320) for name in ("conformer", "transducer", "transducer_conformer", "transformer")},
    "small preset, minGRU": (("model.rnn=mingru",), 320),
    "3 x BiLSTM 256": ((*REFERENCE_MODEL, "model.layers=3", "model.units=256"), 160),
    "3 x BiminGRU 256": ((*REFERENCE_MODEL, "model.rnn=mingru", "model.layers=3", "model.units=256"), 160),
    "5 x BiLSTM 1024": (REFERENCE_MODEL, 48),
    "5 x BiminGRU 1024": ((*REFERENCE_MODEL, "model.rnn=mingru"), 48),
}
"""Name -> (overrides, utterances of the subset)."""


def gemm_peak(precision: str, size: int = 2048, seconds: float = 1.0) -> float:
    """Return the GFLOP/s of the best of many square matrix products."""
    dtype = torch.bfloat16 if precision.startswith("bf16") else torch.float32
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def subset(setting: ExperimentSetup, utterances: int) -> ExperimentSetup:
    """Return the setting with an even sample of its train split, by duration, and one dev utterance."""
    cuts = setting.corpus.train.to_eager().sort_by_duration()
    chosen = [cut for n, cut in enumerate(cuts) if n * utterances // len(cuts) != (n - 1) * utterances // len(cuts)]
    corpus = replace(setting.corpus, train=type(cuts).from_cuts(chosen), dev=setting.corpus.dev.subset(first=1))
    return replace(setting, corpus=corpus, utterances=len(chosen))


def speed(setting: ExperimentSetup, density: float) -> float:
    """Return audio seconds a second over one epoch, at a random mask of this density."""
    mask = setting.dense()
    if density < 1:
        generator = torch.Generator().manual_seed(0)
        mask = Mask({name: torch.rand(bits.shape, generator=generator) < density for name, bits in mask.items()})
    options = setting.config.trainer
    with tempfile.TemporaryDirectory() as folder:
        history = train(
            setting.recogniser(setting.init),
            KeepPruned(mask),
            Batches(setting.train_batches, setting.dev_batches()),
            device=setting.device,
            folder=Path(folder),
            epochs=1,
            gradient_clip=options.gradient_clip,
            accumulate=1,
            patience=None,
            log_every=10,
            listeners=[],
            display=[],
        )
    return history.audio_seconds / history.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="synthetic")
    parser.add_argument("--root", help="corpus.root, where the corpus needs one")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--precisions", nargs="*", default=["bf16-mixed", "32-true"])
    parser.add_argument("--density", type=float, default=1.0)
    arguments = parser.parse_args()
    data = [f"corpus={arguments.corpus}", *([f"corpus.root={arguments.root}"] if arguments.root else [])]
    results = []
    for precision in arguments.precisions:
        peak = gemm_peak(precision)
        for name in arguments.models:
            overrides, utterances = MODELS[name]
            setting = prepare(compose([*data, *overrides, f"trainer.precision={precision}", "trainer.batch_size=16"]))
            small = subset(setting, utterances)
            speeds = [speed(small, arguments.density) for _ in range(arguments.repeats)]
            results.append(
                {
                    "model": name,
                    "parameters": setting.parameters,
                    "precision": precision,
                    "audio_seconds_per_second": round(max(speeds), 2),
                    "all": [round(s, 2) for s in speeds],
                    "gemm_gflops": round(peak, 1),
                }
            )
    machine = {"processor": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    print(json.dumps({"benchmark": "training", "corpus": arguments.corpus, **machine, "results": results}, indent=1))


if __name__ == "__main__":
    main()
