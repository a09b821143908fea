"""One round's W&B run, from its first row to its artifacts."""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lth.tracking.artifacts import Artifact, artifact_record, summary
from lth.tracking.client import log_row, log_summary, make_artifact, remove_stale_run, start_run
from lth.tracking.record import (
    RoundRecord,
    experiment_hash,
    records_folder,
    save_history,
    save_record,
)
from lth.tracking.session import Session

if TYPE_CHECKING:
    import wandb

#: What helps when the disk, rather than W&B, is at fault.
RECORD_AGAIN = "give the same command again to record the round from the store"
#: Seconds that ending a run may take after W&B has failed.
FAILED_FINISH_SECONDS = 5.0


class RoundRun:
    """Logs one run: to its record on disk, and to W&B as long as W&B works. A context manager."""

    def __init__(self, session: Session, record: RoundRecord, history: Iterable[Mapping] = ()) -> None:
        self.session = session
        self.record = record
        self.history = history
        self.rows: list[dict] = []
        self.run: wandb.Run | None = None

    def __enter__(self) -> Self:
        options = self.session.options
        self.session.guard.unless_broken(self.start, options.init_timeout + 10)
        if options.mode == "online":
            self.tell(lambda run: [run.use_artifact(name) for name in self.record.uses], options.init_timeout)
        for row in self.history:
            self.log(row)
        return self

    def start(self) -> None:
        """Start the run on W&B, or go on with it where an earlier process was stopped."""
        folder, options = self.session.folder, self.session.options
        remove_stale_run(folder, self.record)
        self.run = start_run(
            folder,
            self.record,
            options.mode,
            init_timeout=options.init_timeout,
            finish_timeout=options.finish_timeout,
            finish_timeout_raises=True,
        )

    def tell(self, call: "Callable[[wandb.Run], Any]", seconds: float | None = None) -> None:
        """Make a call about the run to W&B, unless W&B has failed before."""
        if (run := self.run) is not None:
            self.session.guard.unless_broken(lambda: call(run), seconds)

    def log(self, row: Mapping) -> None:
        """Log {"step": int, "epoch": float, any metrics...}. Rows come in the order of their steps."""
        timed = {"_timestamp": time.time(), **row}
        self.rows.append(timed)
        self.tell(lambda run: log_row(run, timed))

    def finish(self, metrics: Mapping[str, Any], artifacts: Sequence[Artifact]) -> None:
        """Log the run's summary and artifacts, and end it.

        Args:
            metrics: the round's metrics.json.
            artifacts: what the run made; their files stay as they are.
        """
        record, options = self.record, self.session.options
        trainer = metrics.get("trained_by")
        reused = trainer is not None and experiment_hash(str(trainer)) != record.experiment_hash
        record.summary = summary(metrics)
        record.config["reused"] = reused
        record.last_step = max((row["step"] for row in self.rows), default=0)
        made = self.session.guard(lambda: self.write_record(artifacts), remedy=RECORD_AGAIN) or []
        self.tell(lambda run: run.config.update({"reused": reused}, allow_val_change=True))
        self.tell(lambda run: log_summary(run, record))
        self.tell(
            lambda run: [run.log_artifact(artifact, aliases=aliases) for artifact, aliases in made],
            None if options.mode == "offline" else options.init_timeout,
        )
        self.end()

    def write_record(self, artifacts: Sequence[Artifact]) -> "list[tuple[wandb.Artifact, list[str]]]":
        """Write the record, complete before W&B hears of it; returns its artifacts, with their aliases."""
        folder, made = self.session.folder, []
        for artifact in artifacts:
            if artifact.copied:
                place = records_folder(folder) / self.record.run_id
                artifact = replace(artifact, files=[copied_to(place, file) for file in artifact.files])
            entry = artifact_record(artifact, self.record, self.session.experiment, folder)
            made.append((make_artifact(folder, entry), entry.aliases))
            entry.digest = made[-1][0].digest
            self.record.artifacts.append(entry)
        save_history(folder, self.record.run_id, self.rows)
        save_record(folder, self.record)
        return made

    def end(self, exit_code: int = 0) -> None:
        """End the run on W&B; more than once does no harm."""
        run, self.run, guard = self.run, None, self.session.guard
        if run is not None:
            seconds = FAILED_FINISH_SECONDS if guard.broken else self.session.options.finish_timeout + 10
            guard(lambda: run.finish(exit_code=exit_code), seconds)

    def __exit__(self, *error: object) -> None:
        """A round that did not `finish` leaves a failed run; resuming the experiment goes on with it."""
        self.end(exit_code=1)


class SilentRun:
    """Stands in for a run that nobody is told of: tracking is disabled, or the run is finished already."""

    def __init__(self, record: RoundRecord) -> None:
        self.record = record

    def __enter__(self) -> Self:
        return self

    def log(self, row: Mapping) -> None:
        """Log nothing."""

    def finish(self, metrics: Mapping[str, Any], artifacts: Sequence[Artifact]) -> None:
        """Log nothing."""

    def __exit__(self, *error: object) -> None:
        """End nothing."""


def open_run(session: Session, record: RoundRecord, history: Iterable[Mapping] = ()) -> RoundRun | SilentRun:
    """Return the run of a record, to be entered; one that says nothing if there is nothing to tell.

    Args:
        history: rows logged before (of a resumed round); they are replayed.
    """
    if session.options.mode == "disabled" or session.has_run(record):
        return SilentRun(record)
    return RoundRun(session, record, history)


def copied_to(folder: Path, file: Path) -> Path:
    """Copy a file into ``folder``; returns the copy."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(file, folder / file.name))
