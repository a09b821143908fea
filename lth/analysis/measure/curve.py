"""Points along a lottery, from dense to sparse."""

import math
from collections.abc import Sequence
from dataclasses import replace

from lth.analysis.document import Axis, Series

#: The axis of everything that is drawn along a lottery.
WEIGHTS = Axis("weights remaining", "percent", log=True, reverse=True)
#: Times the dense WER from which on a point would flatten all others in a figure.
FLATTENING = 3.0


def density_at(densities: Sequence[float], wers: Sequence[float], target: float) -> float | None:
    """Return the lowest density whose WER is at most ``target``, interpolated in the logarithm of density.

    ``densities`` fall. None where not even the densest round is that good; where the sparsest still is, its density.
    """
    found = None
    for n, (density, wer) in enumerate(zip(densities, wers, strict=True)):
        if wer <= target:
            found = density
        elif n and wers[n - 1] <= target:
            share = (target - wers[n - 1]) / (wer - wers[n - 1])
            found = math.exp((1 - share) * math.log(densities[n - 1]) + share * math.log(density))
    return found


def within(series: Sequence[Series], limit: float) -> tuple[list[Series], list[str]]:
    """Return the series without points that would flatten all others, and those in words."""
    kept, beyond = [], []
    for one in series:
        far = [n for n, wer in enumerate(one.y) if wer is not None and wer > limit > 0]
        beyond += [f"{one.label} at {100 * float(one.x[n]):.1f} % ({100 * (one.y[n] or 0):.0f} %)" for n in far]
        inside = [n for n in range(len(one.y)) if n not in far]
        parts = {
            key: [getattr(one, key)[n] for n in inside]
            for key in ("x", "y", "low", "high", "text")
            if getattr(one, key)
        }
        kept += [replace(one, **parts)] if inside else []
    return kept, beyond
