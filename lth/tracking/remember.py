"""What W&B remembers of an experiment, so that another machine can go on with it: `resume=ENTITY/PROJECT/NAME`.

Each round logs an artifact of type `round` beside its mask: what the store knows of the round but for its mask
and weights (metrics, hypotheses, history, checksums), and what the experiment was. Here it is read back.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lth.errors import UserError
from lth.store.store import StoredRound
from lth.tracking.artifacts import TYPES, artifact_record, round_artifacts
from lth.tracking.fetch import asking, download
from lth.tracking.record import RoundRecord, load_record, save_history, save_record
from lth.tracking.upload import unless_missing

if TYPE_CHECKING:
    import wandb
    from wandb.apis import public

RUN_ID = re.compile(r"([0-9a-f]{12})-round-(\d{2,})")


@dataclass
class RememberedRound:
    """The W&B run of a finished round and the artifacts that it made, by their types."""

    run: "public.Run"
    artifacts: "dict[str, wandb.Artifact]"

    @property
    def name(self) -> str:
        """Return the name of the run, such as "demo-round-03"."""
        return self.run.name or self.run.id

    def fetch(self, kind: str, name: str, folder: Path) -> Path:
        """Download a file of the round's artifact of this type into ``folder``; returns its path."""
        if kind not in self.artifacts:
            raise UserError(f"{self.name} logged no artifact of type {kind}; it cannot be resumed from W&B")
        with asking(f"{name} of {self.name}"):
            return download(self.artifacts[kind], name, folder)


def remembered(api: "wandb.Api", entity: str, project: str, name: str) -> list[RememberedRound]:
    """Return the rounds of the newest experiment of this name, from round 0 to the last before the first gap.

    Raises:
        UserError: there is no such experiment, or its artifacts were logged without what a resume needs.
    """
    what = f"resume={entity}/{project}/{name}"
    with asking(what):
        # By name, not by group: controls and seeds are in the group of another experiment.
        filters = {"$and": [{"displayName": {"$regex": f"^{re.escape(name)}-round-"}}, {"jobType": "round"}]}
        runs = [run for run in api.runs(f"{entity}/{project}", filters=filters) if RUN_ID.fullmatch(run.id)]
        runs = [run for run in runs if run.name.rpartition("-round-")[0] == name]
        if not runs:
            raise UserError(f"{what}: there is no round of an experiment {name} in that project")
        newest = max(runs, key=lambda run: run.created_at)
        experiment = newest.id.partition("-")[0]
        by_number = {int(run.id.rpartition("-")[2]): run for run in runs if run.id.startswith(f"{experiment}-")}
        rounds = []
        while (run := by_number.get(len(rounds))) is not None and run.state == "finished":
            artifacts = artifacts_of(api, f"{entity}/{project}/{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}", run.id)
            if not {"mask", "round"} <= set(artifacts):
                break
            rounds.append(RememberedRound(run, artifacts))
    if not rounds or "init" not in rounds[0].artifacts:
        raise UserError(
            f"{what}: its artifacts lack what a resume needs (the init, and a mask and a record of each round); "
            "complete them with python -m lth sync where it was run"
        )
    return rounds


def artifacts_of(api: "wandb.Api", prefix: str, run_id: str) -> "dict[str, wandb.Artifact]":
    """Return the artifacts that have a run's id as an alias, by type."""
    artifacts = {}
    for kind, type in TYPES.items():
        artifact = unless_missing(lambda name=f"{prefix}-{kind}:{run_id}": api.artifact(name))
        if artifact is not None and artifact.type == type:
            artifacts[type] = artifact
    return artifacts


def remember_record(folder: Path, number: int, stored: StoredRound, round: RememberedRound, label: dict) -> None:
    """Write the record of a run that W&B has already, so that it is neither logged nor uploaded again.

    Args:
        folder: the experiment's.
        stored: the round, back in the store.
        label: content of the `round` artifact's round.json.
    """
    run = round.run
    if load_record(folder, run.id) is not None:
        return
    record = RoundRecord(
        round=number,
        key=stored.key,
        run_id=run.id,
        name=round.name,
        group=run.group,
        project=run.project,
        entity=run.entity,
        config=dict(run.config),
        uses=label["uses"],
        summary={name: value for name, value in dict(run.summary).items() if not name.startswith("_")},
        last_step=run.lastHistoryStep,
    )
    experiment = round.name.rpartition("-round-")[0]
    init, rewind = folder / "init.safetensors", (folder / "rewind.safetensors").resolve()
    about = label["experiment"]
    for artifact in round_artifacts(record, stored, init=init, rewind=rewind, about=about, weights=True):
        if (logged := round.artifacts.get(artifact.type)) is not None:
            entry = artifact_record(artifact, record, experiment, folder)
            entry.metadata, entry.digest = dict(logged.metadata), logged.digest
            record.artifacts.append(entry)
    save_history(folder, run.id, stored.history())
    save_record(folder, record)
