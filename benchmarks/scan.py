"""minGRU all at once against its own step by step: ``python -m benchmarks.scan``.

Forward and backward of one layer over T = 1000 frames, best of three, in fp32; ``recurrence`` is the same without the
layer's matrix products, which both forms need.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch import Tensor

from lth.models.mingru import MinGRU, MinLSTM
from lth.models.scan import positive, states

FRAMES = 1000


def best(work: Callable[[], Tensor], repeats: int = 3) -> float:
    """Return the seconds of forward and backward, the best of several."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        work().sum().backward()
        found.append(time.perf_counter() - started)
    return min(found)


def layer(kind: type, batch: int, units: int) -> dict:
    """Time a whole layer in both forms."""
    made, x = kind(units, units), torch.randn(batch, FRAMES, units)

    def steps() -> Tensor:
        state, found = None, []
        for frame in x.unbind(1):
            state = made.step(frame, state)
            found.append(state)
        return torch.stack(found, 1)

    difference = (made(x)[0] - steps()).detach().abs().max().item()
    one, other = best(lambda: made(x)[0]), best(steps)
    return {
        "layer": kind.__name__,
        "batch": batch,
        "units": units,
        "parallel_seconds": round(one, 4),
        "step_by_step_seconds": round(other, 4),
        "times_as_fast": round(other / one, 1),
        "largest_difference": difference,
    }


def recurrence(batch: int, units: int) -> dict:
    """Time only what the scan replaces: gates and states from logits and candidates."""
    logits, candidates = (torch.randn(batch, FRAMES, units, requires_grad=True) for _ in range(2))

    def steps() -> Tensor:
        state, found = torch.zeros(batch, units), []
        for logit, candidate in zip(logits.unbind(1), candidates.unbind(1), strict=True):
            state = torch.lerp(state, positive(candidate), logit.sigmoid())
            found.append(state)
        return torch.stack(found, 1)

    one, other = best(lambda: states(logits, candidates)), best(steps)
    times = {"parallel_seconds": round(one, 4), "step_by_step_seconds": round(other, 4)}
    return {"recurrence": True, "batch": batch, "units": units, **times, "times_as_fast": round(other / one, 1)}


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shapes = [(1, 192), (1, 64), (8, 64), (4, 192), (16, 192)]
    found = [layer(kind, *shape) for kind in (MinGRU, MinLSTM) for shape in shapes]
    found += [recurrence(*shape) for shape in shapes]
    print(json.dumps({"benchmark": "scan", "frames": FRAMES, "threads": options.threads, "results": found}, indent=1))


if __name__ == "__main__":
    main()
