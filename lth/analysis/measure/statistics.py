"""Which differences are evidence: p-values of resampled differences, Holm's correction, and a verdict."""

import math
from collections.abc import Sequence

import numpy as np

#: Below this a corrected p-value counts as evidence.
LEVEL = 0.05


def p_value(resampled: np.ndarray) -> float:
    """Return the two-sided p-value: twice the share of resampled differences beyond 0, one added to both counts."""
    n = len(resampled)
    low, high = int((resampled <= 0).sum()), int((resampled >= 0).sum())
    return min(1.0, 2 * (min(low, high) + 1) / (n + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): the k-th smallest of m times m - k + 1, never falling, at most 1."""
    order, corrected, least = np.argsort(p_values, kind="stable"), [0.0] * len(p_values), 0.0
    for rank, n in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[n]))
        corrected[n] = float(least)
    return corrected


def mcnemar(lost: int, won: int) -> float:
    """Exact two-sided p: a change is as likely to be a loss as a win (McNemar 1947, binomial form)."""
    n, least = lost + won, min(lost, won)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(least + 1)) / 2**n)


def verdict(difference: float, p: float | None) -> str:
    """Judge a WER less another's: "better", "worse" or "no evidence either way"; "not tested" without a p-value."""
    if p is None:
        return "not tested"
    if p >= LEVEL or difference == 0:
        return "no evidence either way"
    return "better" if difference < 0 else "worse"
