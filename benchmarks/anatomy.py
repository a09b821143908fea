"""Seconds and memory to compare large masks with each other, and to look into one ticket.

    python -m benchmarks.anatomy [--masks 20]

Prints JSON. Masks are random, of the 86.5 M prunable weights of the paper's DeepSpeech2, read from mask files as an
analysis reads them. Target: all pairs of 20 masks in 20 s on one core. `extra_gib` is the peak resident memory beyond
what stood before the first mask was read.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import torch

from benchmarks.prune import layers, peak_bytes, reset_peak
from lth.analysis.measure.overlap import Packed, overlap
from lth.store.maskfile import load_mask, save_mask
from lth.tickets.anatomy import effective_rank, units
from lth.tickets.mask import Mask


def random_mask(seed: int, density: float) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    below = round(density * 256)
    shapes = {f"{layer}.{name}": shape for layer, own in layers().items() for name, shape in own.items()}
    return Mask(
        {
            name: torch.randint(256, shape, generator=generator, dtype=torch.uint8) < below
            for name, shape in shapes.items()
        }
    )


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    call()
    return round(time.perf_counter() - started, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masks", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch) / f"{seed}.lth" for seed in range(options.masks)]
        for seed, file in enumerate(files):
            save_mask(file, random_mask(seed, 0.2), {})
        reset_peak()
        before, packed = peak_bytes(), []
        reading = seconds(lambda: packed.extend(Packed.of(load_mask(file)[0]) for file in files))
        comparing = seconds(lambda: [overlap(a, b) for a, b in combinations(packed, 2)])
        extra = (peak_bytes() - before) / 2**30
        mask, _ = load_mask(files[0])
        looking = seconds(lambda: units(mask))
    largest = torch.randn(4096, 1312)
    found = {
        "benchmark": "anatomy",
        "masks": options.masks,
        "weights": mask.total,
        "pairs": math.comb(options.masks, 2),
        "read_and_pack_seconds": reading,
        "overlap_seconds": comparing,
        "extra_gib": round(extra, 3),
        "units_seconds": looking,
        "effective_rank_4096x1312_seconds": seconds(lambda: effective_rank(largest)),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
