"""Experiments as an analysis sees them: read from their folders, everything heavy only when asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lth.analysis.describe import document
from lth.analysis.rounds import Row, dense, read_csv, set_names, winning
from lth.store import StoredRound

if TYPE_CHECKING:
    from torch import Tensor

    from lth.tickets.mask import Mask


@dataclass(frozen=True)
class Errors:
    """Wrong words and reference words of every utterance of one set, in order of id."""

    ids: tuple[str, ...]
    errors: np.ndarray  # (utterances,) int64
    words: np.ndarray  # (utterances,) int64


@dataclass(frozen=True)
class Round:
    """A finished round of one experiment; its files may be gone from the store."""

    row: Row
    stored: StoredRound

    @property
    def density(self) -> float:
        return self.row.density

    @property
    def there(self) -> bool:
        """Whether its files are still in the store."""
        return (self.stored.path / "metrics.json").is_file()

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        return self.stored.metrics if self.there else {}

    @cached_property
    def hypotheses(self) -> Mapping[str, Mapping[str, tuple[str, str]]]:
        """Set ("dev", "test", further test sets by name) -> utterance id -> (reference, hypothesis)."""
        if not (self.stored.path / "hypotheses.jsonl").is_file():
            return {}
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for line in self.stored.hypotheses():
            found.setdefault(line["set"], {})[line["id"]] = (line["reference"], line["hypothesis"])
        names = {"dev": "dev", **set_names(name for name in found if name != "dev")}
        return {names[name]: dict(sorted(texts.items())) for name, texts in found.items()}

    def mask(self) -> "Mask":
        return self.stored.mask()

    def weights(self) -> "dict[str, Tensor]":
        return self.stored.weights()


@dataclass(frozen=True)
class Experiment:
    """One experiment folder. `label` is what tables and legends call its strategy."""

    path: Path
    config: Mapping[str, Any]
    about: Mapping[str, Any]  # experiment.json
    rounds: Sequence[Round]
    label: str = ""
    flags: Sequence[str] = field(default=())  # what a reader must know, such as "unfinished: 3 of 5 rounds"

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def id(self) -> str:
        return str(self.about.get("id", self.name))

    @property
    def seed(self) -> int | None:
        return self.config.get("seed")

    @property
    def corpus(self) -> str:
        return str((self.config.get("corpus") or {}).get("name", ""))

    @property
    def finished(self) -> bool:
        return bool(self.about.get("finished"))

    @property
    def control(self) -> str | None:
        """The kind of control this experiment is, None for a lottery."""
        return self.about.get("control")

    @property
    def source(self) -> Mapping[str, Any] | None:
        """Where its ticket came from: {"experiment": id, "name", "round", "key", "mask"}, as far as known."""
        return self.about.get("source")

    @property
    def rows(self) -> list[Row]:
        return [one.row for one in self.rounds]

    @property
    def dense(self) -> Round | None:
        return self._of(dense(self.rows))

    @property
    def extreme(self) -> Round | None:
        """The sparsest ticket that wins on dev."""
        return self._of(winning(self.rows)[0])

    @property
    def best(self) -> Round | None:
        """The ticket with the lowest dev WER."""
        return self._of(winning(self.rows)[1])

    @property
    def ticket(self) -> Round | None:
        """The extreme ticket, or else the best."""
        return self.extreme or self.best

    def _of(self, row: Row | None) -> Round | None:
        return next((one for one in self.rounds if one.row is row), None)


def read_experiment(folder: Path) -> Experiment:
    """The experiment in a folder; rounds that are not finished are not there.

    Raises:
        UserError: one of its documents is damaged.
    """
    rows = (
        sorted(read_csv(folder / "rounds.csv"), key=lambda row: row.round) if (folder / "rounds.csv").exists() else []
    )
    rounds = [Round(row, StoredRound(folder / "rounds" / f"round-{row.round:02d}")) for row in rows]
    return Experiment(folder, document(folder / "config.yaml"), document(folder / "experiment.json"), rounds)
