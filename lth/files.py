"""Writing so that a reader never sees half a file, and reading so that damage is noticed."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lth.errors import UserError

#: The config that users compose: beside the package in a checkout, inside it once installed.
CONF = next(p for p in (Path(__file__).parent / "conf", Path(__file__).parents[1] / "conf") if p.is_dir())
SUMS = "SHA256SUMS"


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; on success it takes ``path``'s place in one step, on failure it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_document(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML or JSON file; an empty one where there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    import yaml  # most programs that import this read none

    read = json.loads if path.suffix == ".json" else yaml.safe_load
    try:
        found = read(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged: run the experiment again to rewrite it")
    return found


def write_sums(folder: Path) -> None:
    """List every file of ``folder`` with its SHA-256, in the format of ``sha256sum``."""
    names = sorted(p.name for p in folder.iterdir() if p.name != SUMS)
    for name in names:
        sync(folder / name)
    (folder / SUMS).write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names))
    sync(folder / SUMS)
    sync(folder)


def damaged(folder: Path) -> str | None:
    """What is wrong with a folder sealed by :func:`write_sums`, or None."""
    sums = folder / SUMS
    if not sums.is_file():
        return f"{sums} is missing"
    for line in sums.read_text().splitlines():
        digest, _, name = line.partition("  ")
        if not name or Path(name).name != name:
            return f"{sums} is damaged"
        if not (folder / name).is_file():
            return f"{folder / name} is missing"
        if sha256(folder / name) != digest:
            return f"{folder / name} does not match its checksum"
    return None
