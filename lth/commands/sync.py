"""Upload experiments to W&B: `python -m lth sync [EXPERIMENT ...]`.

Rounds go up one by one in their order, with their artifacts, lineage and aliases; what the server has already
is left as it is, so it can be interrupted and repeated at will; two at once take turns. It says "done" of an
experiment only after reading back from the server every run, every artifact's digest and every use of one.
"""

import argparse
import contextlib
import sys
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
    """The folders of the experiments named (by name or by path), or of all that recorded something.

    All of them come in the order in which they began: what starts from another's ticket comes after it.

    Raises:
        UserError: no such experiment, or nothing recorded.
    """
    if not names:
        folders = sorted((f for f in outputs.glob("*") if records_folder(f).is_dir()), key=lambda f: (begun(f), f))
        if not folders:
            raise UserError(f"no experiment in {outputs} recorded anything for W&B.")
        return folders
    folders = [outputs / name if (outputs / name).is_dir() else Path(name) for name in names]
    for name, folder in zip(names, folders, strict=True):
        if not folder.is_dir():
            raise UserError(f"there is no experiment {name!r} in {outputs}: name a folder in it, or a path.")
        if not records_folder(folder).is_dir():
            raise UserError(f"{name} recorded nothing for W&B: run it with tracking=offline or tracking=online.")
    return folders


def begun(folder: Path) -> float:
    """When the first round of an experiment began, in seconds since 1970."""
    return min((record.started for record in load_records(folder)), default=0.0)


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Held while an experiment is uploaded: two uploads at once would both send what the server lacks."""

    def waiting() -> None:
        print(f"{folder.name}: another lth sync is uploading it; waiting for that one", flush=True)

    with lock(records_folder(folder) / ".sync.lock", waiting=waiting):
        yield


def sync(folder: Path) -> list[str]:
    """Upload one experiment; returns what the server still lacks, in words.

    Raises:
        UserError: no login, or a server that does not answer.
    """
    folder = folder.resolve()
    keep_files_in(folder)
    if not logged_in():
        raise UserError("uploading needs a W&B login: run `wandb login` first.")
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
    """Upload what the server lacks of a round; returns the problems."""
    gaps = missing(api, record)
    if not gaps:
        print(f"{record.name}: is there")
        return []
    print(f"{record.name}: uploading {', '.join(gaps)}", flush=True)
    return [f"{record.name}: {problem}" for problem in upload(api, folder, record, **TIMEOUTS)]


def still_missing(look: Callable[[], list[str]]) -> list[str]:
    """What the server lacks after it had time to digest."""
    end = time.monotonic() + PATIENCE
    while (gaps := look()) and time.monotonic() < end:
        time.sleep(0.5)
    return gaps


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lth sync", description=__doc__.splitlines()[0])
    parser.add_argument("experiment", nargs="*", help="name or folder (default: all of them)")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the experiments are")
    arguments = parser.parse_args()
    complete = True
    try:
        for folder in experiments(arguments.experiment, arguments.outputs):
            problems = sync(folder)
            complete = complete and not problems
            print(f"{folder.name}: " + ("incomplete" if problems else "done, checked against the server"), flush=True)
            for problem in problems:
                print(f"  {problem}", file=sys.stderr)
    except UserError as error:
        print(f"lth sync: {error}", file=sys.stderr)
        return 2
    return 0 if complete else 1


if __name__ == "__main__":
    raise SystemExit(main())
