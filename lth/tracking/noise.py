"""The W&B run of an experiment's noise grid: a further run in its group, made from the masks that were tested."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lth.tracking.artifacts import Artifact, artifact_name
from lth.tracking.record import experiment_hash, run_id
from lth.tracking.rounds import open_run
from lth.tracking.session import Session

#: Where the record stands among those of the rounds: behind them all, since their masks are its inputs.
NOISE_RUN_INDEX = 1_000_000


def log_noise(
    session: Session,
    file: Path,
    tested: Sequence[int],
    rows: Sequence[Mapping],
    summary: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> None:
    """Log a finished grid; once, however often the experiment is played.

    Args:
        file: its `noise.csv`.
        tested: numbers of the rounds.
        rows: of the run's history, one a noise.
        settings: the ``test_noise`` group, for the run's config.
    """
    key = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    mask = artifact_name(session.experiment, "mask")
    record = session.record(
        NOISE_RUN_INDEX,
        key=key,
        run_id=f"{experiment_hash(session.experiment_id)}-noise-{key[:8]}",
        name="noise",
        config={"test_noise": dict(settings), "tested": list(tested)},
        uses=[f"{mask}:{run_id(session.experiment_id, number)}" for number in tested],
        job_type="noise",
    )
    with open_run(session, record) as run:
        for step, row in enumerate(rows):
            run.log({"step": step, **row})
        # The next grid rewrites noise.csv, so the artifact has a copy.
        run.finish(summary, [Artifact("noise", [file], metadata=summary, copied=True)])
