"""The learning rate as a function of how much of the training is done.

Progress runs from 0 to 1 over all epochs, counted in utterances, so the number of batches an epoch happens to
have never shifts the schedule and nothing needs to be stored to resume it.
"""

import math


def one_cycle(progress: float, *, warmup: float = 0.3, start: float = 0.04, end: float = 1e-4) -> float:
    """Return the fraction of the peak rate: cosine up over ``warmup``, cosine down after (Smith & Topin 2019)."""
    if progress < warmup:
        low, high, along = start, 1.0, progress / warmup
    else:
        low, high, along = 1.0, end, (progress - warmup) / (1 - warmup)
    return low + (high - low) * (1 - math.cos(math.pi * min(along, 1.0))) / 2


def annealed(progress: float, *, epochs: int, factor: float = 1.01) -> float:
    """Return the reference systems' fraction of the peak rate: divided by ``factor`` after every epoch."""
    return factor ** -math.floor(progress * epochs + 1e-9)


def transformer(progress: float, *, warmup: float) -> float:
    """Return the fraction of the peak rate: up in a straight line over ``warmup``, then down with the root of the steps
    (Vaswani et al. 2017, section 5.3).

    Theirs has the peak (units * warm-up steps) ** -0.5; here it is the learning rate.
    """
    return progress / warmup if progress < warmup else math.sqrt(warmup / progress)


def fixed(progress: float, *, rate: float = 1.0) -> float:
    """Return the same fraction of the peak rate throughout."""
    return rate
