"""Long recordings in pieces: cut in silence, whole, none too long."""

import itertools

import numpy as np
import pytest

from lth.speech.segmentation import energies, pieces

RATE = 16_000


def speech(*spans, seconds, rate=RATE):
    """Noise during these spans of seconds, silence elsewhere."""
    x = np.zeros(round(seconds * rate), dtype=np.float32)
    noise = np.random.default_rng(0).normal(size=len(x)).astype(np.float32)
    for first, end in spans:
        x[round(first * rate) : round(end * rate)] = noise[round(first * rate) : round(end * rate)]
    return x


def test_cuts_are_in_silence():
    x = speech((0, 3), (4, 7), (7.5, 11), (12, 14), seconds=14)
    found = [(first / RATE, end / RATE) for first, end in pieces(x, longest=5.0)]
    assert len(found) == 4
    for (_, end), silence in zip(found, [(3, 4), (7, 7.5), (11, 12)], strict=False):
        assert silence[0] < end < silence[1]


@pytest.mark.parametrize("seconds", [0.001, 0.5, 4.99, 5.0, 5.01, 61.3])
@pytest.mark.parametrize("kind", ["silent", "loud"])
def test_pieces_are_the_whole_and_none_is_too_long(seconds, kind):
    x = speech(*([(0, seconds)] if kind == "loud" else []), seconds=seconds)
    found = pieces(x, longest=5.0)
    assert found[0][0] == 0 and found[-1][1] == len(x)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert all(0 < end - first <= 5 * RATE for first, end in found)


def test_energy_is_that_of_the_window():
    x = np.random.default_rng(1).normal(size=8_000).astype(np.float32)
    found = energies(x, RATE)
    for n in (0, 3, 25, 50):
        low, high = max(0, n * 160 - 1_600), min(len(x), n * 160 + 1_600)
        assert found[n] == pytest.approx(float((x[low:high].astype(np.float64) ** 2).sum()), rel=1e-6)


def test_pieces_too_short_to_be_cut_are_refused():
    with pytest.raises(ValueError, match=r"at least 0\.4 s"):
        pieces(np.zeros(RATE), longest=0.3)
