"""Small recordings, so that the loaders can be tried without real data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def record() -> Callable[..., np.ndarray]:
    """record(path, seconds, rate, channels, seed): writes noise, 16 bit, and returns its float32 samples."""

    def write(path: Path, seconds=0.5, rate=16_000, channels=1, seed=0, format=None) -> np.ndarray:
        shape = (round(seconds * rate), channels)
        samples = np.random.default_rng(seed).integers(-8000, 8000, shape, dtype=np.int16)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, subtype="PCM_16", format=format)
        return samples.astype(np.float32) / 32768

    return write
