"""Fetch a corpus: downloads that resume and are checked, archives that cannot write outside their folder."""

import hashlib
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from lth.errors import UserError

BLOCK = 1 << 20


def download(url: str, to: Path, sha256: str | None = None, timeout: float = 60.0) -> Path:
    """Download `url` as the file `to`, with a progress bar, unless the right file is there already.

    A broken download leaves `<to>.part`, with which the next call goes on. Raises UserError when the address
    cannot be reached, breaks off for more than `timeout` seconds, or sends a file of another SHA-256.
    """
    if to.is_file() and sha256 in (None, digest(to)):
        return to
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f"{to.name}.part")
    try:
        _fetch(url, part, timeout)
    except requests.RequestException as error:
        raise UserError(
            f"{url} could not be downloaded ({type(error).__name__}); "
            f"run the command again to resume, or fetch it by hand into {to.parent}."
        ) from None
    received = digest(part)
    if sha256 not in (None, received):
        part.unlink()
        raise UserError(f"{url} sent a file with SHA-256 {received}, not {sha256}; try again.")
    return part.replace(to)


def _fetch(url: str, part: Path, timeout: float) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as reply:
        if reply.status_code == requests.codes.requested_range_not_satisfiable and have:
            return  # all of it is there: the checksum decides
        reply.raise_for_status()
        if reply.status_code != requests.codes.partial_content:
            have = 0  # the server cannot resume
        rest = int(reply.headers["Content-Length"]) if "Content-Length" in reply.headers else None
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        bar = Progress("{task.description}", *columns, console=Console(stderr=True))
        with bar as progress, part.open("ab" if have else "wb") as file:
            task = progress.add_task(part.stem, completed=have, total=None if rest is None else have + rest)
            for block in reply.iter_content(BLOCK):
                file.write(block)
                progress.advance(task, len(block))


def digest(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def extract(archive: Path, to: Path, top: str, check: Callable[[Path], None] | None = None) -> None:
    """Move what a tar archive has in its folder `top` into `to`, once it is all unpacked and `check`ed.

    Members that would land outside are refused (the `data` filter of PEP 706). Raises UserError for those
    and for a damaged archive. What `to` has already stays as it is.
    """
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to, prefix=".unpacking-") as folder:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's trouble, not the archive's
            raise UserError(f"{archive} cannot be unpacked ({error}); remove it and try again.") from None
        unpacked = Path(folder) / top
        if not unpacked.is_dir():
            raise UserError(f"{archive} has no folder {top}; remove it and try again.")
        if check is not None:
            check(unpacked)
        for path in unpacked.iterdir():
            if not (to / path.name).exists():
                path.replace(to / path.name)
