"""A user's own recordings: one JSONL or TSV file of audio paths and texts per split."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from lhotse import CutSet, MonoCut

from lth.errors import UserError
from lth.speech.corpus import Corpus, check_unique, fingerprint, utterance

KEYS = ("audio", "text", "speaker", "id")
"""The columns or keys of a manifest; the first two are required."""


def load(
    train: str | Path | None,
    dev: str | Path | None,
    test: str | Path | Mapping[str, str | Path] | None,
    allow_outside: bool = False,
    name: str = "manifest",
) -> Corpus:
    """The corpus of three manifests; `test` may also map the names of several test sets to manifests.

    Raises UserError, naming manifest and line, for a missing file, an empty text, audio that cannot be
    decoded, an id used twice, a malformed line, and (unless `allow_outside`) an audio path that leaves the
    manifest's folder.
    """
    tests = test if isinstance(test, Mapping) else {"test": test}
    if not tests or {"train", "dev"} & set(tests):
        raise UserError(f"corpus.test must name test sets, none of them train or dev, not {list(tests)}.")
    paths = {"train": train, "dev": dev, **tests}
    for split, path in paths.items():
        if path is None:
            raise UserError(f"corpus.{split} is not set: give a JSONL or TSV file of the {split} utterances.")
    splits = {split: read(path, split, allow_outside) for split, path in paths.items()}
    check_unique(splits)
    cuts = {split: CutSet.from_cuts(entries) for split, entries in splits.items()}
    return Corpus(name, cuts.pop("train"), cuts.pop("dev"), cuts, fingerprint(splits))


def read(path: str | Path, split: str, allow_outside: bool = False) -> list[MonoCut]:
    """The cuts of one manifest. Without an id of its own, an utterance is called `<split>-<audio path>`."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"the manifest {path} (corpus.{split}) does not exist; correct the path.")
    cuts = []
    for number, row in _rows(path):
        origin = f"{path.name} line {number}"
        audio, text, speaker, id = (" ".join(row.get(key, "").split()) for key in KEYS)
        audio = row["audio"].strip() if audio else ""  # a path keeps the spaces within
        for key, value in (("audio path", audio), ("text", text)):
            if not value:
                raise UserError(f"{origin} has an empty {key}; fill it in or remove the line.")
        file = _locate(path.parent, audio, origin, allow_outside)
        cuts.append(utterance(id or f"{split}-{audio}", file, text, speaker or "unknown", origin))
    if not cuts:
        raise UserError(f"the manifest {path} (corpus.{split}) lists no utterance; add some.")
    return cuts


def _locate(folder: Path, audio: str, origin: str, allow_outside: bool) -> Path:
    try:
        inside = (folder / audio).resolve().is_relative_to(folder.resolve())
        (folder / audio).is_file()
    except (OSError, ValueError) as error:  # too long a name, a NUL in it
        raise UserError(f"{origin}: {audio[:80]!r} is not a path ({error}); correct it.") from None
    if not inside and not allow_outside:
        raise UserError(
            f"{origin} names {audio}, which is outside the manifest's folder {folder}; "
            "set corpus.allow_outside=true if you trust this manifest."
        )
    return folder / audio


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None
    numbered = [(number, line.rstrip("\r")) for number, line in enumerate(lines, 1) if line.strip()]
    return (_json_rows if path.suffix in (".jsonl", ".json") else _tsv_rows)(path.name, numbered)


def _json_rows(name: str, lines: list[tuple[int, str]]) -> Iterator[tuple[int, dict[str, str]]]:
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


def _tsv_rows(name: str, lines: list[tuple[int, str]]) -> Iterator[tuple[int, dict[str, str]]]:
    header = [column.strip() for column in lines[0][1].split("\t")] if lines else list(KEYS)
    for key in KEYS[:2]:
        if key not in header:
            raise UserError(f"{name} has no column {key}; its first line must name the columns.")
    for number, line in lines[1:]:
        values = line.split("\t")
        if len(values) > len(header):
            raise UserError(f"{name} line {number} has {len(values)} columns, its header {len(header)}.")
        yield number, dict(zip(header, values, strict=False))
