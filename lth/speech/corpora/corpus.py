"""A corpus: train, dev and test utterances as lhotse cuts, and what every loader of one needs."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from lhotse import AudioSource, CutSet, MonoCut, Recording, SupervisionSegment

from lth.errors import UserError
from lth.speech.audio import SAMPLING_RATE, SHORTER, hear, probe


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
        """Return train, dev and the test sets by name."""
        return {"train": self.train, "dev": self.dev, **self.tests}


def utterance(id: str, audio: Path, text: str, speaker: str, origin: str | None = None) -> MonoCut:
    """Make the cut of one audio file.

    `origin` says where a person finds the entry, such as "train.tsv line 7"; by default "utterance <id>".
    Raises UserError when the file is missing, empty, or not audio that libsndfile reads.
    """
    origin = origin or f"utterance {id}"
    whole = recording(id, audio, origin)
    return segment(whole, id, 0, whole.duration, text, speaker, origin)


def recording(id: str, audio: Path, origin: str) -> Recording:
    """Make the recording of one audio file, which is resampled to 16 kHz when it is heard.

    Raises UserError when the file is missing, empty, or not audio that libsndfile reads.
    """
    if not audio.is_file():
        raise missing_audio(audio, origin)
    frames, rate, channels = probe(audio, f"{origin}: ")
    return Recording(
        id=id,
        sources=[AudioSource(type="file", channels=list(range(channels)), source=str(audio))],
        sampling_rate=rate,
        num_samples=frames,
        duration=frames / rate,
    ).resample(SAMPLING_RATE)


def missing_audio(audio: Path, origin: str) -> UserError:
    """Make the error to raise for audio that is not there."""
    return UserError(f"{origin} names the audio file {audio}, which does not exist; add it.")


def segment(
    recording: Recording,
    id: str,
    start: float,
    duration: float,
    text: str,
    speaker: str,
    origin: str,
    channel: int | None = None,
) -> MonoCut:
    """Make the cut of a part of a recording; start and duration in seconds, the channel None for the mean of all."""
    return MonoCut(
        id=id,
        start=start,
        duration=duration,
        channel=channel or 0,
        recording=recording,
        supervisions=[SupervisionSegment(id, recording.id, 0, duration, text=text, speaker=speaker)],
        custom={"origin": origin} if channel is None else {"origin": origin, "channel": channel},
    )


def recording_of(cut: MonoCut) -> Recording:
    """Return the recording that a cut is a part of; every cut of a corpus has one."""
    return cast(Recording, cut.recording)


def origin_of(cut: MonoCut) -> str:
    """Return where a person finds the entry of a cut, such as "train.tsv line 7"."""
    return cast(dict, cut.custom)["origin"]


def channel_of(cut: MonoCut) -> int | None:
    """Return the channel that is heard of a cut, counted from 0; None for the mean of all."""
    return cast(dict, cut.custom).get("channel")


def audio_file(cut: MonoCut) -> Path:
    """Return the path of the file that a cut lies in."""
    return Path(cast(str, recording_of(cut).sources[0].source))


def load_audio(cut: MonoCut) -> np.ndarray:
    """Return the utterance's samples: float32 (num_samples,), 16 kHz, in [-1, 1], rounded to 16 bits.

    Raises UserError naming the utterance and its file when it cannot be decoded, or is no file: lhotse would
    also run a command that a list of cuts names.
    """
    whole, where = recording_of(cut), f"{origin_of(cut)}: "
    if any(source.type != "file" for source in whole.sources):
        raise UserError(f"{where}its audio is no file; make its list of cuts anew.")
    first, due = round(cut.start * SAMPLING_RATE), cast(int, cut.num_samples)
    count = None if first == 0 and cut.duration == whole.duration else due
    samples = hear(audio_file(cut), where, first, count, channel_of(cut))
    if abs(len(samples) - due) > SHORTER:
        found = f"{len(samples) / SAMPLING_RATE:.2f} s, not the {due / SAMPLING_RATE:.2f} s"
        raise UserError(f"{where}{audio_file(cut)} has {found} that it had when the corpus was read; replace it.")
    return samples


class UtteranceInfo(NamedTuple):
    """What has to be known of every utterance before a training begins."""

    id: str
    text: str
    speaker: str
    num_samples: int  # at 16 kHz
    origin: str


def utterance_infos(cuts: CutSet | Iterable[MonoCut]) -> Iterator[UtteranceInfo]:
    """Yield the information on every utterance; no cuts are made where the split is a list on disk."""
    infos: Callable[[], Iterator[UtteranceInfo]] | None = getattr(getattr(cuts, "cuts", cuts), "utterance_infos", None)
    if infos is not None:
        yield from infos()
        return
    for cut in cast(Iterable[MonoCut], cuts):
        supervision = cut.supervisions[0]
        text, speaker = cast(tuple[str, str], (supervision.text, supervision.speaker))
        yield UtteranceInfo(cut.id, text, speaker, cast(int, cut.num_samples), origin_of(cut))


def exclude(cuts: CutSet, ids: frozenset[str]) -> CutSet:
    """Return the split without the utterances with these ids."""
    if hasattr(cuts.cuts, "exclude"):
        return CutSet(cuts.cuts.exclude(ids))
    return cuts.filter(partial(_is_not_in, ids))


def _is_not_in(ids: frozenset[str], cut: MonoCut) -> bool:  # a function, since lazy sets go to workers
    return cut.id not in ids


def fingerprint(splits: Mapping[str, Iterable[MonoCut]]) -> str:
    """Return the hex SHA-256 of what the splits contain, the same wherever the files lie.

    Covers split, id, speaker, text, number of samples, file size, and the first, middle and last 4 KiB of
    each audio file: a file that was processed again is noticed without reading hours of audio.
    """
    lines = []
    for split, cuts in splits.items():
        for cut, info in zip(cuts, utterance_infos(cuts), strict=True):
            digest = audio_digest(audio_file(cut))
            lines.append(fingerprint_line(split, info, digest, cut.start, channel_of(cut)))
    return fingerprint_of(lines)


def fingerprint_line(
    split: str, info: UtteranceInfo, digest: str, start: float = 0, channel: int | None = None
) -> bytes:
    """Return what a corpus's fingerprint covers of an utterance; `digest` is its audio file's `audio_digest`."""
    parts = [split, info.id, info.speaker, info.text, str(info.num_samples), digest]
    parts += [str(start)] if start else []
    parts += [] if channel is None else [f"channel {channel}"]
    return "\t".join(parts).encode()


def fingerprint_of(lines: list[bytes]) -> str:
    """Return the fingerprint of a corpus from the `fingerprint_line` of each utterance, in any order; sorts the
    list."""
    lines.sort()
    digest = hashlib.sha256()
    for number, line in enumerate(lines):
        digest.update(b"\n" + line if number else line)
    return digest.hexdigest()


def audio_digest(path: Path, block: int = 4096) -> str:
    """Return the hex SHA-256 of a file's size and its first, middle and last `block` bytes."""
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
    """Drop utterances that cannot be trained on: those with fewer output frames than their text needs.

    `frames(num_samples)` is the model's number of output frames, `needed(text)` the fewest frames on which
    the loss is finite (for CTC the labels plus one blank between equal neighbours), `shortest(num_samples)` the
    fewest samples that training may make of an utterance by speeding it up. Utterances of dev and
    test are scored, not trained on, so there only those without a single frame go. What was dropped is added
    to `corpus.dropped`.
    """
    short = [
        info.id
        for info in utterance_infos(corpus.train)
        if frames(shortest(info.num_samples)) < max(1, needed(info.text))
    ]
    scored = {"dev": corpus.dev, **corpus.tests}
    silent = {
        name: [info.id for info in utterance_infos(cuts) if frames(info.num_samples) < 1]
        for name, cuts in scored.items()
    }
    if not short and not any(silent.values()):
        return corpus
    kept = {name: exclude(cuts, frozenset(silent[name])) for name, cuts in scored.items()}
    unheard = [id for ids in silent.values() for id in ids]
    reasons = {"train: too short for its text": short, "dev or test: too short for one frame": unheard}
    return replace(
        corpus,
        train=exclude(corpus.train, frozenset(short)),
        dev=kept.pop("dev"),
        tests=kept,
        dropped={**corpus.dropped, **{reason: ids for reason, ids in reasons.items() if ids}},
    )


def unknown_characters(splits: Mapping[str, Iterable[MonoCut]], symbols: Iterable[str]) -> str | None:
    """Name the first text with a character that is not in `symbols`, as the beginning of a sentence; None if there is
    none.

    For example "train.tsv line 7 (utterance a17) contains the character 'é' (U+00E9)".
    """
    known = frozenset(symbols)
    for cuts in splits.values():
        for info in utterance_infos(cuts):
            if not known.issuperset(info.text):
                character = next(character for character in info.text if character not in known)
                where, named = info.origin, f"utterance {info.id}"
                where += "" if where == named else f" ({named})"
                return f"{where} contains the character {character!r} (U+{ord(character):04X})"
    return None


class Ids:
    """The ids of a corpus so far, each of which may occur once."""

    def __init__(self):
        self._seen: dict[str, tuple[str, str]] = {}

    def add(self, id: str, origin: str, split: str) -> None:
        """Add an id. Raises UserError when an utterance had it before."""
        if id in self._seen:
            before = "{} ({})".format(*self._seen[id])
            raise UserError(f"{origin} ({split}) has the id {id} of {before}; give each its own.")
        self._seen[id] = (origin, split)


def corpus_folder(root: str | Path | None, name: str, contains: str, get: str) -> Path:
    """Return `root` as a folder with `contains` in it. Raises UserError with `get`, the way to get the corpus."""
    if root is None:
        raise UserError(f"corpus.root is not set: give the folder of {name}, and {get}.")
    folder = Path(root).expanduser()
    if not (folder / contains).exists():
        raise UserError(f"corpus.root={root} holds no {name} (no {folder / contains}): correct it, or {get}.")
    return folder
