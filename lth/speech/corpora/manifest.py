"""A user's own recordings: one JSONL or TSV file of audio paths and texts per split."""

import errno
import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from lhotse import CutSet

from lth.errors import UserError
from lth.speech.audio import SAMPLING_RATE
from lth.speech.corpora import cached
from lth.speech.corpora.corpus import (
    Corpus,
    Ids,
    UtteranceInfo,
    audio_digest,
    fingerprint_line,
    fingerprint_of,
    recording,
)
from lth.speech.corpora.lazy_cuts import Line, listed, source_of, write
from lth.speech.corpora.manifest_lines import NEARLY, Entry, read

log = logging.getLogger(__name__)


def load(
    train: str | Path | None,
    dev: str | Path | None,
    test: str | Path | Mapping[str, str | Path] | None,
    allow_outside: bool = False,
    name: str = "manifest",
    cache: str | Path | None = None,
) -> Corpus:
    """Load the corpus of three manifests; `test` may also map the names of several test sets to manifests.

    cache: where what is read of the audio is kept, until a line or the size or time of an audio file changes. A
    corpus of which every split fits in memory is read each time and leaves nothing there, as with None.

    Raises UserError, naming manifest and line, for a missing file, an empty text, audio that cannot be
    decoded, an id used twice, a malformed line, and (unless `allow_outside`) an audio path that leaves the
    manifest's folder.
    """
    tests = test if isinstance(test, Mapping) else {"test": test}
    if not tests or {"train", "dev"} & set(tests):
        raise UserError(f"corpus.test must name test sets, none of them train or dev, not {list(tests)}.")
    paths: dict[str, str | Path] = {}
    for split, path in {"train": train, "dev": dev, **tests}.items():
        if path is None:
            raise UserError(f"corpus.{split} is not set: give a JSONL or TSV file of the {split} utterances.")
        paths[split] = path

    def entries(split: str, unused: set[str] | None = None) -> Iterator[Entry]:
        return read(paths[split], split, allow_outside, unused)

    key, largest = _check(paths, entries)
    if cache is None or largest <= cached.EAGER:
        cuts, prints = {}, []
        for split, lines in _look_into({split: entries(split) for split in paths}, prints):
            cuts[split] = CutSet.from_cuts([line.cut() for line in lines])
        digest = fingerprint_of(prints)
    else:
        folder = Path(cache) / key
        if not folder.is_dir():
            _fill(folder, {split: entries(split) for split in paths})
        cuts = {split: cached.together([listed(folder / f"{n}.lines")]) for n, split in enumerate(paths)}
        digest = (folder / "fingerprint").read_text()
    return Corpus(name, cuts.pop("train"), cuts.pop("dev"), cuts, digest)


def _check(paths: Mapping[str, str | Path], entries: Callable[[str, set[str]], Iterator[Entry]]) -> tuple[str, int]:
    """Read all lines, and return a key of them and the number of utterances of the largest split.

    The key is the same until a line, or an audio file's size or time, changes. Keys that nobody uses are named.
    """
    largest = 0
    ids, digest = Ids(), hashlib.sha256(b"2")  # to be raised with what a list of lines holds
    for split, path in paths.items():
        digest.update(repr(split).encode())
        count, unused = 0, set()
        for entry in entries(split, unused):
            count += 1
            ids.add(entry.id, entry.origin, split)
            digest.update(repr(entry).encode())
        largest = max(largest, count)
        if unused:
            names = ", ".join(sorted(map(repr, unused)))
            log.warning("%s: not used, since a manifest has no such keys: %s", Path(path).name, names)
    return digest.hexdigest()[:16], largest


def _fill(folder: Path, splits: Mapping[str, Iterable[Entry]]) -> None:
    """Look into every audio file, and keep what has to be known of it; a broken reading leaves nothing behind."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        new, prints = Path(work) / "new", []
        new.mkdir()
        for number, (_, lines) in enumerate(_look_into(splits, prints)):
            write(new / f"{number}.lines", lines)
        (new / "fingerprint").write_text(fingerprint_of(prints))
        try:
            new.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # another process was faster, with the same
                raise


def _look_into(splits: Mapping[str, Iterable[Entry]], prints: list[bytes]) -> Iterator[tuple[str, Iterator[Line]]]:
    """Look into every audio file: yield the lines of each split, and add what the fingerprint covers to `prints`."""
    with ThreadPoolExecutor(8) as threads:
        look = _Look()
        for split, entries in splits.items():

            def lines(split: str = split, entries: Iterable[Entry] = entries) -> Iterator[Line]:
                for piece in _in_order(threads, look, entries):
                    for line, digest in piece:
                        info = UtteranceInfo(*line[:5])
                        prints.append(fingerprint_line(split, info, digest, line.start, line.channel))
                        yield line

            yield split, lines()


def _in_order(threads: ThreadPoolExecutor, look, entries: Iterable[Entry], size: int = 128) -> Iterator[list]:
    """Call `look` with pieces of the entries, several at once but never many, and yield the results in order."""
    entries, waiting = iter(entries), []
    while piece := list(islice(entries, size)):
        waiting.append(threads.submit(look, piece))
        if len(waiting) == 32:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


class _Look:
    """A function from entries to their lines and the `audio_digest` of their audio; the files seen last are not
    reopened."""

    def __init__(self, last: int = 10_000):
        self._known: dict[str, tuple] = {}
        self._last = last

    def __call__(self, entries: list[Entry]) -> list[tuple[Line, str]]:
        lines = []
        for entry in entries:
            source, digest = self._known.get(entry.audio) or self._open(entry)
            lines.append((line_of(entry, source), digest))
        return lines

    def _open(self, entry: Entry) -> tuple[tuple, str]:
        audio = Path(entry.audio)
        opened = source_of(recording(entry.id, audio, entry.origin)), audio_digest(audio)
        if len(self._known) >= self._last:
            self._known.clear()
        self._known[entry.audio] = opened
        return opened


def line_of(entry: Entry, source: tuple[str, int, int, int]) -> Line:
    """Make the line of an entry; `source` is what `source_of` says of its recording.

    Raises UserError for a part that the recording has not.
    """
    _, _, channels, whole = source
    start, duration, channel = entry.part
    if channel is not None and channel >= channels:
        raise UserError(f"{entry.origin} has channel={channel}, but {entry.audio} has {channels}, counted from 0.")
    first = round((start or 0) * SAMPLING_RATE)
    end = whole if duration is None else first + round(duration * SAMPLING_RATE)
    if end > whole + NEARLY * SAMPLING_RATE or first >= whole:
        ends = f"ends at {end / SAMPLING_RATE:g}" if first < whole else f"begins at {first / SAMPLING_RATE:g}"
        raise UserError(f"{entry.origin} {ends} s, but {entry.audio} ends at {whole / SAMPLING_RATE:g} s; correct it.")
    samples = min(end, whole) - first
    line = Line(entry.id, entry.text, entry.speaker, samples, entry.origin, *source, channel=channel)
    if samples == whole:
        return line
    return line._replace(start=first / SAMPLING_RATE, duration=samples / SAMPLING_RATE)
