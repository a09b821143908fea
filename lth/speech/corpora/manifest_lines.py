"""The lines of a user's manifest, and where their audio lies."""

import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from lhotse import MonoCut

from lth.errors import UserError
from lth.speech.corpora.corpus import missing_audio, utterance

KEYS = ("audio", "text", "speaker", "id")
"""The columns or keys of a manifest; the first two are required."""


class Entry(NamedTuple):
    """What a manifest says of an utterance, and what the file system says of its audio."""

    id: str
    audio: str
    size: int  # bytes
    modified: int  # ns
    text: str
    speaker: str
    origin: str

    def cut(self) -> MonoCut:
        """Make the utterance's cut. Raises UserError for audio that cannot be decoded."""
        return utterance(self.id, Path(self.audio), self.text, self.speaker, self.origin)


def read(path: str | Path, split: str, allow_outside: bool = False) -> Iterator[Entry]:
    """Yield the entries of one manifest. Without an id of its own, an utterance is called `<split>-<audio path>`."""
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
        yield Entry(id or f"{split}-{audio}", *locate(audio, origin), text, speaker or "unknown", origin)
    if number is None:
        raise UserError(f"the manifest {path} (corpus.{split}) lists no utterance; add some.")


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


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
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


def _json_rows(name: str, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, dict[str, str]]]:
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


def _tsv_rows(name: str, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, dict[str, str]]]:
    first = next(lines, None)
    header = [column.strip() for column in first[1].split("\t")] if first else list(KEYS)
    for key in KEYS[:2]:
        if key not in header:
            raise UserError(f"{name} has no column {key}; its first line must name the columns.")
    for number, line in lines:
        values = line.split("\t")
        if len(values) > len(header):
            raise UserError(f"{name} line {number} has {len(values)} columns, its header {len(header)}.")
        yield number, dict(zip(header, values, strict=False))
