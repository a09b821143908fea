"""Time and memory of prune + rewind, and size of saved masks, for a deepspeech2 of 86.5 M prunable weights.

    python -m benchmarks.prune

Prints JSON. `extra_memory` is the peak resident memory beyond what stands once the init and the trained
weights do, as a multiple of the model's bytes. Linux only: it reads the peak from /proc.
"""

import ctypes
import json
import math
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from lth.store.maskfile import load_mask, save_mask
from lth.tickets.allocation import Global, Layerwise
from lth.tickets.criterion import Magnitude, Random
from lth.tickets.mask import Mask
from lth.tickets.prune import prune
from lth.tickets.rewind import rewind
from lth.tickets.structure import NM, Block, Weights


def layers() -> dict[str, dict[str, tuple[int, ...]]]:
    """The prunable shapes by layer: two convolutions, five BiLSTMs with summed directions, one linear."""
    shapes = {"conv.0": {"weight": (32, 1, 41, 11)}, "conv.1": {"weight": (32, 32, 21, 11)}}
    for n in range(5):
        width = 1312 if n == 0 else 1024
        shapes[f"rnn.{n}"] = {
            f"{direction}.{name}": (4096, size)
            for direction in ("forward", "backward")
            for name, size in (("weight_ih", width), ("weight_hh", 1024))
        }
    return shapes | {"linear": {"weight": (29, 1024)}}


def peak_bytes() -> int:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def reset_peak() -> None:
    ctypes.CDLL(None).malloc_trim(0)  # what the allocator kept of the last round is not this one's
    Path("/proc/self/clear_refs").write_text("5")  # to what is resident now


def timed(function):
    """Its result and seconds."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def entropy(mask: Mask) -> float:
    """Bits per weight of bits drawn with each parameter's own density."""
    sizes = {name: bits.numel() for name, bits in mask.items()}
    bits = sum(
        -sizes[name] * (d * math.log2(d) + (1 - d) * math.log2(1 - d))
        for name, d in mask.densities().items()
        if 0 < d < 1
    )
    return bits / sum(sizes.values())


STRATEGIES = {
    "global": (Global(), Magnitude(), Weights()),
    "layerwise": (Layerwise([1.1, 1, 0.9]), Magnitude(), Weights()),
    "random": (Global(), Random(), Weights()),
    "blocks of 1 x 4": (Global(), Magnitude(), Block(1, 4)),
    "2:4": (Global(), Magnitude(), NM(2, 4)),
}


def model() -> tuple[list[list[str]], dict[str, Tensor], dict[str, Tensor]]:
    """Parameter names by layer, init, and "trained" weights: layers that differ in scale, so in density."""
    torch.manual_seed(0)
    names = [[f"{layer}.{name}" for name in shapes] for layer, shapes in layers().items()]
    shapes = [shape for by_name in layers().values() for shape in by_name.values()]
    init = {name: torch.randn(s) * s[-1] ** -0.5 for name, s in zip(chain(*names), shapes, strict=True)}
    return names, init, {name: w * (0.8 + 0.4 * torch.rand(())) for name, w in init.items()}


def prune_and_rewind(strategy: str) -> list[dict]:
    """Three rounds, in a process of their own so that no other's heap counts."""
    allocation, criterion, structure = STRATEGIES[strategy]
    names, init, weights = model()
    reset_peak()
    resident, rows = peak_bytes(), []
    mask = Mask.dense(weights)

    def ticket() -> tuple[Mask, dict[str, Tensor]]:
        options = {"amount": 0.2, "allocation": allocation, "criterion": criterion, "structure": structure}
        pruned = prune(weights, mask, names, **options, generator=torch.Generator().manual_seed(0))
        return pruned, rewind(init, pruned)

    for number in range(1, 4):
        reset_peak()
        (mask, rewound), seconds = timed(ticket)
        extra = (peak_bytes() - resident) / sum(w.nbytes for w in rewound.values())
        del rewound
        rows.append({"strategy": strategy, "round": number, "density": round(mask.density, 4)})
        rows[-1] |= {"seconds": round(seconds, 3), "extra_memory": round(extra, 2)}
    return rows


def mask_files() -> list[dict]:
    """Size and seconds of one-shot magnitude masks."""
    names, _, weights = model()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.lth"
        for density in (0.8, 0.5, 0.2, 0.044):
            options = {"amount": 1 - density, "allocation": Global(), "criterion": Magnitude()}
            mask = prune(weights, Mask.dense(weights), names, **options)
            _, saving = timed(lambda m=mask: save_mask(path, m, {}))
            (loaded, _), loading = timed(lambda: load_mask(path))
            assert loaded == mask
            per_weight, bound = path.stat().st_size * 8 / mask.total, entropy(mask)
            row = {"density": density, "bits_per_weight": round(per_weight, 4), "entropy": round(bound, 4)}
            row |= {"over_entropy": round(per_weight / bound - 1, 4)}
            row |= {"save_seconds": round(saving, 3), "load_seconds": round(loading, 3)}
            rows.append(row)
    return rows


def main() -> None:
    fresh = {"max_workers": 1, "mp_context": get_context("spawn"), "max_tasks_per_child": 1}
    with ProcessPoolExecutor(**fresh) as pool:
        rounds = [row for rows in pool.map(prune_and_rewind, STRATEGIES) for row in rows]
    parameters = sum(math.prod(shape) for by_name in layers().values() for shape in by_name.values())
    report = {"parameters": parameters, "threads": torch.get_num_threads()}
    report |= {"prune_and_rewind": rounds, "mask_files": mask_files()}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
