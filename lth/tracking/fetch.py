"""Reading artifacts back from W&B: only the files asked for, only into the folder given, every one checked."""

import base64
import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lth.errors import UserError
from lth.tracking.client import keep_files_in, logged_in

if TYPE_CHECKING:
    import wandb

#: Seconds to wait for an answer.
TIMEOUT = 30


def connect(folder: Path, what: str) -> "wandb.Api":
    """Return the W&B API; what its client writes is kept in an experiment's folder.

    Args:
        what: the words of the command that need it, such as "resume=me/project/demo".

    Raises:
        UserError: no login.
    """
    keep_files_in(folder.resolve())
    if not logged_in():
        raise UserError(f"{what} needs a W&B login: run `wandb login` once")
    import wandb

    with asking(what):
        return wandb.Api(timeout=TIMEOUT)


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """Raise what W&B's client raises as one sentence.

    Raises:
        UserError: no such thing, no answer, or an answer that makes no sense.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the client raises its own errors, the transport's, pydantic's and ValueErrors
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{what}: W&B says: {reason}") from error


def download(artifact: "wandb.Artifact", name: str, folder: Path) -> Path:
    """Write the file ``name`` of an artifact to ``folder``, under that name; returns its path.

    Nothing else of the artifact's manifest is followed: other entries, references, paths of its own choice.

    Raises:
        UserError: the artifact has no such file, it leads elsewhere, or its content is not what was logged.
    """
    entry = artifact.manifest.entries.get(name)
    if entry is None:
        raise UserError(f"the artifact {artifact.name} holds no {name}: it was not logged by this project")
    if str(entry.path) != name or Path(name).name != name or entry.ref is not None:
        raise UserError(f"the artifact {artifact.name} leads out of its folder ({entry.ref or entry.path}): refused")
    target = folder / name
    target.unlink(missing_ok=True)
    written = Path(artifact.get_entry(name).download(str(folder), skip_cache=True))
    if written.resolve() != target.resolve() or target.is_symlink():
        raise UserError(f"the artifact {artifact.name} leads out of its folder ({written}): refused")
    with target.open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()
    if digest != entry.digest:
        raise UserError(f"{name} of the artifact {artifact.name} does not match its checksum: fetch it again")
    return target
