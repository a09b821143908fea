"""What the W&B runs of one experiment have in common: the options of tracking, and the experiment they belong to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from lth.errors import UserError
from lth.tracking.client import Mode
from lth.tracking.guard import Guard
from lth.tracking.record import RoundRecord, load_record


@dataclass(frozen=True)
class TrackingOptions:
    """Say how and where an experiment is tracked: the `tracking` group of the config, key by key.

    Args:
        mode: `offline` (recorded on disk, uploaded by `python -m lth sync`), `online`, or `disabled` (no W&B file at
            all, and the wandb package is not imported).
        project, entity: where in W&B; entity None is the user's default.
        group: the runs' group; None is the experiment's name.
        log_weights: whether each round's trained weights are an artifact too.
        init_timeout, finish_timeout: seconds an unwilling server may hold up a round's start and end.
        cache_gb: gigabytes of the client's cache that are left when the experiment ends.

    Raises:
        UserError: unknown mode.
    """

    mode: Mode
    project: str
    entity: str | None = None
    group: str | None = None
    log_weights: bool = False
    init_timeout: float = 30
    finish_timeout: float = 120
    cache_gb: float = 5

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise UserError(f"tracking.mode={self.mode} is unknown: use offline, online or disabled")


@dataclass(eq=False)
class Session:
    """Name the experiment that is tracked, and what every run of it says.

    Args:
        options: how and where it is tracked.
        experiment: its name; the start of the artifacts' names.
        experiment_id: tells experiments of the same name apart; stays the same when one is resumed.
        folder: the experiment's own, `outputs/<experiment>`, resolved; all W&B files go to `wandb/` in it.
        config: the resolved config, as plain containers; goes into the config of every run.
        about: what another machine needs to resume the experiment; lies in every `round` artifact.
        uses: the artifacts that round 0 was made from, as "entity/project/name:version".
    """

    options: TrackingOptions
    experiment: str
    experiment_id: str
    folder: Path
    config: Mapping[str, Any]
    about: Mapping[str, Any]
    uses: Sequence[str]
    guard: Guard = field(init=False)

    def __post_init__(self) -> None:
        self.guard = Guard(self.experiment)

    @property
    def group(self) -> str:
        """Return the W&B group of the experiment's runs."""
        return self.options.group or self.experiment

    def record(
        self,
        number: int,
        *,
        key: str,
        run_id: str,
        name: str,
        config: Mapping[str, Any],
        uses: list[str],
        job_type: str = "round",
    ) -> RoundRecord:
        """Return the record of a run that has not begun.

        Args:
            number: of the round; the records of an experiment are uploaded in this order.
            key: tells this very run from another of the same id.
            name: put behind the experiment's.
            config: beside the experiment's.
            uses: the artifacts that it is made from, as "name:alias".
        """
        return RoundRecord(
            round=number,
            key=key,
            run_id=run_id,
            name=f"{self.experiment}-{name}",
            group=self.group,
            project=self.options.project,
            entity=self.options.entity,
            config={**self.config, **config},
            uses=uses,
            job_type=job_type,
        )

    def has_run(self, record: RoundRecord) -> bool:
        """Return whether an earlier process of this experiment finished this very run."""
        earlier = load_record(self.folder, record.run_id)
        return earlier is not None and earlier.key == record.key
