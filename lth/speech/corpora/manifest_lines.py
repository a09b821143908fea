"""The lines of a user's manifest, and where their audio lies."""

import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lth.errors import UserError
from lth.speech.corpora.corpus import missing_audio

KEYS = ("audio", "text", "speaker", "id")
"""The columns or keys of a manifest; the first two are required."""
STARTS = ("start", "offset", "begin")
"""Three names of where in its recording an utterance begins, in seconds."""
PARTS = (*STARTS, "duration", "end", "channel")
"""The columns or keys that say which part of a recording an utterance is."""
NEARLY = 0.1
"""Seconds by which the times of a manifest may be rounded."""


class Part(NamedTuple):
    """The part of a recording that an utterance is, in seconds; without a duration up to the end."""

    start: float | None = None
    duration: float | None = None
    channel: int | None = None  # counted from 0; None for the mean of all


class Entry(NamedTuple):
    """What a manifest says of an utterance, and what the file system says of its audio."""

    id: str
    audio: str
    size: int  # bytes
    modified: int  # ns
    text: str
    speaker: str
    origin: str
    part: Part = Part()


def read(path: str | Path, split: str, allow_outside: bool = False, unused: set[str] | None = None) -> Iterator[Entry]:
    """Yield the entries of one manifest; the keys that nobody uses are added to `unused`.

    Without an id of its own, an utterance is called `<split>-<audio path>`, with `-<start>` and `-channel<channel>`
    where it has them.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"the manifest {path} (corpus.{split}) does not exist; correct the path.")
    locate = _Locate(path.parent, allow_outside)
    number = None
    for number, row in _rows(path):
        origin = f"{path.name} line {number}"
        audio, text, speaker, id = (" ".join(row.get(key, "").split()) for key in KEYS)
        audio = row["audio"].strip() if audio else ""  # a path keeps the spaces within
        for key, value in (("audio path", audio), ("text", text)):
            if not value:
                raise UserError(f"{origin} has an empty {key}; fill it in or remove the line.")
        part = part_of(row, origin)
        if unused is not None:
            unused.update(row.keys() - {*KEYS, *PARTS})
        if not id:
            id = f"{split}-{audio}" + ("" if part.start is None else f"-{part.start}")
            id += "" if part.channel is None else f"-channel{part.channel}"
        yield Entry(id, *locate(audio, origin), text, speaker or "unknown", origin, part)
    if number is None:
        raise UserError(f"the manifest {path} (corpus.{split}) lists no utterance; add some.")


def part_of(row: Mapping[str, Any], origin: str) -> Part:
    """Return the part of its recording that a line names. Raises UserError for what is no time or no channel."""
    given = {key: row[key] for key in PARTS if row.get(key) is not None and str(row[key]).strip()}
    if not given:
        return Part()
    starts = [key for key in STARTS if key in given]
    if len(starts) > 1:
        raise UserError(f"{origin} has both {starts[0]} and {starts[1]}, which mean the same; keep one.")
    times = {key: _seconds(key, value, origin) for key, value in given.items() if key != "channel"}
    start, duration, end = times.get(starts[0]) if starts else None, times.get("duration"), times.get("end")
    if end is not None:
        lasts = end - (start or 0)
        if duration is not None and abs(duration - lasts) > NEARLY:
            raise UserError(f"{origin} has end={end:g}, but its start and duration add up to another; correct it.")
        duration = round(lasts, 8)
    if duration is not None and duration <= 0:
        raise UserError(f"{origin} ends where it begins or before; correct its times.")
    channel = given.get("channel")
    if channel is not None and (isinstance(channel, bool) or not str(channel).strip().isdecimal()):
        raise UserError(f"{origin} has channel={channel}, which is not a whole number: channels are counted from 0.")
    return Part(start, duration, None if channel is None else int(channel))


def _seconds(key: str, value: Any, origin: str) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UserError(f"{origin} has {key}={value}, which is not a number of seconds from 0 on; correct it.")
    return seconds


class _Locate:
    """A function that finds the audio of a manifest in `folder`."""

    def __init__(self, folder: Path, allow_outside: bool):
        self.folder, self.allow_outside = folder.absolute(), allow_outside
        self._resolved, self._inside = folder.resolve(), {}

    def __call__(self, audio: str, origin: str) -> tuple[str, int, int]:
        """Return path, bytes and time of an audio file. Raises UserError where there is none, or it may not be
        there."""
        path = os.path.join(self.folder, audio)  # noqa: PTH118 - a Path is ten times slower
        try:
            inside = self._is_inside(path.rpartition("/")[0])
            info = self._stat(path, os.lstat)
            if info and stat.S_ISLNK(info.st_mode):
                inside = Path(path).resolve().is_relative_to(self._resolved)
                info = self._stat(path, os.stat)
        except (OSError, ValueError, RuntimeError) as error:  # too long a name, a NUL in it, a link to itself
            raise UserError(f"{origin}: {audio[:80]!r} is not a path ({error}); correct it.") from None
        if not inside and not self.allow_outside:
            raise UserError(
                f"{origin} names {audio}, which is outside the manifest's folder {self.folder}; "
                "set corpus.allow_outside=true if you trust this manifest."
            )
        if info is None or not stat.S_ISREG(info.st_mode):
            raise missing_audio(Path(path), origin)
        return path, info.st_size, info.st_mtime_ns

    def _is_inside(self, parent: str) -> bool:
        if parent not in self._inside:
            self._inside[parent] = Path(parent).resolve().is_relative_to(self._resolved)
        return self._inside[parent]

    @staticmethod
    def _stat(path: str, look) -> os.stat_result | None:
        try:
            return look(path)
        except (FileNotFoundError, NotADirectoryError):
            return None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = _json_rows if path.suffix in (".jsonl", ".json") else _tsv_rows
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from rows(path.name, _numbered(file))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 (byte {_first_bad(path)}); save it as UTF-8.") from None


def _numbered(file: Iterable[str]) -> Iterator[tuple[int, str]]:
    return ((number, line.rstrip("\r\n")) for number, line in enumerate(file, 1) if line.strip())


def _first_bad(path: Path) -> int:
    try:
        path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _json_rows(name: str, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in lines:
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{name} line {number} is not JSON ({error}); correct it.") from None
        if not isinstance(row, dict):
            raise UserError(f'{name} line {number} is not an object like {{"audio": "a.wav", "text": "…"}}.')
        for key in KEYS:
            if not isinstance(row.get(key, None if key in KEYS[:2] else ""), str):
                raise UserError(f'{name} line {number} has no "{key}" that is a string; correct it.')
        yield number, row


def _tsv_rows(name: str, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    first = next(lines, None)
    header: list[str] = [column.strip() for column in first[1].split("\t")] if first else list(KEYS)
    if twice := next((column for column in header if header.count(column) > 1), None):
        raise UserError(f"{name} has the column {twice} twice; remove one of them.")
    for key in KEYS[:2]:
        if key not in header:
            raise UserError(f"{name} has no column {key}; its first line must name the columns.")
    for number, line in lines:
        values = line.split("\t")
        if len(values) > len(header):
            raise UserError(f"{name} line {number} has {len(values)} columns, its header {len(header)}.")
        yield number, dict(zip(header, values, strict=False))
