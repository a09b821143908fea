"""Uploading whole experiments to W&B, and reading back what arrived.

Rounds go up one by one in their order, with their artifacts, lineage and aliases; what the server has already
is left as it is, so it can be interrupted and repeated at will; two at once take turns.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lth.errors import UserError
from lth.files import lock
from lth.tracking.client import keep_files_in, logged_in
from lth.tracking.record import RoundRecord, latest, load_records, records_folder
from lth.tracking.upload import give_names, missing, missing_names, upload

#: Seconds until the server must show what it has accepted.
PATIENCE = 10.0
#: Seconds to wait for a run to be accepted, and for all of its data.
TIMEOUTS = {"init_timeout": 60, "finish_timeout": 600, "finish_timeout_raises": True}


def experiments(names: Sequence[str], outputs: Path) -> list[Path]:
    """Return the folders of the experiments named, or of all that recorded something.

    All of them come in the order in which they began: what starts from another's ticket comes after it.

    Args:
        names: in ``outputs``, with ``*`` for anything, or paths of folders.

    Raises:
        UserError: no such experiment, or nothing recorded.
    """
    if not names:
        folders = [folder for folder in outputs.glob("*") if records_folder(folder).is_dir()]
        if not folders:
            raise UserError(f"no experiment in outputs={outputs} recorded anything for W&B")
        return sorted(folders, key=lambda folder: (begun(folder), folder))
    found: list[Path] = []
    for name in names:
        there = [path for path in (outputs / name, Path(name).expanduser()) if path.is_dir()][:1]
        if "*" in name:
            there = [path for path in sorted(outputs.glob(name)) if records_folder(path).is_dir()]
        if not there:
            raise UserError(
                f"experiments={name}: there is none of that name in outputs={outputs}; give a name or a path"
            )
        if not records_folder(there[0]).is_dir():
            raise UserError(f"{name} recorded nothing for W&B: run it with tracking=offline or tracking=online")
        found += (path for path in there if path not in found)
    return found


def begun(folder: Path) -> float:
    """Return when the first round of an experiment began, in seconds since 1970."""
    return min((record.started for record in load_records(folder)), default=0.0)


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Hold the lock of an experiment's upload: two at once would both send what the server lacks."""

    def waiting() -> None:
        print(f"{folder.name}: another `lth sync` is uploading it; waiting for that one", flush=True)

    with lock(records_folder(folder) / ".sync.lock", waiting=waiting):
        yield


def sync(folder: Path) -> list[str]:
    """Upload one experiment; return what the server still lacks, in words.

    Raises:
        UserError: no login, or a server that does not answer.
    """
    folder = folder.resolve()
    keep_files_in(folder)
    if not logged_in():
        raise UserError("uploading needs a W&B login: run `wandb login` first")
    with turn(folder):
        return bring(folder)


def bring(folder: Path) -> list[str]:
    """Upload what the server lacks of an experiment, read it back, and say what is still missing."""
    import wandb

    records = load_records(folder)
    newest = latest(records)
    try:
        api = wandb.Api(timeout=30)
        problems = [problem for record in records for problem in sync_round(api, folder, record)]
        for record in newest:
            give_names(api, folder, record)
        for record in records:
            lacking = still_missing(lambda record=record: missing(api, record))
            if record in newest:
                lacking += still_missing(lambda record=record: missing_names(api, folder, record))
            problems += [f"{record.name}: {gap} is not on the server" for gap in lacking]
    except Exception as error:  # the client raises its own errors, the transport's and plain ValueErrors
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"W&B failed while {folder.name} was uploaded ({reason[0]}): repeat it.") from error
    return problems


def sync_round(api, folder: Path, record: RoundRecord) -> list[str]:
    """Upload what the server lacks of a round; return the problems."""
    gaps = missing(api, record)
    if not gaps:
        print(f"{record.name}: is there")
        return []
    print(f"{record.name}: uploading {', '.join(gaps)}", flush=True)
    return [f"{record.name}: {problem}" for problem in upload(api, folder, record, **TIMEOUTS)]


def still_missing(look: Callable[[], list[str]]) -> list[str]:
    """Return what the server lacks after it had time to digest."""
    end = time.monotonic() + PATIENCE
    while (gaps := look()) and time.monotonic() < end:
        time.sleep(0.5)
    return gaps
