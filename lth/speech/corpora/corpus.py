"""A corpus: train, dev and test utterances as lhotse cuts, and what every loader of one needs."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from lhotse import AudioSource, CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import set_current_audio_backend

from lth.errors import UserError

SAMPLING_RATE = 16_000
"""Hz, of every cut of every corpus."""

set_current_audio_backend("LibsndfileBackend")  # one decoder, whatever else is installed on a machine


@dataclass(frozen=True)
class Corpus:
    """Utterances to train on, to choose by (dev) and to report on (tests; the first one is the primary).

    Every cut is one utterance at 16 kHz, a whole file or a part of one, with an id that is unique in the corpus
    and one supervision that holds its text and speaker. `fingerprint` identifies the content, wherever it lies.
    `dropped` maps a reason to the ids that were left out for it.
    """

    name: str
    train: CutSet
    dev: CutSet
    tests: Mapping[str, CutSet]
    fingerprint: str
    dropped: Mapping[str, list[str]] = field(default_factory=dict)

    def splits(self) -> dict[str, CutSet]:
        return {"train": self.train, "dev": self.dev, **self.tests}


def utterance(id: str, audio: Path, text: str, speaker: str, origin: str | None = None) -> MonoCut:
    """The cut of one audio file.

    `origin` says where a person finds the entry, such as "train.tsv line 7"; by default "utterance <id>".
    Raises UserError when the file is missing, empty, or not audio that libsndfile reads.
    """
    origin = origin or f"utterance {id}"
    whole = recording(id, audio, origin)
    return segment(whole, id, 0, whole.duration, text, speaker, origin)


def recording(id: str, audio: Path, origin: str) -> Recording:
    """One audio file. Resampling to 16 kHz happens when it is loaded, if it has to.

    Raises UserError when the file is missing, empty, or not audio that libsndfile reads.
    """
    frames, rate, channels = probe(audio, origin)
    return Recording(
        id=id,
        sources=[AudioSource(type="file", channels=list(range(channels)), source=str(audio))],
        sampling_rate=rate,
        num_samples=frames,
        duration=frames / rate,
    ).resample(SAMPLING_RATE)


def probe(audio: Path, origin: str) -> tuple[int, int, int]:
    """Frames, rate and channels of an audio file, from its header; raises as `recording` does."""
    if not audio.is_file():
        raise absent(audio, origin)
    try:
        with soundfile.SoundFile(audio) as file:
            frames, rate, channels = file.frames, file.samplerate, file.channels
    except soundfile.SoundFileError as error:
        raise UserError(f"{origin}: {audio} cannot be decoded ({error}); replace it.") from None
    if frames == 0:
        raise UserError(f"{origin}: {audio} holds no samples; replace it.")
    return frames, rate, channels


def absent(audio: Path, origin: str) -> UserError:
    """What to raise for audio that is not there."""
    return UserError(f"{origin} names the audio file {audio}, which does not exist; add it.")


def segment(
    recording: Recording, id: str, start: float, duration: float, text: str, speaker: str, origin: str
) -> MonoCut:
    """The cut of a part of a recording; start and duration in seconds."""
    return MonoCut(
        id=id,
        start=start,
        duration=duration,
        channel=0,
        recording=recording,
        supervisions=[SupervisionSegment(id, recording.id, 0, duration, text=text, speaker=speaker)],
        custom={"origin": origin},
    )


def audio_file(cut: MonoCut) -> Path:
    return Path(cut.recording.sources[0].source)


def load_audio(cut: MonoCut) -> np.ndarray:
    """The utterance's samples: float32 (num_samples,), 16 kHz, in [-1, 1]; the mean of its channels.

    Raises UserError naming the utterance and its file when it cannot be decoded, or is no file: lhotse would
    also run a command that a list of cuts names.
    """
    if any(source.type != "file" for source in cut.recording.sources):
        raise UserError(f"{cut.custom['origin']}: its audio is no file; make its list of cuts anew.")
    try:
        whole = cut.duration == cut.recording.duration
        return (cut.recording if whole else cut).load_audio().mean(axis=0)
    except MemoryError:
        raise
    except Exception as error:  # lhotse, libsndfile and the file system each raise their own
        where = f"{cut.custom['origin']}: {audio_file(cut)}"
        raise UserError(f"{where} cannot be decoded ({type(error).__name__}); replace it.") from None


class Said(NamedTuple):
    """What has to be known of every utterance before a training begins."""

    id: str
    text: str
    speaker: str
    num_samples: int  # at 16 kHz
    origin: str


def said(cuts: CutSet | Iterable[MonoCut]) -> Iterator[Said]:
    """Of every utterance, without a cut being made of it where the split is a list on disk."""
    held = getattr(cuts, "cuts", cuts)
    if hasattr(held, "said"):
        yield from held.said()
        return
    for cut in cuts:
        spoken = cut.supervisions[0]
        yield Said(cut.id, spoken.text, spoken.speaker, cut.num_samples, cut.custom["origin"])


def without(cuts: CutSet, ids: frozenset[str]) -> CutSet:
    """The split but for these utterances of it."""
    if hasattr(cuts.cuts, "without"):
        return CutSet(cuts.cuts.without(ids))
    return cuts.filter(partial(_is_not_in, ids))


def _is_not_in(ids: frozenset[str], cut: MonoCut) -> bool:  # a function, since lazy sets go to workers
    return cut.id not in ids


def fingerprint(splits: Mapping[str, Iterable[MonoCut]]) -> str:
    """Hex SHA-256 of what the splits contain, the same wherever the files lie.

    Covers split, id, speaker, text, number of samples, file size, and the first, middle and last 4 KiB of
    each audio file: a file that was processed again is noticed without reading hours of audio.
    """
    lines = []
    for split, cuts in splits.items():
        for cut, one in zip(cuts, said(cuts), strict=True):
            lines.append(print_of(split, one, extract(audio_file(cut)), cut.start))
    return fingerprint_of(lines)


def print_of(split: str, one: Said, digest: str, start: float = 0) -> bytes:
    """What a corpus's fingerprint covers of an utterance; `digest` is its audio file's `extract`."""
    parts = (split, one.id, one.speaker, one.text, str(one.num_samples), digest)
    return "\t".join(parts + ((str(start),) if start else ())).encode()


def fingerprint_of(lines: list[bytes]) -> str:
    """The fingerprint of a corpus from `print_of` each utterance, in any order; sorts the list."""
    lines.sort()
    digest = hashlib.sha256()
    for number, line in enumerate(lines):
        digest.update(b"\n" + line if number else line)
    return digest.hexdigest()


def extract(path: Path, block: int = 4096) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        digest = hashlib.sha256(str(size).encode())
        for start in (0, (size - block) // 2, size - block):
            file.seek(max(0, start))
            digest.update(file.read(block))
    return digest.hexdigest()


def drop_too_short(
    corpus: Corpus,
    frames: Callable[[int], int],
    needed: Callable[[str], int],
    shortest: Callable[[int], int] = int,
) -> Corpus:
    """The corpus without utterances that cannot be trained on: fewer output frames than their text needs.

    `frames(num_samples)` is the model's number of output frames, `needed(text)` the fewest frames on which
    the loss is finite (for CTC the labels plus one blank between equal neighbours), `shortest(num_samples)` the
    fewest samples that training may make of an utterance by speeding it up. Utterances of dev and
    test are scored, not trained on, so there only those without a single frame go. What was dropped is added
    to `corpus.dropped`.
    """
    short = [one.id for one in said(corpus.train) if frames(shortest(one.num_samples)) < max(1, needed(one.text))]
    scored = {"dev": corpus.dev, **corpus.tests}
    silent = {name: [one.id for one in said(c) if frames(one.num_samples) < 1] for name, c in scored.items()}
    if not short and not any(silent.values()):
        return corpus
    kept = {name: without(cuts, frozenset(silent[name])) for name, cuts in scored.items()}
    unheard = [id for ids in silent.values() for id in ids]
    found = {"train: too short for its text": short, "dev or test: too short for one frame": unheard}
    return replace(
        corpus,
        train=without(corpus.train, frozenset(short)),
        dev=kept.pop("dev"),
        tests=kept,
        dropped={**corpus.dropped, **{reason: ids for reason, ids in found.items() if ids}},
    )


def unknown_characters(splits: Mapping[str, Iterable[MonoCut]], symbols: Iterable[str]) -> str | None:
    """The first text with a character that is not in `symbols`, as the beginning of a sentence, or None.

    For example "train.tsv line 7 (utterance a17) contains the character 'é' (U+00E9)".
    """
    known = frozenset(symbols)
    for cuts in splits.values():
        for one in said(cuts):
            if not known.issuperset(one.text):
                character = next(character for character in one.text if character not in known)
                where, named = one.origin, f"utterance {one.id}"
                where += "" if where == named else f" ({named})"
                return f"{where} contains the character {character!r} (U+{ord(character):04X})"
    return None


class Ids:
    """The ids of a corpus so far."""

    def __init__(self):
        self._seen: dict[str, tuple[str, str]] = {}

    def add(self, id: str, origin: str, split: str) -> None:
        """Raises UserError when an utterance had this id before."""
        if id in self._seen:
            before = "{} ({})".format(*self._seen[id])
            raise UserError(f"{origin} ({split}) has the id {id} of {before}; give each its own.")
        self._seen[id] = (origin, split)


def corpus_folder(root: str | Path | None, name: str, contains: str, get: str) -> Path:
    """`root` as a folder with `contains` in it. Raises UserError with `get`, the way to get the corpus."""
    if root is None:
        raise UserError(f"corpus.root is not set: give the folder of {name}, and {get}.")
    folder = Path(root).expanduser()
    if not (folder / contains).exists():
        raise UserError(f"corpus.root={root} holds no {name} (no {folder / contains}): correct it, or {get}.")
    return folder
