"""The wandb client, told once how to behave: quiet, quick, and only in the experiment's own folder.

wandb is imported by the functions, not by the module: `tracking=disabled` must not load it.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lth.tracking.record import ArtifactRecord, RoundRecord

if TYPE_CHECKING:
    import wandb


#: How an experiment is tracked.
Mode = Literal["offline", "online", "disabled"]


def keep_files_in(folder: Path) -> None:
    """Point every folder that the client writes to below `folder`/wandb.

    The folder of its settings file (WANDB_CONFIG_DIR) is only read, and names the user's server: left alone.
    """
    os.environ["WANDB_DIR"] = str(folder)
    for name in ("DATA", "CACHE", "ARTIFACT"):
        os.environ[f"WANDB_{name}_DIR"] = str(folder / "wandb" / name.lower())
    os.environ["WANDB_SILENT"] = "true"


def trim_cache(folder: Path, gigabytes: float) -> None:
    """Remove what the client has cached longest until at most so many gigabytes are left.

    Nothing in the cache is the only copy.
    """
    files = [path for path in (folder / "wandb" / "cache").rglob("*") if path.is_file()]
    files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    bytes_left = gigabytes * 1e9
    for path in files:
        bytes_left -= path.stat().st_size
        if bytes_left < 0:
            path.unlink()


def logged_in() -> bool:
    """Return whether an API key is configured; the server is not asked."""
    import wandb

    os.environ.pop("WANDB_MODE", None)  # the config, which asks for `online`, comes before the environment
    return wandb.run is not None or wandb.login(prompt=False, verify=False)


def step_out_of_sweep() -> None:
    """Make the runs that start from now on runs of their own.

    Under `wandb agent` the next run to start would be taken for the trial. To be called when the trial's own run has
    started.
    """
    import wandb

    if os.environ.get("WANDB_SWEEP_ID"):
        for name in ("SWEEP_ID", "RUN_ID", "SWEEP_PARAM_PATH"):
            os.environ.pop(f"WANDB_{name}", None)
        settings = wandb.setup().settings
        settings.sweep_id = settings.run_id = settings.sweep_param_path = None


def remove_stale_run(folder: Path, record: RoundRecord) -> None:
    """Remove what a killed process wrote of a run that now starts again, its history replayed."""
    for stale in (folder / "wandb").glob(f"*run-*-{record.run_id}"):
        shutil.rmtree(stale)


def start_run(folder: Path, record: RoundRecord, mode: Mode, **settings: Any) -> "wandb.Run":
    """Start the run of a round, or go on with it where the server has its beginning.

    Without console capture, git and machine statistics a run starts and ends in milliseconds.

    Args:
        folder: the run's files go to `wandb/` in it.
    """
    import wandb

    step_out_of_sweep()
    run = wandb.init(
        mode=mode,
        id=record.run_id,
        resume="allow" if mode == "online" else None,
        name=record.name,
        group=record.group,
        job_type=record.job_type,
        project=record.project,
        entity=record.entity,
        dir=str(folder),
        reinit="create_new",
        settings=wandb.Settings(
            silent=True,
            quiet=True,
            console="off",
            disable_code=True,
            disable_git=True,
            save_code=False,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
            **settings,
        ),
    )
    run.config.update(record.config, allow_val_change=True)
    run.define_metric("epoch")
    for metric in ("dev_*", "train_loss"):
        run.define_metric(metric, step_metric="epoch")
    return run


def log_row(run: "wandb.Run", row: Mapping) -> None:
    """Log {"step": int, name: value, ...}. A resumed run has its first rows already: they are skipped."""
    if row["step"] >= run.starting_step:
        run.log({name: value for name, value in row.items() if name != "step"}, step=row["step"])


def log_summary(run: "wandb.Run", record: RoundRecord) -> None:
    """Set the summary. The last row is sent first, for its values would overwrite the summary's."""
    if run.starting_step <= record.last_step:
        run.log({}, commit=True)
    run.summary.update(record.summary)


def make_artifact(folder: Path, record: ArtifactRecord) -> "wandb.Artifact":
    """Return the artifact of a record. Its files are not copied: the store never changes a file.

    Raises:
        ValueError: if one of the files is gone.
    """
    import wandb

    artifact = wandb.Artifact(record.name, record.type, metadata=record.metadata)
    for name, path in record.files.items():
        artifact.add_file(str((folder / path).resolve()), name=name, policy="immutable", skip_cache=True)
    if record.label:
        with artifact.new_file("round.json") as file:
            json.dump(record.label, file, sort_keys=True)
    return artifact
