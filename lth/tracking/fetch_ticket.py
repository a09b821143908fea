"""A ticket that W&B has: ENTITY/PROJECT/NAME-mask:ALIAS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from torch import Tensor

from lth.errors import UserError
from lth.files import read_json
from lth.store.maskfile import load_mask
from lth.store.rows import Row
from lth.store.store import tensors_digest
from lth.store.ticket import SourceExperiment, SourceTicket, late_point, read_init
from lth.tracking.fetch import asking, connect, download
from lth.tracking.remember import RUN_ID
from lth.tracking.upload import found

if TYPE_CHECKING:
    import wandb


def from_artifact(name: str, folder: Path) -> SourceTicket:
    """A mask artifact, and the init that the run that logged it had used or logged.

    Args:
        folder: an experiment's, for what W&B's client writes.

    Raises:
        UserError: there is no such mask, or the way to its init is lost.
    """
    what = f"ticket={name}"
    api = connect(folder, what)
    with asking(what), TemporaryDirectory() as scratch:
        artifact = api.artifact(name)
        if artifact.type != "mask":
            raise UserError(f"{what} is an artifact of type {artifact.type}, not a mask")
        mask, about = load_mask(download(artifact, "mask.lth", Path(scratch)))
        run = artifact.logged_by()
        if run is None:
            raise UserError(f"{what}: the run that logged this mask is gone, and with it the way to its init")
        late = late_point(about, what)
        made = [one for many in (run.used_artifacts(), run.logged_artifacts()) for one in many]
        # With late rewinding the init is not what the ticket returns to, unless it was given as such a ticket itself.
        kind, file = ("rewind", "weights.safetensors") if late and late.round else ("init", "init.safetensors")
        origins = [one for one in made if one.type == kind]
        if not origins:
            lacks = f"no weights of epoch {late.epoch} to rewind to" if kind == "rewind" else "no init"
            raise UserError(f"{what}: its run {run.name} names {lacks}; upload it again with python -m lth sync")
        init = read_init(download(origins[0], file, Path(scratch)))
    inputs = run.config.get("inputs", {})
    digest = late.weights if late else inputs.get("init")
    if digest not in (None, tensors_digest(init)):
        raise UserError(f"{what}: {origins[0].name} is not the {kind} that this mask was found with")
    there = There(api, what, run, artifact)
    return SourceTicket(
        init,
        mask,
        name,
        {"experiment": None, "name": there.name, "round": there.number, "key": about.get("key"), "mask": mask.digest()},
        inputs.get("tokens"),
        tuple(f"{one.entity}/{one.project}/{one.name}" for one in (origins[0], artifact)),
        there.weights,
        there.found,
        late.epoch if late else 0,
    )


class There:
    """The further artifacts of the ticket's experiment."""

    def __init__(self, api: "wandb.Api", what: str, run: "wandb.apis.public.Run", mask: "wandb.Artifact"):
        self.api, self.what, self.run = api, what, run
        self.project = f"{mask.entity}/{mask.project}"
        self.name = mask.name.partition(":")[0].removesuffix("-mask")
        named = RUN_ID.fullmatch(run.id)
        self.number = int(named[2]) if named else run.config.get("round")

    def weights(self) -> dict[str, Tensor]:
        """The ticket's trained weights, where they were logged."""
        with self.file("weights", self.number, "weights.safetensors") as path:
            if path is None:
                raise UserError(
                    f"{self.what}: its trained weights are not on W&B, which transfer=weights starts from; "
                    "they are logged by tracking.log_weights=true"
                )
            return read_init(path)

    def found(self) -> SourceExperiment:
        """The experiment as its `round` artifacts tell it."""
        label, metrics = self.read("round.json", self.number), []
        for number in range(self.number + 1):
            metrics.append(self.read("metrics.json", number))
        rows = [Row.from_metrics(row, number) for number, row in enumerate(metrics)]
        entity, project = self.project.split("/")
        where = {"entity": entity, "project": project, "group": self.run.group or self.name}
        return SourceExperiment(
            self.name, label["experiment"]["config"], metrics[-1]["inputs"], where, rows, here=False
        )

    def read(self, name: str, number: int) -> dict:
        """A JSON file of a round's `round` artifact."""
        with self.file("round", number, name) as path:
            if path is None:
                raise UserError(
                    f"{self.what}: W&B has no record of round {number}; complete it with python -m lth sync"
                )
            return read_json(path)

    @contextmanager
    def file(self, kind: str, number: int, name: str) -> Iterator[Path | None]:
        """A file of one of a round's artifacts, for a while; None where that artifact is not there."""
        run_id = f"{self.run.id.partition('-')[0]}-round-{number:02d}"
        with asking(self.what), TemporaryDirectory() as scratch:
            artifact = found(lambda: self.api.artifact(f"{self.project}/{self.name}-{kind}:{run_id}"))
            yield None if artifact is None else download(artifact, name, Path(scratch))
