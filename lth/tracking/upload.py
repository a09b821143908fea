"""What of an experiment W&B has, and bringing it what it lacks; for `python -m lth sync`, and to check `online` runs.

`wandb sync` is not enough: it leaves out which artifacts a run used, says "Finished" when an artifact's files
are gone, and run twice it logs every row twice.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from lth.tracking.client import log_row, log_summary, make_artifact, start_run
from lth.tracking.record import ArtifactRecord, RoundRecord, load_history, load_winners

if TYPE_CHECKING:
    import wandb
    from wandb.apis import public

T = TypeVar("T")


def missing(api: "wandb.Api", record: RoundRecord) -> list[str]:
    """Return what the server lacks of a round, in words; empty when it has everything."""
    gaps = [] if has_history(api, record) else ["its run"]
    gaps += [artifact.name for artifact in record.artifacts if not has_artifact(api, record, artifact)]
    return gaps + [f"its use of {name}" for name in missing_inputs(api, record)]


def has_history(api: "wandb.Api", record: RoundRecord) -> bool:
    """Return whether the server has the finished run with all of its rows."""
    run = find_run(api, record)
    return run is not None and run.state == "finished" and run.lastHistoryStep >= record.last_step


def has_artifact(api: "wandb.Api", record: RoundRecord, artifact: ArtifactRecord) -> bool:
    """Return whether the server has the artifact under the round's own alias, with the very content of the record."""
    logged = find_artifact(api, record, f"{artifact.name}:{record.run_id}")
    return logged is not None and logged.digest == artifact.digest


def missing_inputs(api: "wandb.Api", record: RoundRecord) -> list[str]:
    """Return which of the artifacts that the round was made from the server's run does not name."""
    run = find_run(api, record)
    used = [] if run is None else run.used_artifacts()
    names = {f"{artifact.name.split(':')[0]}:{alias}" for artifact in used for alias in artifact.aliases}
    for artifact in used:  # of another experiment: by version or, as its own record names it, by the run that made it
        name, project = artifact.name.split(":")[0], artifact.project
        names.add(f"{artifact.entity}/{project}/{artifact.name}")
        for alias in artifact.aliases:
            names |= {f"{project}/{name}:{alias}", f"{artifact.entity}/{project}/{name}:{alias}"}
    return [name for name in record.uses if name not in names]


def find_run(api: "wandb.Api", record: RoundRecord) -> "public.Run | None":
    """Return the round's run on the server."""
    api.flush()  # it remembers runs as they were
    return unless_missing(lambda: api.run(f"{project_path(api, record)}/{record.run_id}"))


def find_artifact(api: "wandb.Api", record: RoundRecord, name: str) -> "wandb.Artifact | None":
    """Return an artifact of the round's project, or of the project that the name begins with."""
    return unless_missing(lambda: api.artifact(name if "/" in name else f"{project_path(api, record)}/{name}"))


def project_path(api: "wandb.Api", record: RoundRecord) -> str:
    """Return "entity/project" of the round's run."""
    return f"{record.entity or api.default_entity}/{record.project}"


def unless_missing(look_up: Callable[[], T]) -> T | None:
    """Return what `look_up` returns, or None if the server says that there is no such thing."""
    try:
        return look_up()
    except Exception as error:  # the client has no type of its own for this
        if "not found" in str(error).lower() or "could not find" in str(error).lower():
            return None
        raise


def upload(api: "wandb.Api", folder: Path, record: RoundRecord, **settings: Any) -> list[str]:
    """Bring W&B what it lacks of a round; rows and versions that it has are not sent again.

    Returns:
        What could not be sent, in words: artifacts whose files are gone from the store, or have changed.
    """
    problems, artifacts = [], []
    for artifact in record.artifacts:
        if not has_artifact(api, record, artifact):
            try:
                artifacts.append((make_again(folder, artifact), artifact.aliases))
            except ValueError as error:
                problems.append(str(error))
    inputs = [name for name in missing_inputs(api, record) if find_artifact(api, record, name) is not None]

    with TemporaryDirectory() as scratch:
        run = start_run(Path(scratch), record, "online", **settings)
        try:
            for row in load_history(folder, record.run_id):
                log_row(run, row)
            log_summary(run, record)
            for name in inputs:
                run.use_artifact(name)
            for artifact, aliases in artifacts:
                run.log_artifact(artifact, aliases=aliases).wait()
        except BaseException:
            run.finish(exit_code=1)
            raise
        run.finish()
    return problems


def make_again(folder: Path, record: ArtifactRecord) -> "wandb.Artifact":
    """Return the artifact of a record, made again from the store.

    Raises:
        ValueError: a file is gone, or its content is not what it was.
    """
    artifact = make_artifact(folder, record)
    if artifact.digest != record.digest:
        files = ", ".join(record.files.values())
        raise ValueError(f"{files} is not what it was when {record.name} was recorded")
    return artifact


def missing_names(api: "wandb.Api", folder: Path, record: RoundRecord) -> list[str]:
    """Return which of `extreme` and `best` the round's mask has earned but is not yet called."""
    winners = load_winners(folder, record.experiment_hash)
    earned = [name for name, number in winners.items() if number == record.round]
    mask = find_mask(api, record) if earned else None
    return [name for name in earned if mask is None or name not in mask.aliases]


def give_names(api: "wandb.Api", folder: Path, record: RoundRecord) -> None:
    """Call the round's mask `extreme` or `best` if it has earned it."""
    names, mask = missing_names(api, folder, record), find_mask(api, record)
    if names and mask is not None:
        mask.aliases += names
        mask.save()


def find_mask(api: "wandb.Api", record: RoundRecord) -> "wandb.Artifact | None":
    """Return the mask artifact that the round logged."""
    masks = [artifact.name for artifact in record.artifacts if artifact.type == "mask"]
    return find_artifact(api, record, f"{masks[0]}:{record.run_id}") if masks else None
