"""Experiments as an analysis sees them: read from their folders, everything heavy only when asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lth.analysis.labels import label, labels
from lth.analysis.utterances import transcripts
from lth.errors import UserError
from lth.files import read_json, read_yaml
from lth.speech.wer import word_errors
from lth.store.rows import Row, dense, read_csv, set_names, winning
from lth.store.store import RESULT_VERSION, StoredRound

if TYPE_CHECKING:
    from torch import Tensor

    from lth.tickets.mask import Mask


#: What a user does about a damaged document of an experiment.
AGAIN = "run the experiment again to rewrite it"


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
        """Return whether its files are still in the store."""
        return (self.stored.path / "metrics.json").is_file()

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        return self.stored.metrics if self.there else {}

    @cached_property
    def errors(self) -> "Mapping[str, Errors]":
        """Wrong words of each utterance of every set; nothing of hypotheses that are gone."""
        found = {}
        for name, texts in self.hypotheses.items():
            errors, words = word_errors(*zip(*texts.values(), strict=True))
            found[name] = Errors(tuple(texts), errors, words)
        return found

    @property
    def hypotheses(self) -> Mapping[str, Mapping[str, tuple[str, str]]]:
        """Set ("dev", "test", further test sets by name) -> utterance id -> (reference, hypothesis)."""
        return transcripts(self.stored)

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
    def train_noise(self) -> str:
        """Return 'clean', 'level 0 to 0.5' or '0 to 20 dB': the noise of training."""
        noise = self.config.get("noise") or {}
        if noise.get("kind", "none") == "none" or "train" not in noise.get("apply_to", ["train"]):
            return "clean"
        strength = f"{noise.get('min', 0):g} to {noise.get('max', 0):g}"
        return f"level {strength}" if noise["kind"] == "level" else f"{strength} dB"

    @cached_property
    def setting(self) -> tuple[str, str, tuple[str, ...]]:
        """Corpus name, fingerprint and sets: only experiments that agree in these are compared."""
        metrics = next((one.metrics for one in self.rounds if one.there), {})
        fingerprint = str((metrics.get("inputs") or {}).get("corpus", ""))
        return self.corpus, fingerprint, ("dev", *set_names(metrics.get("tests", {})).values())

    @property
    def sets(self) -> tuple[str, ...]:
        """Dev, and the test sets that its rounds were scored on."""
        return self.setting[2]

    @property
    def finished(self) -> bool:
        return bool(self.about.get("finished"))

    @property
    def control(self) -> str | None:
        """Return the kind of control this experiment is, None for a lottery."""
        return self.about.get("control")

    @property
    def source(self) -> Mapping[str, Any] | None:
        """Return where its ticket came from: {"experiment": id, "name", "round", "key", "mask"}, as far as known."""
        return self.about.get("source")

    @property
    def rows(self) -> list[Row]:
        return [one.row for one in self.rounds]

    @property
    def dense(self) -> Round | None:
        return self._of(dense(self.rows))

    @property
    def reference(self) -> Round:
        """Return the dense round of an experiment that is known to have one.

        Raises:
            ValueError: it has none.
        """
        if (found := self.dense) is None:
            raise ValueError(f"{self.name} has no dense round")
        return found

    @property
    def extreme(self) -> Round | None:
        """Return the sparsest ticket that wins on dev."""
        return self._of(winning(self.rows)[0])

    @property
    def best(self) -> Round | None:
        """Return the ticket with the lowest dev WER."""
        return self._of(winning(self.rows)[1])

    @property
    def ticket(self) -> Round | None:
        """Return the extreme ticket, or else the best."""
        return self.extreme or self.best

    def _of(self, row: Row | None) -> Round | None:
        return next((one for one in self.rounds if one.row is row), None)


def gather(outputs: Path, patterns: Sequence[str] | None = None) -> tuple[list[Experiment], list[str]]:
    """Return the experiments under ``outputs``, labelled, and a sentence about each that cannot be read.

    Args:
        patterns: names to take, with ``*`` for anything; None takes all.

    Raises:
        UserError: nothing is there, or a pattern finds nothing.
    """
    folders = sorted(path.parent for path in outputs.glob("*/experiment.json"))
    if not folders:
        raise UserError(f"outputs={outputs} holds no experiment: run one, or say where they are")
    for pattern in patterns or ():
        if not any(fnmatchcase(folder.name, pattern) for folder in folders):
            raise UserError(f"experiments: there is no {pattern} in {outputs}; python -m lth store names them")
    found, remarks = [], []
    for folder in folders:
        if patterns is None or any(fnmatchcase(folder.name, pattern) for pattern in patterns):
            try:
                found.append(read_experiment(folder))
            except UserError as error:
                remarks.append(f"{folder.name} is left out: {error}.")
    named = labels({one.id: one.config for one in found if one.control is None})
    return [replace(one, label=named.get(one.id) or label(one.config)) for one in found], remarks


def read_experiment(folder: Path) -> Experiment:
    """Return the experiment in a folder; rounds that are not finished are not there.

    Raises:
        UserError: one of its documents is damaged.
    """
    rows = (
        sorted(read_csv(folder / "rounds.csv"), key=lambda row: row.round) if (folder / "rounds.csv").exists() else []
    )
    rounds = [Round(row, StoredRound(folder / "rounds" / f"round-{row.round:02d}")) for row in rows]
    config, about = read_yaml(folder / "config.yaml", AGAIN), read_json(folder / "experiment.json", AGAIN)
    return Experiment(folder, config, about, rounds, flags=flags_of(config, about, rounds))


def flags_of(config: Mapping, about: Mapping, rounds: Sequence[Round]) -> list[str]:
    """Return what a reader must know of an experiment before its numbers."""
    planned = about.get("rounds", config.get("rounds", 0))
    flags = []
    if not about.get("finished"):
        done = f"{max(len(rounds) - 1, 0)} of {planned} pruned rounds" if planned else "its only round is not done"
        flags.append(f"unfinished: {done}")
    if gone := [one.row.round for one in rounds if not one.there]:
        flags.append(f"the files of {len(gone)} rounds are gone from the store")
    if about.get("result_version", RESULT_VERSION) != RESULT_VERSION:
        flags.append(f"made by another version of the code ({about['result_version']}, now {RESULT_VERSION})")
    return flags
