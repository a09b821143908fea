"""The utterances of a large split as the lines of a file, each made a cut only when it is drawn.

A cut of lhotse takes about 4 KB and 50 µs. A line takes 200 bytes of disk, and what has to see every utterance
before training begins (output tokens, lengths, unknown characters) reads lines.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

from lhotse import AudioSource, CutSet, MonoCut, Recording
from lhotse.augmentation import Resample

from lth.speech.audio import SAMPLING_RATE
from lth.speech.corpora.corpus import UtteranceInfo, channel_of, origin_of, recording_of, segment


class Line(NamedTuple):
    """A line of the file: a whole audio file, or with a `duration` a part of it; start and duration in seconds."""

    id: str
    text: str
    speaker: str
    num_samples: int  # at 16 kHz
    origin: str
    audio: str
    rate: int  # of the file, as are:
    channels: int
    whole: int  # samples at 16 kHz
    recording: str | None = None  # its id, where it is not the utterance's
    start: float = 0
    duration: float | None = None
    channel: int | None = None  # None for the mean of all

    @classmethod
    def of(cls, cut: MonoCut) -> "Line":
        """Make the line of a cut that `lth.speech.corpora.corpus.utterance` or `segment` made."""
        supervision, file = cut.supervisions[0], recording_of(cut)
        text, speaker = cast(tuple[str, str], (supervision.text, supervision.speaker))
        is_whole = cut.start == 0 and cut.id == file.id and cut.duration == file.duration
        line = cls(cut.id, text, speaker, cast(int, cut.num_samples), origin_of(cut), *source_of(file))
        line = line._replace(channel=channel_of(cut))
        return line if is_whole else line._replace(recording=file.id, start=cut.start, duration=cut.duration)

    def cut(self) -> MonoCut:
        """Make the cut that it is the line of."""
        file = Recording(
            id=self.recording or self.id,
            sources=[AudioSource(type="file", channels=list(range(self.channels)), source=self.audio)],
            sampling_rate=SAMPLING_RATE,
            num_samples=self.whole,
            duration=self.whole / SAMPLING_RATE,
            transforms=None if self.rate == SAMPLING_RATE else [Resample(self.rate, SAMPLING_RATE)],
        )
        duration = file.duration if self.duration is None else self.duration
        return segment(file, self.id, self.start, duration, self.text, self.speaker, self.origin, self.channel)


def source_of(recording: Recording) -> tuple[str, int, int, int]:
    """Return the fields audio, rate, channels and whole of a `Line`."""
    rate = (
        cast(Resample, recording.transforms[0]).source_sampling_rate
        if recording.transforms
        else recording.sampling_rate
    )
    (source,) = recording.sources
    return cast(str, source.source), rate, len(source.channels), recording.num_samples


def write(path: Path, lines: Iterable[Line]) -> None:
    """Write the lines as JSON arrays, to be read by `Listed`."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


@dataclass(frozen=True)
class Listed:
    """The cuts of files of lines, but for those that were `dropped`; what a lazy CutSet holds."""

    paths: tuple[Path, ...]
    dropped: frozenset[str] = frozenset()

    def utterance_infos(self) -> Iterator[UtteranceInfo]:
        """Yield the information on every utterance; no cuts are made."""
        return (UtteranceInfo(*line[:5]) for line in self._lines())

    def exclude(self, ids: frozenset[str]) -> "Listed":
        """Return the cuts without these ids, all of which must be among them."""
        return Listed(self.paths, self.dropped | ids)

    def __iter__(self) -> Iterator[MonoCut]:
        return (Line(*line).cut() for line in self._lines())

    def __len__(self) -> int:
        return self._length - len(self.dropped)

    @cached_property
    def _length(self) -> int:
        length = 0
        for path in self.paths:
            with path.open("rb") as file:
                length += sum(1 for _ in file)
        return length

    def _lines(self) -> Iterator[list]:
        scan = cast(Any, json.JSONDecoder()).scan_once  # of what `write` wrote, twice as fast as json.loads
        for path in self.paths:
            with path.open(encoding="utf-8", newline="\n") as file:
                for text in file:
                    line, _ = scan(text, 0)
                    if line[0] not in self.dropped:
                        yield line


def listed(*paths: Path) -> CutSet:
    """Make a lazy CutSet of files of lines, one file after the other."""
    return CutSet(Listed(paths))
