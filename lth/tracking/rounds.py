"""One round's W&B run, from its first row to its artifacts."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.tracking.client import log_row, log_summary, make_artifact, remove_stale_run, start_run
from lth.tracking.record import ArtifactRecord, RoundRecord, save_history, save_record

if TYPE_CHECKING:
    import wandb

    from lth.tracking.tracker import Tracker

#: Metrics that say which round a mask is. They lie in its artifact: W&B makes equal contents one version.
LABEL = ("key", "seed", "density", "density_total", "kept", "prunable", "parameters")
#: What helps when the disk, rather than W&B, is at fault.
RECORD_AGAIN = "give the same command again to record the round from the store"
#: Seconds that ending a run may take after W&B has failed.
LAST_CHANCE = 5.0


class RoundRun:
    """Logs one round: to its record on disk, and to W&B as long as W&B works.

    Without a tracker it does nothing: tracking is disabled, or the round's run is finished already.
    """

    def __init__(self, tracker: "Tracker | None", record: RoundRecord, history: Iterable[Mapping]) -> None:
        self.tracker = tracker
        self.record = record
        self.history = history
        self.rows: list[dict] = []
        self.run = None

    def __enter__(self) -> "RoundRun":
        if self.tracker is not None:
            self.try_to(self.start, self.tracker.init_timeout + 10)
            if self.tracker.mode == "online":
                self.try_to(self.use_inputs, self.tracker.init_timeout)
            for row in self.history:
                self.log(row)
        return self

    def start(self) -> None:
        tracker = self.tracker
        remove_stale_run(tracker.folder, self.record)
        self.run = start_run(
            tracker.folder,
            self.record,
            tracker.mode,
            init_timeout=tracker.init_timeout,
            finish_timeout=tracker.finish_timeout,
            finish_timeout_raises=True,
        )

    def use_inputs(self) -> None:
        for name in self.record.uses:
            self.run.use_artifact(name)

    def try_to(self, call: Callable[[], Any], seconds: float | None = None) -> None:
        """Make a call to W&B, unless W&B has failed before."""
        if not self.tracker.guard.broken:
            self.tracker.guard(call, seconds)

    def log(self, row: Mapping) -> None:
        """Log {"step": int, "epoch": float, any metrics...}. Rows come in the order of their steps."""
        if self.tracker is None:
            return
        timed = {"_timestamp": time.time(), **row}
        self.rows.append(timed)
        self.try_to(lambda: log_row(self.run, timed))

    def finish(
        self,
        metrics: Mapping,
        *,
        init: Path,
        mask: Path,
        weights: Path | None = None,
        rewind: Path | None = None,
        files: Iterable[Path] = (),
    ) -> None:
        """Log the round's summary and artifacts, and end its run.

        Args:
            metrics: the round's metrics.json.
            init, mask, weights: files of the store, which stay as they are. Weights are optional.
            rewind: the early weights that late rewinding returns to; logged by round 1.
            files: the other files of the round, for whoever resumes the experiment elsewhere.
        """
        if self.tracker is None:
            return
        tracker, record = self.tracker, self.record
        record.summary = summary(metrics)
        record.config["reused"] = metrics.get("trained_by", tracker.experiment_id) != tracker.experiment_id
        record.last_step = max((row["step"] for row in self.rows), default=0)
        artifacts = tracker.guard(
            lambda: self.write_record(metrics, init, mask, weights, rewind, [*files]), remedy=RECORD_AGAIN
        )
        self.try_to(lambda: self.run.config.update({"reused": record.config["reused"]}, allow_val_change=True))
        self.try_to(lambda: log_summary(self.run, record))
        self.try_to(lambda: self.log_artifacts(artifacts), None if tracker.mode == "offline" else tracker.init_timeout)
        self.end()

    def write_record(
        self,
        metrics: Mapping,
        init: Path,
        mask: Path,
        weights: Path | None,
        rewind: Path | None,
        files: Sequence[Path],
    ) -> "list[tuple[wandb.Artifact, list[str]]]":
        """Write the record, complete before W&B hears of it; returns its artifacts, with their aliases."""
        record = self.record
        label = {name: metrics[name] for name in LABEL if name in metrics}
        label |= {"round": record.round, "run": record.run_id}
        metadata = {"experiment": self.tracker.experiment, **label}
        metadata |= {name: value for name, value in record.summary.items() if name.endswith(("_wer", "_cer"))}
        aliases = [record.run_id, f"round-{record.round:02d}"]

        if record.round == 0:
            only_name = {"experiment": self.tracker.experiment}
            record.artifacts.append(self.artifact("init", "init", [init], aliases[:1], only_name, {}))
        record.artifacts.append(self.artifact("mask", "mask", [mask], aliases, metadata, label))
        if rewind is not None and record.round == 1:
            record.artifacts.append(self.artifact("rewind", "rewind", [rewind], aliases, metadata, label))
        if weights is not None:
            record.artifacts.append(self.artifact("weights", "model", [weights], aliases, metadata, label))
        if files:
            whole = {**label, "uses": record.uses, "experiment": self.tracker.about}
            record.artifacts.append(self.artifact("round", "round", files, aliases, metadata, whole))
        return self.recorded()

    def recorded(self) -> "list[tuple[wandb.Artifact, list[str]]]":
        """Make the artifacts of the record, and write it with their digests."""
        record, folder, made = self.record, self.tracker.folder, []
        for artifact in record.artifacts:
            made.append((make_artifact(folder, artifact), artifact.aliases))
            artifact.digest = made[-1][0].digest
        save_history(folder, record.run_id, self.rows)
        save_record(folder, record)
        return made

    def artifact(
        self, kind: str, type: str, files: Sequence[Path], aliases: list[str], metadata: dict, label: dict
    ) -> ArtifactRecord:
        return ArtifactRecord(
            name=self.tracker.artifact_name(kind),
            type=type,
            aliases=aliases,
            metadata=metadata,
            files={file.name: os.path.relpath(file.resolve(), self.tracker.folder) for file in files},
            label=label,
        )

    def log_artifacts(self, artifacts: "list[tuple[wandb.Artifact, list[str]]]") -> None:
        for artifact, aliases in artifacts:
            self.run.log_artifact(artifact, aliases=aliases)

    def end(self, exit_code: int = 0) -> None:
        if self.run is not None:
            guard = self.tracker.guard
            seconds = LAST_CHANCE if guard.broken else self.tracker.finish_timeout + 10
            guard(lambda: self.run.finish(exit_code=exit_code), seconds)
            self.run = None

    def __exit__(self, *error) -> None:
        """A round that did not `finish` leaves a failed run; resuming the experiment goes on with it."""
        self.end(exit_code=1)


def summary(metrics: Mapping) -> dict:
    """The metrics that go into the run's summary; those of test sets as `<set>_wer` and `<set>_cer`."""
    flat = {name: value for name, value in metrics.items() if isinstance(value, int | float | str)}
    for name, scores in metrics.get("tests", {}).items():
        flat |= {f"{name}_{metric}": scores[metric] for metric in ("wer", "cer") if metric in scores}
    return flat
