"""The built-in corpus: connected digits and short commands, spoken by espeak-ng, made once and cached.

The same samples on every machine: every choice comes from `random.random`, which Python keeps stable; only
voices without breath speak (espeak-ng seeds that noise by the clock); `lth.speech.corpora.voice` computes exactly.
"""

import contextlib
import errno
import random
import shutil
import tempfile
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lth.errors import UserError
from lth.speech.corpora import manifest
from lth.speech.corpora.corpus import SAMPLING_RATE, Corpus
from lth.speech.corpora.download import digest
from lth.speech.corpora.voice import speak

VERSION = 1
"""Part of the cache folder's name; raised whenever the samples change."""

SIZES = {"train": 1500, "dev": 150, "test": 200}
CHECKSUM = "3cea7da74b8926851c43953e02a5b40e255be1c002b8f6ac1682f9116b806e6a"
"""SHA-256 of the file SHA256SUMS for SIZES and seed 0."""

VOICES = {
    "train": "Alex Denis Diogo Gene Gene2 Mario Mike Storm aunty f1 f4 grandma "
    "grandpa john m1 m3 m5 m7 max michel quincy rob robert steph2",
    "dev": "Annie ed m4 paul",
    "test": "belinda linda m2 m6 m8 pablo",
}
"""Voice variants of espeak-ng with sensible formants and timing; no whispers, robots or Klatt synthesis."""

DIGITS = ("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COMMANDS = (
    (["turn"], ["on", "off"], ["the"], ["light", "radio", "heater"]),
    (["open", "close"], ["the"], ["door", "window"]),
    (["play", "stop"], ["the"], ["music", "radio"]),
    (["set"], ["timer", "alarm"], DIGITS),
    (["call"], DIGITS, DIGITS, DIGITS),
)


def load(cache: str | Path, sizes: Mapping[str, int] = SIZES, seed: int = 0) -> Corpus:
    """Load the synthetic corpus; it is made in the folder `cache` if it is not there intact (a few seconds).

    sizes: utterances of train, dev and test. seed: of the texts and how they are spoken; the voices stay.
    Raises UserError when espeak-ng does not run, or speaks differently on this machine than it should.
    """
    sizes = {split: int(sizes[split]) for split in SIZES}
    if min(sizes.values()) < 1:
        raise UserError(f"corpus.sizes must be at least 1 for each split, not {sizes}.")
    folder = Path(cache) / f"v{VERSION}-{'-'.join(map(str, sizes.values()))}-seed{seed}"
    checksum = CHECKSUM if (sizes, seed) == (SIZES, 0) else None
    if not _intact(folder, checksum):
        make(folder, sizes, seed, checksum)
    train, dev, test = (folder / f"{split}.tsv" for split in SIZES)
    corpus = manifest.load(train, dev, test, name="synthetic")
    return replace(corpus, fingerprint=digest(folder / "SHA256SUMS"))


def make(folder: Path, sizes: Mapping[str, int], seed: int, checksum: str | None) -> None:
    """Write `folder`, all of it or nothing: WAV files, a manifest for each split, SHA256SUMS."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    work.chmod(0o755)
    try:
        for number, split in enumerate(SIZES):
            _write(work, split, list(plan(split, sizes[split], random.Random(3 * seed + number))))
        files = sorted(path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file())
        (work / "SHA256SUMS").write_text("".join(f"{digest(work / file)}  {file}\n" for file in files))
        actual = digest(work / "SHA256SUMS")
        if checksum not in (None, actual):
            raise UserError(
                f"corpus=synthetic: espeak-ng speaks differently on this machine (SHA-256 {actual}, not "
                f"{checksum}); install the espeakng-loader that requirements.txt names."
            )
        _install(work, folder, checksum)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def plan(split: str, size: int, draw: random.Random) -> Iterator[dict]:
    """Yield the utterances: requests for `voice.speak`, with `id`, `speaker` and `silence` (samples around it)."""

    def below(n: int) -> int:
        return int(draw.random() * n)

    def phrase(slots: Sequence[Sequence[str]]) -> str:
        return " ".join(words[below(len(words))] for words in slots)

    # a speaker is a voice with an accent, a pitch and a rate of its own
    speakers = [
        (voice, ("en-us", "en-us", "en-gb-x-rp")[below(3)], 40 + below(21), 170 + below(31))
        for voice in VOICES[split].split()
    ]
    for number in range(size):
        speaker, accent, pitch, rate = speakers[number % len(speakers)]
        slots = COMMANDS[below(len(COMMANDS))] if below(10) < 3 else [DIGITS] * (1 + min(below(7), below(7)))
        yield {
            "id": f"{split}-{speaker}-{number:04d}",
            "speaker": speaker,
            "text": phrase(slots),
            "voice": f"{accent}+{speaker}",
            "pitch": pitch + below(11) - 5,
            "rate": rate + below(21) - 10,
            "silence": (480 + below(800), 480 + below(800)),
        }


def _write(work: Path, split: str, utterances: list[dict]) -> None:
    (work / split).mkdir()
    spoken = speak([{key: u[key] for key in ("voice", "pitch", "rate", "text")} for u in utterances])
    lines = ["audio\ttext\tspeaker\tid"]
    for number, (u, speech) in enumerate(zip(utterances, spoken, strict=True)):
        audio = f"{split}/{u['id']}.wav"
        samples = np.pad(speech.astype(np.int64), u["silence"])
        samples = np.clip(samples + room_noise(len(samples), number), -(1 << 15), (1 << 15) - 1)
        with wave.open(str(work / audio), "wb") as file:
            file.setparams((1, 2, SAMPLING_RATE, len(samples), "NONE", ""))
            file.writeframes(samples.astype("<i2").tobytes())
        lines.append(f"{audio}\t{u['text'].upper()}\t{u['speaker']}\t{u['id']}")
    (work / f"{split}.tsv").write_text("\n".join(lines) + "\n")


def room_noise(count: int, seed: int) -> np.ndarray:
    """Return the noise of a quiet room: integers of a triangular distribution in ± 16, so that no frame is digitally
    silent."""
    raw = np.random.PCG64(seed).random_raw(-(-count // 4)).astype("<u8")  # its raw stream is frozen
    first, second = raw.view(np.uint8).reshape(2, -1).astype(np.int64)[:, :count]
    return (first - second) >> 4


def _intact(folder: Path, checksum: str | None) -> bool:
    try:
        if checksum not in (None, digest(folder / "SHA256SUMS")):
            return False
        lines = (folder / "SHA256SUMS").read_text().splitlines()
        named = [line.split("  ", 1) for line in lines]
        inside = all((folder / file).resolve().is_relative_to(folder.resolve()) for _, file in named)
        return inside and all(digest(folder / file) == sha256 for sha256, file in named)
    except (OSError, ValueError):
        return False


def _install(work: Path, folder: Path, checksum: str | None) -> None:
    while True:
        try:
            work.replace(folder)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if _intact(folder, checksum):  # another process was quicker
            return
        away = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".damaged-"))
        with contextlib.suppress(OSError):  # unless another process took it away
            folder.replace(away)
        shutil.rmtree(away, ignore_errors=True)
