"""Text to 16 kHz samples, the same on every machine: espeak-ng in its own process, then exact resampling."""

import io
import json
import math
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np

from lth.errors import UserError

UP, DOWN = 320, 441
"""22050 Hz, which espeak-ng speaks at, times UP / DOWN is 16 kHz."""

TAPS = 48
CUTOFF = 7_400 / 22_050  # cycles a sample; the Hann window's slope ends below 8 kHz
SCALE = 1 << 15


def speak(requests: list[dict]) -> list[np.ndarray]:
    """Return int16 samples at 16 kHz for each request `{"voice", "pitch", "rate", "text"}`, spoken in this order.

    Raises UserError when espeak-ng cannot be started or refuses a request.
    """
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    program = Path(__file__).with_name("espeak.py")
    # -P: the folder of the program is not where its imports are looked for
    done = subprocess.run([sys.executable, "-P", program], input=lines.encode(), capture_output=True, check=False)
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["it was killed"])[-1]
        raise UserError(f"corpus=synthetic: espeak-ng does not run here ({reason}); reinstall espeakng-loader.")
    replies, spoken = io.BytesIO(done.stdout), []
    for _ in requests:
        head = json.loads(replies.readline())
        if head["rate"] * UP != 16_000 * DOWN:
            raise UserError(f"corpus=synthetic: espeak-ng speaks at {head['rate']} Hz here, not at 22050 Hz.")
        spoken.append(resample(np.frombuffer(replies.read(2 * head["samples"]), "<i2")))
    return spoken


def resample(samples: np.ndarray) -> np.ndarray:
    """Resample int16 at 22050 Hz to int16 at 16 kHz by an integer low-pass filter, rounded half up.

    Every 441 samples give 320, by matrix products. All numbers in them are integers below 2^53, so float64
    holds every sum exactly, whatever the order in which a machine adds.
    """
    count = -(-len(samples) * UP // DOWN)
    blocks = -(-count // UP)
    padded = np.zeros(blocks * DOWN + TAPS)
    padded[TAPS // 2 - 1 :][: len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, DOWN + TAPS)[::DOWN]
    sums = np.empty((blocks, UP))
    for j in range(0, UP, 32):  # neighbours need nearly the same samples: the matrix is a narrow band
        rows, columns = slice(j * DOWN // UP, (j + 31) * DOWN // UP + TAPS), slice(j, j + 32)
        sums[:, columns] = windows[:, rows] @ low_pass()[rows, columns]
    rounded = (sums.reshape(-1)[:count].astype(np.int64) + SCALE // 2) // SCALE
    return np.clip(rounded, -(1 << 15), (1 << 15) - 1).astype("<i2")


@cache
def low_pass() -> np.ndarray:
    """Return the filter, float64 (DOWN + TAPS, UP) of integers: column j weighs the samples around the time j * DOWN /
    UP."""
    matrix = np.zeros((DOWN + TAPS, UP))
    for j in range(UP):
        for i in range(j * DOWN // UP, j * DOWN // UP + TAPS):
            matrix[i, j] = round(tap(i - (TAPS // 2 - 1), j) * SCALE)
    return matrix


def tap(i: int, j: int) -> float:
    """Return the windowed sinc's weight of input sample i for output sample j, unrounded."""
    distance = (i * UP - j * DOWN) / UP
    if abs(distance) >= TAPS / 2:
        return 0.0
    angle = 2 * math.pi * CUTOFF * distance
    sinc = math.sin(angle) / angle if angle else 1.0
    return 2 * CUTOFF * sinc * (0.5 + 0.5 * math.cos(2 * math.pi * distance / TAPS))
