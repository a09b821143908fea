"""Noise injection: `level` adds U(min, max) times a raw noise, `snr` mixes at U(min, max) decibels.

Each call is a function of its arguments: what an utterance gets depends on its id, the epoch and the seed,
never on the batch it came in, the worker that read it or how often training was resumed.
"""

import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import soundfile
import soxr
from lhotse.audio.mixer import AudioMixer, audio_energy

from lth.errors import UserError

RATE = 16_000
COLOURS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
"""Name -> b, where the power per hertz falls as 1 / f ** b."""
LOWEST = 20.0
"""Hertz: generated noise has nothing below it, or brown noise would have nearly all its power there."""
GENERATED = "white pink brown 1"
"""Stands for the generated noise in a fingerprint: raise its number when a sample of that noise changes."""
BOUNDS = {"level": (0.0, 100.0), "snr": (-100.0, 100.0)}
SPLITS = ("train", "dev", "test")
PARTS = ("all", "train", "test")
HELD_OUT = 3
"""Of the recordings of a folder, in the order of their digests, the first of every three is held out for `test`."""
SUFFIXES = {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"}
SUFFIXES |= {".aif", ".aifc", ".oga", ".opus", ".snd", ".sph"}


@cache
def coloured(colour: str, samples: int = 2**19, *, held_out: bool = False) -> np.ndarray:
    """One clip of Gaussian-like noise, float32 (samples,), highest peak exactly 1; `held_out` is another such clip.

    A random phase at every frequency and an amplitude of f ** (-b / 2), through an inverse FFT: it repeats
    without a seam. Rounding to 16 bits makes it the same on every machine, whatever the last bits of its FFT.
    """
    frequency = np.fft.rfftfreq(samples, 1 / RATE)
    heard = (frequency >= LOWEST) & (frequency < RATE / 2)
    amplitude = np.zeros_like(frequency)
    amplitude[heard] = frequency[heard] ** (-COLOURS[colour] / 2)
    seed = list(COLOURS).index(colour)
    stream = np.random.Generator(np.random.PCG64([seed, 1] if held_out else seed))
    noise = np.fft.irfft(amplitude * np.exp(2j * np.pi * stream.random(len(frequency))), samples)
    noise = (np.round(noise / np.abs(noise).max() * 2**15) / 2**15).astype(np.float32)
    noise.setflags(write=False)
    return noise


def cover(clip: np.ndarray, samples: int, position: float) -> np.ndarray:
    """`samples` samples of noise from a clip (N,), chosen by `position` in [0, 1).

    A longer clip is cut at one of its N - samples + 1 offsets; a shorter one is repeated, from one of its N
    offsets, until all is covered.
    """
    spare = len(clip) - samples
    if spare >= 0:
        offset = int(position * (spare + 1))
        return clip[offset : offset + samples]
    offset = int(position * len(clip))
    return np.take(clip, np.arange(offset, offset + samples), mode="wrap")


def uniforms(*key: int | str) -> np.ndarray:
    """Four independent numbers in [0, 1) from the sha256 of `key`, the same with any numpy."""
    digest = hashlib.sha256(json.dumps(key).encode()).digest()
    return (np.frombuffer(digest, "<u8") >> np.uint64(11)) * 2.0**-53


def find_recordings(root: str | Path) -> list[Path]:
    """The audio files under a folder, by suffix; raises UserError if the folder is missing or has none."""
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise UserError(f"noise.root={root} is no folder: give a folder of recordings, or null for generated noise.")
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise UserError(f"noise.root={root} has no audio in it: WAV, FLAC, OGG, MP3 and the like are looked for.")
    return found


def read_bytes(path: Path) -> bytes:
    """A recording as it lies on disk; raises UserError naming a file that cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"The noise recording {path} cannot be read: {error.strerror or error}.") from None


def decode(data: bytes, path: Path) -> tuple[np.ndarray, int]:
    """Mono samples (N,), channels averaged, and their rate; raises UserError naming a recording of no use."""
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise UserError(f"The noise recording {path} cannot be decoded ({reason}): remove or repair it.") from None
    if len(samples) * RATE < rate or not np.isfinite(samples).all():
        fault = "has values that are not finite" if len(samples) * RATE >= rate else "is too short"
        raise UserError(f"The noise recording {path} {fault}: remove or repair it.")
    return samples.mean(axis=1), rate


def to_16khz(samples: np.ndarray, rate: int) -> np.ndarray:
    """(N,) at `rate` to (N',) at 16 kHz."""
    return samples if rate == RATE else soxr.resample(samples, rate, RATE)


class Recordings(Sequence):
    """The recordings of a folder as clips (N,) at 16 kHz, in the order of their contents' digests.

    That order makes the n-th clip independent of file names and places. Every file is read and decoded once
    here, so that a broken one is found before training starts; clips stay in memory (float32) up to `memory`
    bytes and the others are read again each time. Raises UserError naming the folder or the file at fault.

    part: `all`; or `train` or `test`, two parts with no recording in common, which takes at least two.
    """

    def __init__(self, root: str | Path, memory: int = 2**29, part: str = "all"):
        entries = []
        for path in find_recordings(root):
            data = read_bytes(path)
            samples, rate = decode(data, path)
            room = memory - samples.nbytes * RATE / rate
            clip = to_16khz(samples, rate) if room >= 0 else None
            memory -= clip.nbytes if clip is not None else 0
            entries.append((hashlib.sha256(data).hexdigest(), path, clip))
        entries.sort(key=lambda entry: entry[0])
        if part != "all":
            if len({digest for digest, *_ in entries}) < 2:
                raise UserError(f"noise.part={part} cannot split the one recording in {root}: give noise.part=all.")
            entries = _part(entries, part)
        self.digests, self.paths, self.clips = map(list, zip(*entries, strict=True))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        clip = self.clips[index]
        return to_16khz(*decode(read_bytes(self.paths[index]), self.paths[index])) if clip is None else clip


@dataclass(eq=False)
class NoiseInjection:
    """Noise for the raw samples of an utterance; the fields are the keys of conf/noise/.

    kind: `none`; `level` (x + U(min, max) * noise, the formula of deepspeech.pytorch and so of Audio Lottery,
        Ding et al., ICLR 2022); `snr` (mixed at U(min, max) dB, both powers being means over this utterance).
    probability: of an utterance getting noise at all, drawn anew in each epoch of training.
    root: folder of recordings, searched with its subfolders; None generates white, pink and brown noise.
    seed: of the noise on dev and test sets, which are the same in every experiment that has it.
    apply_to: which of `train`, `dev`, `test`.
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

    kinds: ClassVar[tuple[str, ...]] = ("none", "level", "snr")

    def __post_init__(self):
        if self.kind not in self.kinds:
            raise UserError(f"noise.kind is one of {', '.join(self.kinds)}, not {self.kind!r}.")
        if self.kind == "none":
            return
        self.probability = _number("probability", self.probability, 0.0, 1.0)
        self.min = _number("min", self.min, *BOUNDS[self.kind])
        self.max = _number("max", self.max, *BOUNDS[self.kind])
        if self.min > self.max:
            raise UserError(f"noise.min={self.min:g} is above noise.max={self.max:g}: swap them or raise max.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise UserError(f"noise.seed is a whole number, not {self.seed!r}.")
        self.apply_to = (self.apply_to,) if isinstance(self.apply_to, str) else tuple(self.apply_to or ())
        for split in self.apply_to:
            if split not in SPLITS:
                raise UserError(f"noise.apply_to lists some of {', '.join(SPLITS)}, not {split!r}.")
        if self.part not in PARTS:
            raise UserError(f"noise.part is one of {', '.join(PARTS)}, not {self.part!r}.")
        if self.root is not None:
            find_recordings(self.root)

    @cached_property
    def clips(self) -> Sequence[np.ndarray]:
        """The clips to draw from, each as likely as the next."""
        if self.root is not None:
            return Recordings(self.root, part=self.part)
        return [coloured(name, held_out=self.part == "test") for name in COLOURS]

    def at(self, kind: str, strength: float) -> "NoiseInjection":
        """This noise on every utterance of dev and test at one strength: the same clip and offset whatever it is."""
        fixed = replace(self, kind=kind, probability=1.0, min=strength, max=strength, apply_to=("dev", "test"))
        fixed.__dict__["clips"] = self.clips  # decoded once
        return fixed

    def __call__(self, samples: np.ndarray, *, split: str, utterance: str, epoch: int, seed: int) -> np.ndarray:
        """Samples float32 (S,), full scale 1, at 16 kHz -> the same with noise, float32 (S,), not clipped.

        Where no noise is due, and at `snr` where utterance or noise is silent, `samples` comes back itself.
        split: `train`, `dev`, or else a test set by any name. epoch and seed count in `train` only.
        """
        train = split == "train"
        due = self.kind != "none" and (split if split in ("train", "dev") else "test") in self.apply_to
        if not due or not len(samples):
            return samples
        key = (int(seed), split, int(epoch), utterance) if train else (self.seed, utterance)
        whether, amount, which, where = uniforms(*key)
        if whether >= self.probability:
            return samples
        noise = cover(self.clips[int(which * len(self.clips))], len(samples), where)
        strength = float(self.min + (self.max - self.min) * amount)
        return samples + np.float32(strength) * noise if self.kind == "level" else _mix(samples, noise, strength)

    def fingerprint(self) -> str | None:
        """A sha256 of everything that can change what this does, None for `none`; file names do not count."""
        if self.kind == "none":
            return None
        fixed = self.seed if set(self.apply_to) - {"train"} else None
        facts = [self.kind, self.probability, self.min, self.max, sorted(set(self.apply_to)), fixed, self.sources()]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def sources(self) -> str | list[str]:
        """What it draws from: the digests of its recordings, or the name of the generated noise."""
        if self.root is None:
            return GENERATED + (" held out" if self.part == "test" else "")
        return self.clips.digests


def _part(recordings: Sequence[tuple], part: str) -> list[tuple]:
    """The part of recordings in order of their digests (first in each); copies of one recording stay together."""
    number = {digest: n for n, digest in enumerate(dict.fromkeys(digest for digest, *_ in recordings))}
    return [one for one in recordings if (number[one[0]] % HELD_OUT == 0) == (part == "test")]


def _mix(samples: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """lhotse's mix of two tracks (S,) at `snr` dB; silence has no ratio, so it is left alone."""
    if not audio_energy(samples) or not audio_energy(noise):
        return samples
    mixer = AudioMixer(samples[None], RATE)
    mixer.add_to_mix(noise[None], snr=snr)
    return mixer.mixed_mono_audio[0]


def _number(key: str, value: object, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise UserError(f"noise.{key} is a number from {low:g} to {high:g}, not {value!r}.")
    return number
