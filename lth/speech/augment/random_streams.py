"""Random numbers for an utterance: a function of a key, never of a batch, a worker or a resumed training."""

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from lth.errors import UserError

SPLITS = ("train", "dev", "test")


def uniforms(*key: int | str) -> np.ndarray:
    """Draw four independent numbers in [0, 1) from the sha256 of `key`, the same with any numpy."""
    digest = hashlib.sha256(json.dumps(key).encode()).digest()
    return (np.frombuffer(digest, "<u8") >> np.uint64(11)) * 2.0**-53


def key_of(split: str, utterance: str, epoch: int, seed: int, fixed: int) -> tuple[int | str, ...]:
    """Return the key for `uniforms`: another in every epoch of train; on dev and test sets that of the seed `fixed`."""
    return (int(seed), split, int(epoch), utterance) if split == "train" else (fixed, utterance)


def applies_to(split: str, apply_to: Sequence[str]) -> bool:
    """Tell whether a split is in `apply_to`, some of train, dev and test; a test set may have any name."""
    return (split if split in ("train", "dev") else "test") in apply_to


def check_splits(key: str, value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return what the config's `key` lists, some of train, dev and test. Raises UserError for anything else."""
    splits = (value,) if isinstance(value, str) else tuple(value or ())
    for split in splits:
        if split not in SPLITS:
            raise UserError(f"{key} lists some of {', '.join(SPLITS)}, not {split!r}.")
    return splits


def check_number(key: str, value: object, low: float, high: float) -> float:
    """Return the config's `key` as a float. Raises UserError for what is no number or outside [low, high]."""
    try:
        number = float(cast(Any, value))
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise UserError(f"{key} is a number from {low:g} to {high:g}, not {value!r}.")
    return number


def check_seed(key: str, value: object) -> int:
    """Return the config's `key` as a whole number. Raises UserError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{key} is a whole number, not {value!r}.")
    return value
