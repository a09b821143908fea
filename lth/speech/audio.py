"""The one reader of audio: training, dev, test, noise, rooms, `lth transcribe` and streams all hear through it.

It decodes to the end instead of believing a header, resamples and rounds in one way, and names what no microphone can
have recorded.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import soundfile
import soxr

from lth.errors import UserError

SAMPLING_RATE = 16_000
"""Hz, of all that is heard."""
BLOCK = 1 << 18
"""Frames that are decoded together."""
CONTEXT = SAMPLING_RATE // 10
"""Samples around a part of a recording that are resampled with it, so that it has no edges that the whole has not."""
CLIPPED = 1e-3
"""Share of the energy that clipping may take: decoders of lossy formats overshoot full scale by less."""
SHORTER = SAMPLING_RATE // 40
"""Samples that a recording may be shorter or longer than its header says."""
UNSTATED = 2**63 - 1
"""Frames that libsndfile reports where a header states none."""

Source = Path | bytes
"""A file, or what was read of it."""


class Header(NamedTuple):
    """What has to be known of an audio file before it is heard."""

    frames: int
    rate: int
    channels: int

    @property
    def samples(self) -> int:
        """Return how many samples it has at 16 kHz."""
        return (2 * self.frames * SAMPLING_RATE + self.rate) // (2 * self.rate)


def probe(file: Path, where: str = "") -> Header:
    """Return the header of an audio file; its frames are counted where it does not state them.

    where: what an error begins with, such as "train.tsv line 3: ".

    Raises UserError for a file that is missing, is no audio that libsndfile reads, or holds no samples.
    """
    with _opened(file, file, where) as (sound, stated):
        frames = sum(map(len, _blocks(sound, 0, None))) if stated is None else stated
    if frames == 0:
        raise UserError(f"{where}{file} holds no samples; replace it.")
    return Header(frames, sound.samplerate, sound.channels)


def hear(
    file: Path, where: str = "", first: int = 0, count: int | None = None, channel: int | None = None
) -> np.ndarray:
    """Return a recording, or a part of it, as a recogniser hears it: float32 (S,) at 16 kHz, rounded to 16 bits.

    first, count: the part in samples at 16 kHz; None for all that follows.
    channel: the one that is heard, counted from 0; None for the mean of all.

    Raises UserError as `decode` and `check_range` do.
    """
    samples = check_range(decode(file, file, where, first, count, channel), file, where)
    return np.clip(np.rint(samples * 32768), -32768, 32767) / np.float32(32768)


def decode(
    source: Source, file: Path, where: str = "", first: int = 0, count: int | None = None, channel: int | None = None
) -> np.ndarray:
    """Decode and resample a recording, or a part of it, as for `hear`: float32 (S,) at 16 kHz, neither rounded nor
    clipped.

    source: `file`, or its bytes.

    Raises UserError for a file that is missing, cannot be decoded, ends before its header says, has no such channel,
    or holds no samples or such as are no numbers.
    """
    with _opened(source, file, where) as (sound, stated):
        rate = sound.samplerate
        if channel is not None and channel >= sound.channels:
            raise UserError(f"{where}{file} has no channel {channel}; its {sound.channels} are counted from 0.")
        begin, frames, lead = _frames(rate, first, count)
        mono = [block.mean(axis=1) if channel is None else block[:, channel] for block in _blocks(sound, begin, frames)]
    samples = np.concatenate([*mono, np.zeros(0, np.float32)])
    due = 0 if stated is None else stated - begin if frames is None else min(frames, stated - begin)
    if (due - len(samples)) * SAMPLING_RATE > SHORTER * rate:
        ends, told = (begin + len(samples)) / rate, (begin + due) / rate
        raise UserError(f"{where}{file} cannot be decoded (it ends after {ends:.2f} of {told:.2f} s); replace it.")
    if not np.isfinite(samples).all():
        raise UserError(f"{where}{file} has samples that are not finite (NaN or infinity); repair or replace it.")
    samples = to_16khz(samples, rate)[lead:][:count]
    if not len(samples):
        raise UserError(f"{where}{file} holds no samples{' there' if first else ''}; replace it.")
    return samples


def check_range(samples: np.ndarray, file: Path, where: str = "") -> np.ndarray:
    """Return the samples (S,). Raises UserError where clipping them to [-1, 1] would change what is heard."""
    over = np.abs(samples) - 1
    peak = float(over.max()) + 1
    if peak > 1 and np.square(over[over > 0], dtype=float).sum() > CLIPPED * np.square(samples, dtype=float).sum():
        scale = "32768, since they are those of 16 bits" if peak > 100 else f"{peak:.4g} or more"
        raise UserError(f"{where}{file} reaches {peak:.4g}, where full scale is 1; divide its samples by {scale}.")
    return samples


def to_16khz(samples: np.ndarray, rate: int) -> np.ndarray:
    """Resample (N,) at `rate` to (N',) at 16 kHz, to the nearest sample."""
    return samples if rate == SAMPLING_RATE else soxr.resample(samples, rate, SAMPLING_RATE)


def _frames(rate: int, first: int, count: int | None) -> tuple[int, int | None, int]:
    """Return the frames to decode for a part, from which and how many, and the samples that come before the part."""
    if rate == SAMPLING_RATE:
        return first, count, 0
    step = SAMPLING_RATE // math.gcd(rate, SAMPLING_RATE)  # every so many samples one lies on a frame
    before = max(0, first - CONTEXT) // step * step
    begin = before * rate // SAMPLING_RATE
    end = None if count is None else -(-(first + count + CONTEXT) * rate // SAMPLING_RATE)
    return begin, None if end is None else end - begin, first - before


def _blocks(sound: soundfile.SoundFile, first: int, count: int | None) -> Iterator[np.ndarray]:
    """Decode frames from `first` on, `count` of them or until there are no more, in blocks (N, channels)."""
    at = sound.seek(min(first, sound.frames)) if first and sound.seekable() else 0
    end = math.inf if count is None else first + count
    while at < end:
        block = sound.read(int(min(BLOCK, end - at)), dtype="float32", always_2d=True)
        if not len(block):
            return
        yield block[max(0, first - at) :]
        at += len(block)


class _Sound(soundfile.SoundFile):
    """Audio that is perhaps only to be read `forward`: soundfile seeks after every read where it can."""

    forward = False

    def seekable(self) -> bool:
        return not self.forward and super().seekable()


@contextmanager
def _opened(source: Source, file: Path, where: str) -> Iterator[tuple[soundfile.SoundFile, int | None]]:
    """Open audio, together with the frames that its header states, None if none."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb", buffering=0) as data:
            sound = _Sound(data if isinstance(source, bytes) else data.fileno(), closefd=False)
            sound.forward = sound.frames == UNSTATED
            if sound.format == "MP3" and not _states_length(data):
                sound.close()
                sound = _Sound(cast(Any, _Endless(data)))
                sound.forward = True
            with sound:
                yield sound, None if sound.forward else sound.frames
    except FileNotFoundError:
        raise UserError(f"{where}{file} does not exist; correct the path or add the file.") from None
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
        reason = str(reason).rstrip(".") or type(error).__name__
        raise UserError(f"{where}{file} cannot be decoded ({reason}); replace it.") from None


def _states_length(data: io.IOBase) -> bool:
    """Tell whether the first frame of an MP3 says how many there are; else libsndfile guesses, and stops there."""
    at = data.tell()  # of the decoder, which reads on from there
    data.seek(0)
    head = data.read(10)
    tag = sum((byte & 127) << 7 * n for n, byte in enumerate(head[:5:-1])) + 10 if head[:3] == b"ID3" else 0
    data.seek(tag)
    frame = data.read(4096)
    data.seek(at)
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))


class _Endless:
    """A file that seems to go on with zeros beyond its end, where nobody reads on: its length tells nothing."""

    LENGTH = 1 << 40

    def __init__(self, data: io.IOBase):
        self.data, self.at = data, 0
        self.end = data.seek(0, 2)

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.LENGTH)[whence]
        return self.at

    def read(self, count: int) -> bytes:
        if self.at > self.end:  # a tag at the end is looked for
            found = bytes(max(0, min(count, self.LENGTH - self.at)))
        else:
            self.data.seek(self.at)
            found = self.data.read(count)
        self.at += len(found)
        return found
