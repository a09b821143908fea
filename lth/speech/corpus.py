"""A corpus: train, dev and test utterances as lhotse cuts, and what every loader of one needs."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

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
    if not audio.is_file():
        raise UserError(f"{origin} names the audio file {audio}, which does not exist; add it.")
    try:
        info = soundfile.info(audio)
    except soundfile.SoundFileError as error:
        raise UserError(f"{origin}: {audio} cannot be decoded ({error}); replace it.") from None
    if info.frames == 0:
        raise UserError(f"{origin}: {audio} holds no samples; replace it.")
    return Recording(
        id=id,
        sources=[AudioSource(type="file", channels=list(range(info.channels)), source=str(audio))],
        sampling_rate=info.samplerate,
        num_samples=info.frames,
        duration=info.frames / info.samplerate,
    ).resample(SAMPLING_RATE)


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


def fingerprint(splits: Mapping[str, Iterable[MonoCut]]) -> str:
    """Hex SHA-256 of what the splits contain, the same wherever the files lie.

    Covers split, id, speaker, text, number of samples, file size, and the first, middle and last 4 KiB of
    each audio file: a file that was processed again is noticed without reading hours of audio.
    """
    lines = []
    for split, cuts in splits.items():
        for cut in cuts:
            said = cut.supervisions[0]
            parts = (split, cut.id, said.speaker, said.text, str(cut.num_samples), _extract(audio_file(cut)))
            parts += (str(cut.start),) if cut.start else ()
            lines.append("\t".join(parts))
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _extract(path: Path, block: int = 4096) -> str:
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
    short = [c.id for c in corpus.train if frames(shortest(c.num_samples)) < max(1, needed(c.supervisions[0].text))]
    scored = (corpus.dev, *corpus.tests.values())
    silent = [cut.id for cuts in scored for cut in cuts if frames(cut.num_samples) < 1]
    if not short and not silent:
        return corpus
    kept = partial(_is_not_in, frozenset(short + silent))
    found = {"train: too short for its text": short, "dev or test: too short for one frame": silent}
    return replace(
        corpus,
        train=corpus.train.filter(kept),
        dev=corpus.dev.filter(kept),
        tests={name: cuts.filter(kept) for name, cuts in corpus.tests.items()},
        dropped={**corpus.dropped, **{reason: ids for reason, ids in found.items() if ids}},
    )


def _is_not_in(ids: frozenset[str], cut: MonoCut) -> bool:  # a function, since lazy sets go to workers
    return cut.id not in ids


def unknown_characters(splits: Mapping[str, Iterable[MonoCut]], symbols: Iterable[str]) -> str | None:
    """The first text with a character that is not in `symbols`, as the beginning of a sentence, or None.

    For example "train.tsv line 7 (utterance a17) contains the character 'é' (U+00E9)".
    """
    known = frozenset(symbols)
    for cuts in splits.values():
        for cut in cuts:
            for character in cut.supervisions[0].text:
                if character not in known:
                    where, named = cut.custom["origin"], f"utterance {cut.id}"
                    where += "" if where == named else f" ({named})"
                    return f"{where} contains the character {character!r} (U+{ord(character):04X})"
    return None


def check_unique(splits: Mapping[str, Iterable[MonoCut]]) -> None:
    """Raises UserError when two utterances of the corpus have the same id."""
    seen: dict[str, str] = {}
    for split, cuts in splits.items():
        for cut in cuts:
            origin = f"{cut.custom['origin']} ({split})"
            if cut.id in seen:
                raise UserError(f"{origin} has the id {cut.id} of {seen[cut.id]}; give each its own.")
            seen[cut.id] = origin


def corpus_folder(root: str | Path | None, name: str, contains: str, get: str) -> Path:
    """`root` as a folder with `contains` in it. Raises UserError with `get`, the way to get the corpus."""
    if root is None:
        raise UserError(f"corpus.root is not set: give the folder of {name}, and {get}.")
    folder = Path(root).expanduser()
    if not (folder / contains).exists():
        raise UserError(f"corpus.root={root} holds no {name} (no {folder / contains}): correct it, or {get}.")
    return folder
