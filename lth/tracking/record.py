"""What the W&B run of a round consists of, on disk before W&B is told.

    outputs/<experiment>/wandb/records/<run id>/
        record.json     the run: name, config and summary, artifacts in and out
        history.jsonl   every row, with its time

The record is what `python -m lth sync` uploads, and checks the server against. The artifacts' files stay in the store.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lth.errors import UserError
from lth.files import read_json, read_jsonl, replacing, write_jsonl, write_text


@dataclass
class ArtifactRecord:
    """An artifact: enough to make it, again if need be, and to recognise it on the server."""

    name: str
    type: str
    aliases: list[str]
    metadata: dict
    files: dict[str, str]  # name in the artifact -> path from the experiment's folder
    label: dict = field(default_factory=dict)  # content of its round.json
    digest: str = ""


@dataclass
class RoundRecord:
    """The W&B run of one finished round."""

    round: int
    key: str
    run_id: str
    name: str
    group: str
    project: str
    entity: str | None
    config: dict
    uses: list[str]  # artifacts that the round is made from, as "name:alias"
    artifacts: list[ArtifactRecord] = field(default_factory=list)  # artifacts that it made
    summary: dict = field(default_factory=dict)
    last_step: int = 0
    started: float = field(default_factory=time.time)
    job_type: str = "round"

    @property
    def experiment_hash(self) -> str:
        """Return the part of the run's id that all runs of the experiment share."""
        return self.run_id.partition("-")[0]


def run_id(experiment_id: str, number: int) -> str:
    """Return the W&B id of a round: the same however often the experiment is killed and resumed.

    It is also an alias of every artifact of the round. The alias `round-NN` moves on when another experiment
    of the same name comes along in the project; this one never does, so lineage goes by it.
    """
    return f"{experiment_hash(experiment_id)}-round-{number:02d}"


def experiment_hash(experiment_id: str) -> str:
    """Return what the ids of an experiment's runs begin with: 12 hex digits."""
    return hashlib.sha256(experiment_id.encode()).hexdigest()[:12]


def records_folder(experiment: Path) -> Path:
    """Return the folder of an experiment's records."""
    return experiment / "wandb" / "records"


def save_record(experiment: Path, record: RoundRecord) -> None:
    """Write the record of a run in one step."""
    content = json.dumps(dataclasses.asdict(record), indent=1, default=str)
    write_text(records_folder(experiment) / record.run_id / "record.json", content)


def load_record(experiment: Path, run_id: str) -> RoundRecord | None:
    """Return the record of a run; None where there is none, or none that can be read."""
    try:
        raw = read_json(records_folder(experiment) / run_id / "record.json")
        return RoundRecord(**{**raw, "artifacts": [ArtifactRecord(**a) for a in raw["artifacts"]]})
    except (UserError, TypeError, KeyError):
        return None


def load_records(experiment: Path) -> list[RoundRecord]:
    """Return the records in a folder in round order; those of the experiment that began first come first."""
    names = [path.parent.name for path in records_folder(experiment).glob("*/record.json")]
    records = [record for name in names if (record := load_record(experiment, name)) is not None]
    started: dict[str, float] = {}
    for record in records:
        started[record.experiment_hash] = min(record.started, started.get(record.experiment_hash, record.started))
    return sorted(records, key=lambda record: (started[record.experiment_hash], record.round))


def latest(records: list[RoundRecord]) -> list[RoundRecord]:
    """Return, of `load_records`, those of the experiment that began last: its winners are the ones that count."""
    return [record for record in records if record.experiment_hash == records[-1].experiment_hash]


def save_history(experiment: Path, run_id: str, rows: Iterable[dict]) -> None:
    """Write the rows of a run's history in one step."""
    with replacing(records_folder(experiment) / run_id / "history.jsonl") as temporary:
        write_jsonl(temporary, rows)


def load_history(experiment: Path, run_id: str) -> list[dict]:
    """Return the rows of a run's history, in the order in which they were logged."""
    return read_jsonl(records_folder(experiment) / run_id / "history.jsonl")


def save_winners(experiment: Path, experiment_hash: str, winners: dict[str, int]) -> None:
    """Remember the rounds called `extreme` and `best`: {"extreme": 5, "best": 3}."""
    write_text(records_folder(experiment) / f"{experiment_hash}-winners.json", json.dumps(winners))


def load_winners(experiment: Path, experiment_hash: str) -> dict[str, int]:
    """Return what `save_winners` wrote; empty where there is none, or none that can be read."""
    try:
        return read_json(records_folder(experiment) / f"{experiment_hash}-winners.json")
    except UserError:
        return {}
