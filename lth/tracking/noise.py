"""The W&B run of an experiment's noise grid: a further run in its group, made from the masks that were tested."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lth.tracking.record import RoundRecord, experiment_hash, records_folder, run_id
from lth.tracking.rounds import RoundRun

if TYPE_CHECKING:
    import wandb

    from lth.tracking.tracker import Tracker


#: Where the record stands among those of the rounds: after them, since their masks are its inputs.
AFTER_ALL = 1_000_000


class NoiseRun(RoundRun):
    """As the run of a round, but what it makes is one artifact, the grid's table."""

    def write_record(
        self,
        metrics: Mapping,
        init: Path,
        mask: Path,
        weights: Path | None,
        rewind: Path | None,
        files: Sequence[Path],
    ) -> "list[tuple[wandb.Artifact, list[str]]]":
        kept = records_folder(self.tracker.folder) / self.record.run_id / "noise.csv"  # the next grid has another
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[0], kept)
        artifact = self.artifact("noise", "noise", [kept], [self.record.run_id], dict(self.record.summary), {})
        self.record.artifacts.append(artifact)
        return self.recorded()


def log_noise(
    tracker: "Tracker", file: Path, tested: Sequence[int], rows: Sequence[Mapping], summary: Mapping, settings: Mapping
) -> None:
    """Log a finished grid; once, however often the experiment is played.

    Args:
        file: its `noise.csv`.
        tested: numbers of the rounds.
        rows: of the run's history, one a noise.
        settings: the ``test_noise`` group, for the run's config.
    """
    key = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    mask = tracker.artifact_name("mask")
    record = RoundRecord(
        round=AFTER_ALL,
        key=key,
        run_id=f"{experiment_hash(tracker.experiment_id)}-noise-{key[:8]}",
        name=f"{tracker.experiment}-noise",
        group=tracker.group,
        project=tracker.project,
        entity=tracker.entity,
        config={**tracker.config, "test_noise": dict(settings), "tested": list(tested)},
        uses=[f"{mask}:{run_id(tracker.experiment_id, number)}" for number in tested],
        job_type="noise",
    )
    nothing_to_do = tracker.mode == "disabled" or tracker.has_run(record)
    with NoiseRun(None if nothing_to_do else tracker, record, ()) as run:
        for step, row in enumerate(rows):
            run.log({"step": step, **row})
        run.finish(summary, init=file, mask=file, files=[file])
