"""Where an experiment starts: from a fresh init with every weight kept, or from a ticket found elsewhere.

``ticket=`` is a mask file, a round's folder, an experiment's folder, or the mask artifact
ENTITY/PROJECT/NAME-mask:ALIAS. A ticket is a mask and the init it rewinds to.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from omegaconf import DictConfig
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lth.analysis.rounds import read_csv, winning
from lth.errors import UserError
from lth.maskfile import load_mask
from lth.setting import Setting
from lth.store import tensors_digest
from lth.tickets.mask import Mask

ARTIFACT = re.compile(r"[^/\s:]+/[^/\s:]+/[^/\s:]+:[^/\s:]+")


@dataclass(frozen=True)
class Start:
    """The mask of round 0 and the init; None where the model's own initialiser and all weights are meant."""

    init: Mapping[str, Tensor] | None = None
    mask: Mask | None = None
    source: str = ""
    uses: tuple[str, ...] = ()  # the W&B artifacts that it came from
    epoch: int = 0  # at whose end the init was taken, and after which training goes on: with late rewinding

    @property
    def density(self) -> float:
        return 1.0 if self.mask is None else self.mask.density

    def prepare(self, setting: Setting) -> tuple[Setting, Mask]:
        """The setting with this start's init, and the mask of round 0.

        Raises:
            UserError: the ticket is of another model; the first layer that differs is named.
        """
        dense = setting.dense()
        if self.init is not None:
            _check_same("init", setting.init, self.init, self.source)
            setting = replace(setting, init=dict(self.init))
        if self.mask is not None:
            _check_same("mask", dense, self.mask, self.source)
        return setting, dense if self.mask is None else self.mask


def start(config: DictConfig) -> Start:
    """What ``ticket`` says.

    Raises:
        UserError: there is no such ticket, it is damaged, or its init cannot be found.
    """
    where = config.ticket
    if where is None:
        return Start()
    if Path(where).expanduser().exists():
        return from_path(Path(where).expanduser())
    if ARTIFACT.fullmatch(where):
        return from_artifact(where, Path(config.outputs) / config.name)
    raise UserError(
        f"ticket={where} is neither here (a mask.lth, a round's or an experiment's folder) "
        "nor a W&B artifact, ENTITY/PROJECT/NAME-mask:ALIAS"
    )


def from_path(path: Path) -> Start:
    """The ticket of a mask file or round folder; of an experiment, its extreme one, or else its best."""
    if (path / "experiment.json").is_file():
        chosen = next((row for row in winning(read_csv(path / "rounds.csv")) if row is not None), None)
        if chosen is None:
            raise UserError(f"ticket={path}: this experiment has found no ticket yet")
        path = path / "rounds" / f"round-{chosen.round:02d}"
    folder = path if path.is_dir() else path.parent
    mask, about = load_mask(folder / "mask.lth" if path.is_dir() else path)
    late = late_point(about, f"ticket={path}")
    digest = late.weights if late else _json(folder / "metrics.json").get("inputs", {}).get("init")
    beside, store = (folder, folder.absolute().parents[1]), folder.resolve().parents[1]
    places = [*(place / "init.safetensors" for place in beside), store / "inits" / str(digest) / "init.safetensors"]
    if late:
        places = [*(place / "rewind.safetensors" for place in beside), *places]
        places.append(store / "rounds" / late.round / "weights.safetensors")
    for place in places:
        if place.is_file():
            init = read_init(place)
            if digest in (None, tensors_digest(init)):
                return Start(init, mask, source=str(path), epoch=late.epoch if late else 0)
    what, name = (f"the weights of epoch {late.epoch} that", "rewind") if late else ("the init", "init")
    raise UserError(
        f"ticket={path}: {what} this ticket rewinds to is not there; "
        f"put its {name}.safetensors beside {folder / 'mask.lth'}"
    )


class Late(NamedTuple):
    """What a ticket of late rewinding returns to: the weights at the end of an epoch of a round's training."""

    epoch: int
    weights: str  # their digest
    round: str  # key of the round that stopped there; empty for a ticket that was given these weights as its init


def late_point(about: Mapping, what: str) -> Late | None:
    """What a mask file says of late rewinding; None where its ticket rewinds to the init."""
    if "rewind_epoch" not in about:
        return None
    late = Late(about["rewind_epoch"], about.get("rewind_weights"), about.get("rewind_round", ""))
    digests = all(isinstance(text, str) and re.fullmatch(r"[0-9a-f]*", text) for text in late[1:])
    if not (type(late.epoch) is int and late.epoch >= 1 and digests and late.weights):
        raise UserError(f"{what}: its mask makes no sense of what it rewinds to; fetch it again")
    return late


def from_artifact(name: str, folder: Path) -> Start:
    """A ticket from W&B: a mask artifact, and the init that the run that logged it had used or logged."""
    from lth.tracking.fetch import asking, connect, download

    what = f"ticket={name}"
    api = connect(folder, what)
    with asking(what), TemporaryDirectory() as scratch:
        artifact = api.artifact(name)
        if artifact.type != "mask":
            raise UserError(f"{what} is an artifact of type {artifact.type}, not a mask")
        mask, about = load_mask(download(artifact, "mask.lth", Path(scratch)))
        late = late_point(about, what)
        run = artifact.logged_by()
        if run is None:
            raise UserError(f"{what}: the run that logged this mask is gone, and with it the way to its init")
        made = [one for many in (run.used_artifacts(), run.logged_artifacts()) for one in many]
        # With late rewinding the init is not what the ticket returns to, unless it was given as such a ticket itself.
        kind, file = ("rewind", "weights.safetensors") if late and late.round else ("init", "init.safetensors")
        origins = [one for one in made if one.type == kind]
        if not origins:
            lacks = f"no weights of epoch {late.epoch} to rewind to" if kind == "rewind" else "no init"
            raise UserError(f"{what}: its run {run.name} names {lacks}; upload it again with python -m lth.sync")
        init = read_init(download(origins[0], file, Path(scratch)))
    digest = late.weights if late else run.config.get("inputs", {}).get("init")
    if digest not in (None, tensors_digest(init)):
        raise UserError(f"{what}: {origins[0].name} is not the {kind} that this mask was found with")
    uses = tuple(f"{one.entity}/{one.project}/{one.name}" for one in (origins[0], artifact))
    return Start(init, mask, name, uses, late.epoch if late else 0)


def read_init(path: Path) -> dict[str, Tensor]:
    """The tensors of an init file; UserError when it is damaged."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}); fetch it again") from error


def _check_same(what: str, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], source: str) -> None:
    remedy = "choose the model=, features= and tokens= that the ticket was found with"
    for name, tensor in ours.items():
        if name not in theirs:
            raise UserError(f"ticket {source}: its {what} has no {name}, which the model has; {remedy}")
        if theirs[name].shape != tensor.shape:
            shapes = f"{tuple(theirs[name].shape)} in its {what} and {tuple(tensor.shape)} in the model"
            raise UserError(f"ticket {source}: {name} has shape {shapes}; {remedy}")
    if further := [name for name in theirs if name not in ours]:
        raise UserError(f"ticket {source}: its {what} has {further[0]}, which the model has not; {remedy}")


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error})") from error
