"""What lies in a store, what needs it, and removing what nothing needs.

A round is needed by an experiment whose folder lists or links it, or whose W&B records still have to upload it.
Experiments are found under ``outputs`` and in the store's own register of who uses it.
"""

import contextlib
import os
import shutil
import socket
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lth.errors import UserError
from lth.files import damaged, lock, read_json
from lth.store.store import Store

#: Seconds for which what a running experiment may just have come upon is left alone.
GRACE = 3600
#: What is in the folders of a store, in words.
KINDS = {
    "rounds": "round",
    "records": "record",
    "inits": "init",
    "transcripts": "transcript",
    "partial": "unfinished",
    "corrupt": "damaged",
    "new": "leftover",
    "locks": "lock",
}
SEALED = ("round", "record", "init", "transcript")


@dataclass
class Item:
    """One thing in a store."""

    kind: str
    name: str
    path: Path
    bytes: int
    used: float  # when it was last of use, in seconds since the epoch
    users: list[str] = field(default_factory=list)  # folders of the experiments that need it
    about: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict:
        """Return it as the list prints it with json=true."""
        return {
            "kind": self.kind,
            "name": self.name,
            "path": str(self.path),
            "bytes": self.bytes,
            "used": self.used,
            "users": self.users,
            **self.about,
        }


def inventory(root: Path, outputs: Path) -> list[Item]:
    """Return everything in a store, with the experiments that need it.

    Raises:
        UserError: there is no store, or what an experiment needs cannot be read.
    """
    if not root.is_dir():
        raise UserError(f"{root} is no store: give its folder as store=, or that of the experiments as outputs=")
    needed = needs(root, experiments(root, outputs))
    items = []
    for folder, kind in KINDS.items():
        for path in entries(root / folder):
            item = Item(kind, path.name, path, *size_and_time(path), users=sorted(needed.get(path.resolve(), ())))
            item.about = about(item)
            items.append(item)
    return items


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted; nothing where there is no folder."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(folder.iterdir())
    return []


def size_and_time(path: Path) -> tuple[int, float]:
    """Return the bytes in a file or folder and when it was last used: the store touches a round that it gives out."""
    stat = path.stat()
    if not path.is_dir():
        return stat.st_size, stat.st_mtime
    with os.scandir(path) as listing:
        files = [file.stat(follow_symlinks=False) for file in listing]
    return sum(file.st_size for file in files), max([stat.st_mtime, *(file.st_mtime for file in files)])


def about(item: Item) -> dict[str, Any]:
    """Return what a listing says of a round: number, density, WERs and init; of one in training, whose it is."""
    if item.kind == "unfinished":
        with contextlib.suppress(OSError):
            return {"owner": (item.path / "owner").read_text()}
    if item.kind not in ("round", "record"):
        return {}
    try:
        metrics = read_json(item.path / "metrics.json")
        names = ("round", "density", "dev_wer", "test_wer", "trained_by")
        return {**{name: metrics.get(name) for name in names}, "init": metrics["inputs"]["init"]}
    except (UserError, KeyError, TypeError):
        return {}


def experiments(root: Path, outputs: Path) -> list[Path]:
    """Return the folders of all experiments that may use a store.

    Raises:
        UserError: one of them lies on another machine and cannot be seen from here.
    """
    folders = {path.parent.resolve() for path in outputs.glob("*/experiment.json")}
    for path in entries(root / "experiments"):
        user = read_state(path)
        folder = Path(user["folder"])
        if (folder / "experiment.json").is_file():
            folders.add(folder)
        elif user["host"] != socket.gethostname():
            raise UserError(f"{folder} on {user['host']} uses this store and cannot be seen from here; remove {path}?")
    return sorted(folders)


def needs(root: Path, folders: Iterable[Path]) -> dict[Path, set[str]]:
    """Return what of the store the experiments need: path -> their folders."""
    needed: dict[Path, set[str]] = defaultdict(set)
    transcripts: dict[str, list[Path]] = defaultdict(list)  # a round's key -> what it hears in noise
    for path in entries(root / "transcripts"):
        transcripts[path.name.partition("-")[0]].append(path)
    for folder in folders:
        state = read_state(folder / "experiment.json")
        paths = [root / kind / key for key in state.get("keys", []) for kind in ("rounds", "records")]
        paths += [path for key in state.get("keys", []) for path in transcripts[key]]
        paths += [root / "inits" / str(state.get("init")), root / "rounds" / str(state.get("rewind"))]
        paths += entries(folder / "rounds")  # links
        paths += [(folder / file).parent for file in recorded_files(folder)]
        for path in paths:
            needed[path.resolve()].add(str(folder))
    return needed


def recorded_files(folder: Path) -> Iterator[str]:
    """Yield the files that the W&B records of an experiment upload, relative to its folder."""
    for path in folder.glob("wandb/records/*/record.json"):
        for artifact in read_json(path).get("artifacts", []):
            yield from artifact["files"].values()


def read_state(path: Path) -> dict:
    """Return the content of a JSON file that says what is needed; nothing is removed where it is not there."""
    state = read_json(path)
    if not state:
        raise UserError(f"{path} is gone or empty, so what it needs is not known: give the command again")
    return state


def problems(items: Iterable[Item]) -> list[str]:
    """Return what is wrong with the rounds, records and inits, every file checked against its checksum."""
    return [problem for item in items if item.kind in SEALED and (problem := damaged(item.path))]


def prune(root: Path, outputs: Path, keep_days: float, *, dry_run: bool = False) -> list[Item]:
    """Remove what no experiment needs and what was last of use more than ``keep_days`` ago; returns it.

    Never removed: what an experiment needs; the checkpoint of an unfinished experiment; a round that is being
    trained; anything of the last hour while an experiment runs.
    """
    items = inventory(root, outputs)
    folders = experiments(root, outputs)
    states = [read_state(folder / "experiment.json") for folder in folders]
    unfinished = {state.get("id") for state in states if not state.get("finished")}
    age = max(keep_days * 86400, GRACE if any(map(running, folders)) else 0)
    before = time.time() - age

    spared = {item.about.get("init") for item in items if item.kind in SEALED and (item.users or item.used > before)}
    removed = []
    for item in items:
        needed = item.users or item.about.get("owner") in unfinished or (item.kind == "init" and item.name in spared)
        limit = min(before, time.time() - GRACE) if item.kind == "leftover" else before
        if needed or item.kind == "lock" or item.used > limit:
            continue
        if dry_run or remove(Store(root), item):
            removed.append(item)
    if not dry_run:
        remove_locks(Store(root))
        for path in entries(root / "experiments"):
            folder = Path(read_state(path)["folder"])
            if not (folder / "experiment.json").is_file():  # on this machine, or `experiments` had raised
                path.unlink()
    return removed


def running(folder: Path) -> bool:
    """Return whether a process runs this experiment now."""
    if not (folder / ".lock").exists():
        return False
    try:
        with lock(folder / ".lock", wait=False) as held:
            return not held
    except OSError:  # somebody else's, and not for us to write
        return False


def remove(store: Store, item: Item) -> bool:
    """Remove an item unless somebody has come to use it, in one step for whoever reads at the same time."""
    key = item.name if item.kind == "transcript" else item.name.partition("-")[0]
    with store.lock(key, wait=False) as held:
        if not held or not item.path.exists() or size_and_time(item.path)[1] > item.used:
            return False
        doomed = store.root / "new" / f"{item.name}-removed-{os.getpid()}"
        doomed.parent.mkdir(parents=True, exist_ok=True)
        item.path.rename(doomed)
    shutil.rmtree(doomed) if doomed.is_dir() else doomed.unlink()
    return True


def remove_locks(store: Store) -> None:
    """Remove the lock files that nobody holds and no unfinished round will want."""
    for path in entries(store.root / "locks"):
        with store.lock(path.name, wait=False) as held:
            if held and not (store.root / "partial" / path.name).exists():
                path.unlink(missing_ok=True)
