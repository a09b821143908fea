"""Noise injection: `level` adds U(min, max) times a raw noise, `relative` U(min, max) times a noise as strong as the
utterance, `snr` mixes at U(min, max) decibels.

Each call is a function of its arguments: what an utterance gets depends on its id, the epoch and the seed,
never on the batch it came in, the worker that read it or how often training was resumed.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
from lhotse.audio.mixer import AudioMixer, audio_energy

from lth.errors import UserError
from lth.speech.audio import SAMPLING_RATE as RATE
from lth.speech.augment.random_streams import applies_to, check_number, check_seed, check_splits, key_of, uniforms
from lth.speech.augment.recordings import Recordings, find_recordings

COLOURS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
"""Name -> b, where the power per hertz falls as 1 / f ** b."""
LOWEST = 20.0
"""Hertz: generated noise has nothing below it, or brown noise would have nearly all its power there."""
GENERATED = "white pink brown 1"
"""Stands for the generated noise in a fingerprint: raise its number when a sample of that noise changes."""
BOUNDS = {"level": (0.0, 100.0), "relative": (0.0, 100.0), "snr": (-100.0, 100.0)}
PARTS = ("all", "train", "test")


@cache
def coloured(colour: str, samples: int = 2**19, *, held_out: bool = False) -> np.ndarray:
    """Generate a clip of Gaussian-like noise, float32 (samples,), highest peak exactly 1; `held_out` is another such
    clip.

    A random phase at every frequency and an amplitude of f ** (-b / 2), through an inverse FFT: it repeats
    without a seam. Rounding to 16 bits makes it the same on every machine, whatever the last bits of its FFT.
    """
    frequency = np.fft.rfftfreq(samples, 1 / RATE)
    audible = (frequency >= LOWEST) & (frequency < RATE / 2)
    amplitude = np.zeros_like(frequency)
    amplitude[audible] = frequency[audible] ** (-COLOURS[colour] / 2)
    seed = list(COLOURS).index(colour)
    stream = np.random.Generator(np.random.PCG64([seed, 1] if held_out else seed))
    noise = np.fft.irfft(amplitude * np.exp(2j * np.pi * stream.random(len(frequency))), samples)
    noise = (np.round(noise / np.abs(noise).max() * 2**15) / 2**15).astype(np.float32)
    noise.setflags(write=False)
    return noise


def cover(clip: np.ndarray, samples: int, position: float) -> np.ndarray:
    """Return `samples` samples of noise from a clip (N,), chosen by `position` in [0, 1).

    A longer clip is cut at one of its N - samples + 1 offsets; a shorter one is repeated, from one of its N
    offsets, until all is covered.
    """
    spare = len(clip) - samples
    if spare >= 0:
        offset = int(position * (spare + 1))
        return clip[offset : offset + samples]
    offset = int(position * len(clip))
    return np.take(clip, np.arange(offset, offset + samples), mode="wrap")


@dataclass(eq=False)
class NoiseInjection:
    """Noise for the raw samples of an utterance; the fields are the keys of conf/noise/.

    kind: `none`; `level` (x + U(min, max) * noise, the formula of Audio Lottery, Ding et al., ICLR 2022); `relative`
        (x + U(min, max) * noise * rms(x) / rms(noise), the formula of deepspeech.pytorch, from which theirs was made:
        a strength of 0.5 is 6 dB); `snr` (mixed at U(min, max) dB). Powers are means over this utterance.
    probability: of an utterance getting noise at all, drawn anew in each epoch of training.
    root: folder of recordings, searched with its subfolders; None generates white, pink and brown noise.
    seed: of the noise on dev and test sets, which are the same in every experiment that has it.
    apply_to: which of `train`, `dev`, `test`.
    folders: of `root`, those that are drawn from, such as MUSAN's noise and music; None for all of it.
    part: of the recordings: `all`, or `train` or `test`, which have none in common; of generated noise, `test` is
        clips of its own.

    Raises UserError naming the key or file at fault; recordings are looked for at once but read at first use.
    """

    kind: str
    probability: float
    min: float
    max: float
    root: str | Path | None = None
    seed: int = 0
    apply_to: Sequence[str] = ("train",)
    part: str = "all"
    folders: Sequence[str] | None = None

    kinds: ClassVar[tuple[str, ...]] = ("none", "level", "relative", "snr")

    def __post_init__(self):
        if self.kind not in self.kinds:
            raise UserError(f"noise.kind is one of {', '.join(self.kinds)}, not {self.kind!r}.")
        if self.kind == "none":
            return
        self.probability = check_number("noise.probability", self.probability, 0.0, 1.0)
        self.min = check_number("noise.min", self.min, *BOUNDS[self.kind])
        self.max = check_number("noise.max", self.max, *BOUNDS[self.kind])
        if self.min > self.max:
            raise UserError(f"noise.min={self.min:g} is above noise.max={self.max:g}: swap them or raise max.")
        self.seed = check_seed("noise.seed", self.seed)
        self.apply_to = check_splits("noise.apply_to", self.apply_to)
        if self.part not in PARTS:
            raise UserError(f"noise.part is one of {', '.join(PARTS)}, not {self.part!r}.")
        self.folders = [self.folders] if isinstance(self.folders, str) else self.folders
        if self.folders is not None and (
            self.root is None or not all(isinstance(folder, str) for folder in self.folders)
        ):
            raise UserError(f"noise.folders={self.folders} are folders in noise.root: say where by noise.root=FOLDER.")
        if self.root is not None:
            find_recordings(self.root, folders=self.folders)

    @cached_property
    def clips(self) -> Sequence[np.ndarray]:
        """Return the clips to draw from, each as likely as the next."""
        if self.root is not None:
            return Recordings(self.root, part=self.part, folders=self.folders)
        return [coloured(name, held_out=self.part == "test") for name in COLOURS]

    def at(self, kind: str, strength: float) -> "NoiseInjection":
        """Return this noise for every utterance of dev and test at one strength: the same clip and offset at any
        strength."""
        fixed = replace(self, kind=kind, probability=1.0, min=strength, max=strength, apply_to=("dev", "test"))
        fixed.__dict__["clips"] = self.clips  # decoded once
        return fixed

    def __call__(self, samples: np.ndarray, *, split: str, utterance: str, epoch: int, seed: int) -> np.ndarray:
        """Add noise to samples, float32 (S,) with full scale 1 at 16 kHz; returns float32 (S,), not clipped.

        Where no noise is due, and at `snr` and `relative` where utterance or noise is silent, `samples` comes back
        itself.
        split: `train`, `dev`, or else a test set by any name. epoch and seed count in `train` only.
        """
        if self.kind == "none" or not applies_to(split, self.apply_to) or not len(samples):
            return samples
        whether, amount, which, where = uniforms(*key_of(split, utterance, epoch, seed, self.seed))
        if whether >= self.probability:
            return samples
        noise = cover(self.clips[int(which * len(self.clips))], len(samples), where)
        strength = float(self.min + (self.max - self.min) * amount)
        if self.kind == "snr":
            return _mix(samples, noise, strength)
        if self.kind == "relative":
            if not audio_energy(samples) or not audio_energy(noise):
                return samples
            strength *= float(np.sqrt(audio_energy(samples) / audio_energy(noise)))
        return samples + np.float32(strength) * noise

    def fingerprint(self) -> str | None:
        """Return a sha256 of everything that can change what this does, None for `none`; file names do not count."""
        if self.kind == "none":
            return None
        fixed = self.seed if set(self.apply_to) - {"train"} else None
        facts = [self.kind, self.probability, self.min, self.max, sorted(set(self.apply_to)), fixed, self.sources()]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def sources(self) -> str | list[str]:
        """Return what it draws from: the digests of its recordings, or the name of the generated noise."""
        if self.root is None:
            return GENERATED + (" held out" if self.part == "test" else "")
        return cast(Recordings, self.clips).digests


def _mix(samples: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Mix two tracks (S,) at `snr` dB with lhotse; silence has no ratio, so it is left alone."""
    if not audio_energy(samples) or not audio_energy(noise):
        return samples
    mixer = AudioMixer(samples[None], RATE)
    mixer.add_to_mix(noise[None], snr=snr)
    return mixer.mixed_mono_audio[0]
