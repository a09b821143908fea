"""Rounds on disk, addressed by what went into them.

A round's key is a hash of everything that can change its result, so the same key is never trained twice: not
by a resumed experiment, not by the next experiment, not by another trial of a sweep.

::

    store/rounds/<key>/   mask.lth weights.safetensors metrics.json hypotheses.jsonl history.jsonl SHA256SUMS
    store/records/<key>/  the same without the weights: a round that came back from W&B
    store/inits/<digest>/ init.safetensors SHA256SUMS
    store/transcripts/<key>-<noise>/ hypotheses.jsonl SHA256SUMS: what a round hears in noise
    store/partial/<key>/  the checkpoint of a round in training
    store/locks/          one lock a key, held while a round is trained
    store/experiments/    where the folders of the experiments are that use this store

``python -m lth store do=list|verify|prune`` keeps house.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lth.errors import UserError
from lth.files import SUMS, damaged, lock, read_json, read_jsonl, save_tensors, sync, write_sums, write_text

if TYPE_CHECKING:  # torch takes seconds to import, and housekeeping does without
    from torch import Tensor

    from lth.tickets.mask import Mask

log = logging.getLogger(__name__)
WAITING = "another process is training round %s; waiting for it"

#: Raised by hand whenever a change to the code can change what a round computes; it enters every round's key.
RESULT_VERSION = 2
#: Of the record of a round that came back from W&B: what its files and weights must be if it is trained again.
ORIGINAL_SUMS = "ORIGINAL_SUMS"


class CorruptRound(UserError):
    """A stored file no longer matches its checksum."""


def verify(folder: Path) -> None:
    """Check every file of a round or init against SHA256SUMS; raises :class:`CorruptRound` naming the file."""
    if problem := damaged(folder):
        raise CorruptRound(f"{problem}; delete {folder} and run the experiment again to rebuild it")


def round_key(inputs: Mapping) -> str:
    """Return the key of the round that has these JSON-able inputs: 32 hex digits of their SHA-256."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def tensors_digest(tensors: "Mapping[str, Tensor]") -> str:
    """Return the SHA-256 over names, types, shapes and values, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous().cpu()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).numpy().data)
    return digest.hexdigest()


@dataclass(frozen=True)
class StoredRound:
    """A finished round, read on demand; `new` where whoever asked for it has just trained it."""

    path: Path
    new: bool = False

    @property
    def key(self) -> str:
        """Return the round's key: the name of its folder."""
        return self.path.name

    @cached_property
    def metrics(self) -> dict:
        """Return its `metrics.json`: densities, scores, and what it was made from."""
        return read_json(self.path / "metrics.json")

    def mask(self) -> "Mask":
        """Return its mask."""
        from lth.store.maskfile import load_mask

        return load_mask(self.path / "mask.lth")[0]

    @property
    def sums(self) -> Path:
        """Return the checksums that it was sealed with where it was trained, be it the record of a round."""
        original = self.path / ORIGINAL_SUMS
        return original if original.is_file() else self.path / SUMS

    @property
    def has_weights(self) -> bool:
        """Return whether its trained weights are here; a record that came back from W&B has none."""
        return (self.path / "weights.safetensors").is_file()

    def weights(self) -> "dict[str, Tensor]":
        """Return its trained weights by name; CorruptRound where they are damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        file = self.path / "weights.safetensors"
        try:
            return load_file(file)
        except SafetensorError as error:
            raise CorruptRound(
                f"{file} holds no weights ({error}); delete {self.path} and run the experiment again to rebuild it"
            ) from error

    @property
    def rewind_weights(self) -> Path | None:
        """Return the file of the early weights that late rewinding returns to; None without it, or where it is gone."""
        late = self.metrics["inputs"].get("rewind", {})
        if "epoch" not in late or not re.fullmatch("[0-9a-f]{32}", str(late.get("of"))):  # W&B may have sent it
            return None
        file = self.path.parents[1] / "rounds" / late["of"] / "weights.safetensors"
        return file if file.is_file() else None

    def hypotheses(self) -> list[dict]:
        """Return what it hears: a row an utterance of dev and of every test set."""
        return read_jsonl(self.path / "hypotheses.jsonl")

    def history(self) -> list[dict]:
        """Return the rows of its training's history, in order."""
        return read_jsonl(self.path / "history.jsonl")


class Store:
    """The rounds and inits under one folder, shared by any number of processes."""

    def __init__(self, root: Path):
        self.root = Path(root)

    def find(self, key: str, *, weights: bool = False) -> StoredRound | None:
        """Return the round with this key, its files checked; a damaged one is set aside, named, and counts as absent.

        Without ``weights``, a record that came back from W&B without them counts too.
        """
        for kind in ("rounds",) if weights else ("rounds", "records"):
            folder = self.root / kind / key
            if self._intact(folder):
                with contextlib.suppress(OSError):  # when it was last of use, for housekeeping
                    os.utime(folder)
                return StoredRound(folder)
        return None

    def __getitem__(self, key: str) -> StoredRound:
        """Return the round with this key, its files checked.

        Raises:
            CorruptRound: there is none that is whole.
        """
        if stored := self.find(key):
            return stored
        raise CorruptRound(f"{self.root / 'rounds' / key} is not whole; run the experiment again to rebuild it")

    def partial(self, key: str, owner: str) -> Path:
        """Return where a round in training keeps its checkpoint; ``owner`` is the experiment that trains it."""
        folder = self.root / "partial" / key
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "owner").write_text(owner)
        return folder

    def register(self, id: str, folder: Path) -> None:
        """Note that an experiment uses this store, wherever its folder lies; housekeeping spares what it needs."""
        user = {"folder": str(folder.resolve()), "host": socket.gethostname()}
        write_text(self.root / "experiments" / f"{id}.json", json.dumps(user))

    @contextlib.contextmanager
    def adding(self, key: str, *, weights: bool = True) -> Iterator[Path]:
        """Yield an empty folder to fill; leaving the block seals it and makes it the round ``key`` in one step.

        Without ``weights`` it becomes only the record of that round.
        """
        with self._adding(self.root / ("rounds" if weights else "records") / key) as folder:
            yield folder
        if weights:
            shutil.rmtree(self.root / "partial" / key, ignore_errors=True)

    def transcript(self, name: str) -> Path | None:
        """Return the folder of what a round hears in some noise, checked; ``name`` begins with the round's key."""
        folder = self.root / "transcripts" / name
        return folder if self._intact(folder) else None

    @contextlib.contextmanager
    def adding_transcript(self, name: str) -> Iterator[Path]:
        """Yield an empty folder to fill; leaving the block seals it."""
        with self._adding(self.root / "transcripts" / name) as folder:
            yield folder

    def put_init(self, tensors: "Mapping[str, Tensor]") -> Path:
        """Store an init under its digest, once; returns the path of its safetensors file."""
        folder = self.root / "inits" / tensors_digest(tensors)
        if not self._intact(folder):
            with self._adding(folder) as new:
                save_tensors(tensors, new / "init.safetensors")
        return folder / "init.safetensors"

    @contextlib.contextmanager
    def lock(self, key: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock of whoever trains the round; the system releases it when that process dies, however it dies.

        Yields whether it is held; without ``wait`` it may not be.
        """
        path = self.root / "locks" / key
        with lock(path, wait=wait, waiting=lambda: log.warning(WAITING, key[:8])) as held:
            yield held

    def _intact(self, folder: Path) -> bool:
        if not folder.is_dir():
            return False
        problem = damaged(folder)
        if problem is None:
            return True
        aside = self.root / "corrupt" / f"{folder.name}-{os.getpid()}-{os.urandom(3).hex()}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(aside)
        log.warning("%s: set aside as %s, to be built again", problem, aside)
        return False

    @contextlib.contextmanager
    def _adding(self, folder: Path) -> Iterator[Path]:
        new = self.root / "new" / f"{folder.name}-{os.getpid()}"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        try:
            yield new
            write_sums(new)
            folder.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # another process finished the same content first
                new.rename(folder)
            if not folder.is_dir():
                new.rename(folder)
            sync(folder.parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)
