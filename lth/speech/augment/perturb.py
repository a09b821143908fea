"""Speed, tempo and gain perturbation: utterances faster, slower, louder or quieter, anew every epoch of training."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from lth.errors import UserError
from lth.speech.audio import SAMPLING_RATE as RATE
from lth.speech.augment.random_streams import check_number, uniforms

FACTORS = (0.25, 4.0)
DECIBELS = (-60.0, 60.0)
SOX = "sox"


@dataclass(eq=False)
class Perturbation:
    """Perturbations of the train split, drawn from an utterance's id, the epoch and the seed; None for none.

    speed: factors, each as likely as the next: 1.1 is a tenth faster and higher, by resampling (Ko et al., 2015).
    tempo: the lowest and highest factor, drawn uniformly: faster at the same pitch, by the sox program.
    gain: the lowest and highest change of loudness in dB, drawn uniformly. The result is not clipped.

    Raises UserError for a value out of range, and for a tempo where the sox program is missing.
    """

    speed: Sequence[float] | None = None
    tempo: Sequence[float] | None = None
    gain: Sequence[float] | None = None

    def __post_init__(self):
        self.speed = _numbers("speed", self.speed, FACTORS, "[0.9,1.0,1.1]")
        self.tempo = _range("tempo", self.tempo, FACTORS, "[0.85,1.15]")
        self.gain = _range("gain", self.gain, DECIBELS, "[-6,8]")
        if self.tempo and shutil.which(SOX) is None:
            raise UserError(
                "augment.tempo needs the sox program, which is not installed: install it (the package sox), or give "
                "augment.tempo=null augment.speed=[0.9,1.0,1.1]"
            )

    def __call__(self, samples: np.ndarray, *, split: str, utterance: str, epoch: int, seed: int) -> np.ndarray:
        """Perturb samples, float32 (S,) at 16 kHz, to (S',); returns `samples` itself where nothing is to be done."""
        if split != "train" or not len(samples) or not (self.speed or self.tempo or self.gain):
            return samples
        which, tempo, gain, _ = uniforms("perturbation", int(seed), int(epoch), utterance)
        if self.speed:
            samples = change_speed(samples, self.speed[int(which * len(self.speed))])
        if self.tempo:
            samples = change_tempo(samples, _between(self.tempo, tempo), utterance)
        if self.gain:
            samples = samples * np.float32(10 ** (_between(self.gain, gain) / 20))
        return samples

    @property
    def fastest(self) -> float:
        """Return the factor by which an utterance may become shorter, at least 1."""
        return max(1.0, *(self.speed or (1.0,))) * max(1.0, *(self.tempo or (1.0,)))

    @property
    def slowest(self) -> float:
        """Return the factor of speed and tempo at which an utterance becomes longest, at most 1."""
        return min(1.0, *(self.speed or (1.0,))) * min(1.0, *(self.tempo or (1.0,)))

    def shortest(self, samples: int) -> int:
        """Return the fewest samples that an utterance of so many can have in any epoch."""
        # Speed and tempo each round to the nearest sample.
        return samples if self.fastest == 1 else max(0, int(samples / self.fastest) - 2)


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Multiply tempo and pitch by `factor`, by resampling: (S,) to (S / factor,)."""
    return samples if factor == 1 else soxr.resample(samples, RATE * factor, RATE)


def change_tempo(samples: np.ndarray, factor: float, utterance: str) -> np.ndarray:
    """Multiply tempo by `factor` and keep pitch, by sox's WSOLA for speech: (S,) to (S / factor,)."""
    peak = np.float32(max(1.0, np.abs(samples).max()))  # sox clips at full scale
    raw = ("-t", "f32", "-r", str(RATE), "-c", "1")
    command = [SOX, "-V1", "-D", *raw, "-", *raw, "-", "tempo", "-s", f"{factor:.9f}"]
    try:
        done = subprocess.run(command, input=(samples / peak).astype("<f4").tobytes(), capture_output=True)
    except OSError as error:
        raise UserError(f"the sox program cannot be run ({error.strerror}): give augment.tempo=null") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with {done.returncode}"]
        raise UserError(f"utterance {utterance}: sox cannot change its tempo ({lines[-1]}): give augment.tempo=null")
    return np.frombuffer(done.stdout, "<f4") * peak


def _between(bounds: Sequence[float], share: float) -> float:
    return float(bounds[0] + (bounds[1] - bounds[0]) * share)


def _numbers(key: str, given: object, bounds: tuple[float, float], example: str) -> tuple[float, ...] | None:
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Sequence) or not len(given):
        raise UserError(
            f"augment.{key}={given} is not a list of numbers: give one such as {example}, or null for none."
        )
    return tuple(check_number(f"augment.{key}", number, *bounds) for number in given)


def _range(key: str, given: object, bounds: tuple[float, float], example: str) -> tuple[float, ...] | None:
    ends = _numbers(key, given, bounds, example)
    if ends and (len(ends) != 2 or ends[0] > ends[1]):
        raise UserError(
            f"augment.{key}={list(ends)} is not a range: give the lowest and the highest, such as {example}."
        )
    return ends
