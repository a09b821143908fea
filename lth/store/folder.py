"""An experiment's own folder under ``outputs/``: config, rows, report, and links to its rounds in the store."""

import contextlib
import itertools
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lth.errors import UserError
from lth.files import lock, read_json, write_text
from lth.store.maskfile import load_mask
from lth.store.rows import Row, write_csv
from lth.store.store import RESULT_VERSION, StoredRound
from lth.tickets.mask import Mask

#: Folders under outputs/ that are not experiments.
RESERVED = ("store", "corpora", "multirun", "studies", "analysis")


class ExperimentFolder:
    """The folder ``outputs/<name>``; its ``experiment.json`` names the experiment and lists its rounds' keys."""

    def __init__(
        self, path: Path, identity: str, id: str | None = None, report: Callable[[Path], object] | None = None
    ):
        self.path, self._report = path, report or (lambda path: None)
        self.state = _read(path) or {"identity": identity, "name": path.name, "keys": [], "finished": False}
        if id is not None:
            self.state["id"] = id
        # The id of W&B runs, and of whoever trained a round: the same words elsewhere are another experiment.
        self.state.setdefault("id", f"{identity}-{os.urandom(3).hex()}")
        self.rounds: dict[int, StoredRound] = {}

    @property
    def name(self) -> str:
        """Return the experiment's name: that of its folder."""
        return self.path.name

    @property
    def id(self) -> str:
        """Return the id of its W&B runs; it stays the same when the experiment is resumed."""
        return self.state["id"]

    @property
    def identity(self) -> str:
        """Return what makes the experiment this one: a hash of its round 0 and its strategy."""
        return self.state["identity"]

    def rounds_listed(self) -> int:
        """Return how many rounds this experiment has finished before, the dense one included."""
        return len(self.state["keys"])

    def begin(self, config: DictConfig, init: Path, rounds: int, origin: Mapping = MappingProxyType({})) -> None:
        """Write the resolved config and link the init; ``origin`` says where its ticket is from, if it has one."""
        write_text(self.path / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
        _link(self.path / "init.safetensors", init)
        self.state |= {
            "init": init.parent.name,
            "rounds": rounds,
            "result_version": RESULT_VERSION,
            "command": shlex.join([*sys.argv[0].split(), *sys.argv[1:]]),
            "finished": False,
            **origin,
        }
        self._save()

    def add(self, number: int, stored: StoredRound) -> None:
        """List a finished round: its link, its row, and the report if the round took long enough to be worth it."""
        self.rounds[number] = stored
        known = self.state["keys"][number : number + 1] == [stored.key]
        self.link(number, stored)
        write_csv(self.path / "rounds.csv", self.rows())
        if not known and stored.metrics["trained_by"] == self.id:
            self._report(self.path)

    def link(self, number: int, stored: StoredRound) -> None:
        """Link a round and note its key, and the same of the early weights that it rewinds to."""
        _link(self._round(number), stored.path)
        self.state["keys"][number : number + 1] = [stored.key]
        if stored.rewind_weights is not None:
            self.state["rewind"] = stored.rewind_weights.parent.name
            _link(self.path / "rewind.safetensors", stored.rewind_weights)
        self._save()

    def mask(self, number: int) -> Mask | None:
        """Return the mask of a round that is listed; None where it is not, or its mask is no longer whole."""
        if number >= len(self.state["keys"]):
            return None
        try:
            mask, about = load_mask(self._round(number) / "mask.lth")
        except UserError:
            return None
        return mask if about.get("key") == self.state["keys"][number] else None

    def finish(self) -> None:
        """Mark the experiment as complete."""
        self.state["finished"] = True
        self._save()
        self._report(self.path)

    def rows(self) -> list[Row]:
        """Return the rows of the rounds played so far, in order."""
        return [
            Row.from_metrics(stored.metrics, number, reused=stored.metrics["trained_by"] != self.id)
            for number, stored in sorted(self.rounds.items())
        ]

    def _round(self, number: int) -> Path:
        return self.path / "rounds" / f"round-{number:02d}"

    def _save(self) -> None:
        write_text(self.path / "experiment.json", json.dumps(self.state, indent=1))


@contextlib.contextmanager
def claim(
    outputs: Path,
    name: str,
    identity: str,
    console: Console,
    id: str | None = None,
    report: Callable[[Path], object] | None = None,
) -> Iterator[ExperimentFolder]:
    """Yield the folder of this experiment, for this process alone.

    With an ``id``, it is that of the experiment resumed, and never another of the same identity.

    It is the first of ``name``, ``name-2``, ``name-3``, … that is free or already holds this very experiment,
    so that another strategy under the same name never overwrites results.

    Raises:
        UserError: the name is no folder name, or another process is running this experiment.
    """
    if not name or name in {".", ".."} or Path(name).name != name:
        raise UserError(f"name={name} is not a folder name; use letters, digits, dots and dashes")
    if name in RESERVED:
        raise UserError(f"name={name} is taken: {outputs / name} is no experiment's folder; choose another name=")
    for number in itertools.count(1):
        path = outputs / (name if number == 1 else f"{name}-{number}")
        path.mkdir(parents=True, exist_ok=True)
        with lock(path / ".lock", wait=False) as alone:
            if not alone:
                if (_read(path) or {}).get("identity") in (identity, None):
                    raise UserError(f"{path} is in use by another run.py; wait for it or choose another name=")
                continue
            held = _read(path) or {}
            if held.get("identity", identity) == identity and id in (None, held.get("id", id)):
                if number > 1:
                    console.print(
                        f"{outputs / name} holds another experiment; this one is {path}",
                        highlight=False,
                        soft_wrap=True,
                    )
                yield ExperimentFolder(path, identity, id, report)
                return


def _read(path: Path) -> dict | None:
    remedy = f"delete {path} and run again: its rounds are in the store"
    state = read_json(path / "experiment.json", remedy)
    if state and not {"identity", "keys"} <= state.keys():
        raise UserError(f"{path / 'experiment.json'} is damaged (it names no experiment): {remedy}")
    return state or None


def _link(path: Path, target: Path) -> None:
    """A relative symbolic link that replaces what was there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, path.parent))
    temporary.replace(path)
