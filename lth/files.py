"""Writing so that a reader never sees half a file, and reading so that damage is noticed."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

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


def is_disk_full(error: BaseException) -> bool:
    """Whether a full disk or quota is behind this error; safetensors only says so in its text."""
    codes = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in codes or any(f"os error {code})" in str(error) for code in codes)
