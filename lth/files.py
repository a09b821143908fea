"""Writing so that a reader never sees half a file, reading so that damage is noticed, and locks between processes."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

#: The config that users compose: beside the package in a checkout, inside it once installed.
CONF = next(p for p in (Path(__file__).parent / "conf", Path(__file__).parents[1] / "conf") if p.is_dir())
SUMS = "SHA256SUMS"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
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
    """Yield a path to write to; on success it takes ``path``'s place in one step, on failure it is removed."""
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


def read_json(path: Path, remedy: str = "mend or remove it") -> dict:
    """Return the object in a JSON file; an empty one where there is no file.

    Args:
        remedy: what the user is told to do about a damaged file.

    Raises:
        UserError: the file is damaged or cannot be read; it is named.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, RecursionError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (it holds no JSON object): {remedy}")
    return content


def read_yaml(path: Path, remedy: str = "mend or remove it") -> dict[str, Any]:
    """Return the mapping in a YAML file; an empty one where there is no file.

    Args:
        remedy: what the user is told to do about a damaged file.

    Raises:
        UserError: the file is damaged or cannot be read; it is named.
    """
    import yaml  # most programs that import this read none

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is damaged ({reason}): {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (it holds no mapping): {remedy}")
    return content


def read_jsonl(path: Path) -> list[dict]:
    """Return the rows of a JSON-lines file.

    Raises:
        UserError: the file is damaged or not there; it is named.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            return json.loads(f"[{','.join(lines)}]")  # in one call: several times as fast as line by line
    except (OSError, RecursionError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error})") from error


def write_jsonl(path: Path, rows: Iterable[Mapping]) -> None:
    """Write one JSON object a line; numbers of numpy and torch become plain ones."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, default=float) + "\n" for row in rows)


@contextlib.contextmanager
def lock(path: Path, *, wait: bool = True, waiting: Callable[[], object] = lambda: None) -> Iterator[bool]:
    """Hold a lock file, one process at a time; yields whether it is held.

    The system releases it when the process dies, however it dies. Whoever holds it may remove the file: those who
    wait then take a new one.

    Args:
        wait: wait for whoever holds it; without it, False is yielded at once.
        waiting: called once if there is somebody to wait for.

    Raises:
        UserError: the file system has no locks.
    """
    from filelock import FileLock, Timeout  # a tenth of a second that --help does without

    path.parent.mkdir(parents=True, exist_ok=True)
    # Its soft locks, for file systems without real ones, would outlive a process that is killed.
    file = FileLock(path, fallback_to_soft=False)
    try:
        try:
            file.acquire(timeout=0)
        except Timeout:
            if wait:
                waiting()
                file.acquire()
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            raise
        raise UserError(
            f"{path.parent} is on a file system without locks ({error.strerror}): "
            "put outputs= and store= on another disk, or mount it with flock"
        ) from error
    try:
        yield file.is_locked
    finally:
        file.release()


def save_tensors(tensors: "Mapping[str, Tensor]", path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors, for whom the umask says: the library alone gives them to their owner only."""
    from safetensors.torch import save_file  # imports torch, which most that import this do without

    path.touch()
    mode = path.stat().st_mode
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
    path.chmod(mode)


def write_sums(folder: Path) -> None:
    """List every file of ``folder`` with its SHA-256, in the format of ``sha256sum``."""
    names = sorted(p.name for p in folder.iterdir() if p.name != SUMS)
    for name in names:
        sync(folder / name)
    (folder / SUMS).write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names))
    sync(folder / SUMS)
    sync(folder)


def damaged(folder: Path) -> str | None:
    """Return what is wrong with a folder sealed by :func:`write_sums`, or None."""
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
    """Return whether a full disk or quota is behind this error; safetensors only says so in its text."""
    codes = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in codes or any(f"os error {code})" in str(error) for code in codes)
