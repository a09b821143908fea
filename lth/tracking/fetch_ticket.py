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
from lth.store.ticket import SourceExperiment, SourceTicket, read_init, rewind_source
from lth.tracking.fetch import asking, connect, download
from lth.tracking.remember import RUN_ID
from lth.tracking.upload import unless_missing

if TYPE_CHECKING:
    import wandb
    from wandb.apis import public


def from_artifact(name: str, folder: Path) -> SourceTicket:
    """Return the ticket of a mask artifact; its init is the one that the mask's run had used or logged.

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
        late = rewind_source(about, what)
        kind, file, lacks = "init", "init.safetensors", "no init"
        if late and late.round:  # then it returns to early weights, unless these were given as the init of round 0
            kind, file, lacks = "rewind", "weights.safetensors", f"no weights of epoch {late.epoch} to rewind to"
        of_run = [*run.used_artifacts(), *run.logged_artifacts()]
        origins = [artifact for artifact in of_run if artifact.type == kind]
        if not origins:
            raise UserError(f"{what}: its run {run.name} names {lacks}; upload it again with python -m lth sync")
        init = read_init(download(origins[0], file, Path(scratch)))
    inputs = run.config.get("inputs", {})
    digest = late.weights if late else inputs.get("init")
    if digest not in (None, tensors_digest(init)):
        raise UserError(f"{what}: {origins[0].name} is not the {kind} that this mask was found with")
    ticket = WandbTicket(api, what, run, artifact)
    return SourceTicket(
        init,
        mask,
        name,
        {
            "experiment": None,
            "name": ticket.name,
            "round": ticket.number,
            "key": about.get("key"),
            "mask": mask.digest(),
        },
        inputs.get("tokens"),
        tuple(f"{used.entity}/{used.project}/{used.name}" for used in (origins[0], artifact)),
        ticket.weights,
        ticket.experiment,
        late.epoch if late else 0,
    )


class WandbTicket:
    """Reads the other artifacts of a mask's experiment: trained weights, and the records of its rounds.

    Args:
        what: the words of the command that asks, such as "ticket=me/project/demo-mask:best".
        run: logged the mask.
    """

    def __init__(self, api: "wandb.Api", what: str, run: "public.Run", mask: "wandb.Artifact"):
        self.api, self.what, self.run = api, what, run
        self.project = f"{mask.entity}/{mask.project}"
        self.name = mask.name.partition(":")[0].removesuffix("-mask")
        round_id = RUN_ID.fullmatch(run.id)
        self.number: int | None = int(round_id[2]) if round_id else run.config.get("round")

    def weights(self) -> dict[str, Tensor]:
        """Return the ticket's trained weights; UserError where they were not logged."""
        with self.file("weights", self.round_number(), "weights.safetensors") as path:
            if path is None:
                raise UserError(
                    f"{self.what}: its trained weights are not on W&B, which transfer=weights starts from; "
                    "they are logged by tracking.log_weights=true"
                )
            return read_init(path)

    def experiment(self) -> SourceExperiment:
        """Return the experiment as its `round` artifacts tell it."""
        label = self.read("round.json", self.round_number())
        metrics = [self.read("metrics.json", number) for number in range(self.round_number() + 1)]
        rows = [Row.from_metrics(of_round, number) for number, of_round in enumerate(metrics)]
        entity, project = self.project.split("/")
        where = {"entity": entity, "project": project, "group": self.run.group or self.name}
        return SourceExperiment(
            self.name, label["experiment"]["config"], metrics[-1]["inputs"], where, rows, here=False
        )

    def round_number(self) -> int:
        """Return the number of the ticket's round; UserError where its run is none of a round."""
        if type(self.number) is not int:
            raise UserError(f"{self.what}: its run {self.run.name} is no round of an experiment")
        return self.number

    def read(self, name: str, number: int) -> dict:
        """Return a JSON file of a round's `round` artifact."""
        with self.file("round", number, name) as path:
            if path is None:
                raise UserError(
                    f"{self.what}: W&B has no record of round {number}; complete it with python -m lth sync"
                )
            return read_json(path)

    @contextmanager
    def file(self, kind: str, number: int, name: str) -> Iterator[Path | None]:
        """Yield a file of one of a round's artifacts, as long as the block lasts; None if that was not logged."""
        run_id = f"{self.run.id.partition('-')[0]}-round-{number:02d}"
        with asking(self.what), TemporaryDirectory() as scratch:
            artifact = unless_missing(lambda: self.api.artifact(f"{self.project}/{self.name}-{kind}:{run_id}"))
            yield None if artifact is None else download(artifact, name, Path(scratch))
