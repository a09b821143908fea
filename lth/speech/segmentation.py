"""Long recordings in pieces that a recogniser can hear, cut where it is quiet."""

import numpy as np

#: Seconds over which loudness is taken, and from one place to the next.
WINDOW, STEP = 0.2, 0.01


def pieces(samples: np.ndarray, longest: float, rate: int = 16_000) -> list[tuple[int, int]]:
    """Cut a recording into pieces: (first, end) samples that follow each other and are the whole of it.

    Each piece but the last ends at the quietest place of its second half: the middle of the `WINDOW` with the least
    energy between ``longest / 2`` and ``longest`` seconds after its beginning, the latest of equal ones.

    Args:
        samples: (S,) mono.
        longest: seconds of a piece, at least two windows.

    Raises:
        ValueError: pieces too short to be cut at a quiet place.
    """
    if longest < 2 * WINDOW:
        raise ValueError(f"a piece has at least {2 * WINDOW} s, not {longest}")
    loudness = energies(samples, rate)
    most, cuts, first = round(longest * rate), [], 0
    while len(samples) - first > most:
        step = round(STEP * rate)
        low, high = (first + most // 2) // step, (first + most) // step
        window = loudness[low:high]
        quietest = low + len(window) - 1 - int(window[::-1].argmin())
        end = max(quietest * step, first + 1)
        cuts.append((first, end))
        first = end
    return [*cuts, (first, len(samples))]


def energies(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return the energy of the `WINDOW` around every `STEP`, by differences of a running sum; beyond the ends it is
    silent."""
    half, step = round(WINDOW * rate / 2), round(STEP * rate)
    total = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    centres = np.arange(0, len(samples) + 1, step)
    return total[np.minimum(centres + half, len(samples))] - total[np.maximum(centres - half, 0)]
