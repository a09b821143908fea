"""Somebody's ticket: a mask, the init it rewinds to, and the lottery that found it.

``ticket=`` is a mask file, a round's folder, an experiment's folder, or the mask artifact
ENTITY/PROJECT/NAME-mask:ALIAS.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml
from omegaconf import DictConfig
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lth.analysis.rounds import Row, read_csv, winning
from lth.errors import UserError
from lth.maskfile import load_mask
from lth.store import tensors_digest
from lth.tickets.mask import Mask
from lth.tracking.record import RoundRecord, load_record, run_id

ARTIFACT = re.compile(r"[^/\s:]+/[^/\s:]+/[^/\s:]+:[^/\s:]+")


@dataclass(frozen=True)
class Found:
    """The experiment that found a ticket."""

    name: str
    config: Mapping
    inputs: Mapping  # of the key of the ticket's round
    tracking: Mapping  # entity, project and group of its W&B runs
    rows: list[Row]  # its rounds up to the ticket's
    here: bool  # its config was recorded on this machine, and says where things lie

    def budget(self) -> int:
        """Epochs that the lottery trained in all to find the ticket and train it."""
        return sum(row.epochs or 0 for row in self.rows)


@dataclass(frozen=True)
class Ticket:
    """A mask, the init it rewinds to, and the way to what else is known of it.

    Args:
        source: where it was found, as the user said it.
        about: what is known of it: ``experiment`` (id), ``name``, ``round``, ``key`` and ``mask`` (digest).
        tokens: key of what its model puts out, where that is known.
        uses: the W&B artifacts of its init and mask.
        weights: reads its trained weights.
        found: reads the experiment that found it.
        epoch: of late rewinding: ``init`` are the weights at its end, and training goes on from there.
        home: the folder of the experiment that found it, if that is here.
    """

    init: Mapping[str, Tensor]
    mask: Mask
    source: str
    about: Mapping
    tokens: str | None
    uses: tuple[str, ...]
    weights: Callable[[], dict[str, Tensor]]
    found: Callable[[], Found]
    epoch: int = 0
    home: Path | None = None


def find(config: DictConfig) -> Ticket | None:
    """What ``ticket`` says.

    Raises:
        UserError: there is no such ticket, it is damaged, or its init cannot be found.
    """
    where = config.ticket
    if where is None:
        return None
    if Path(where).expanduser().exists():
        return from_path(Path(where).expanduser())
    if ARTIFACT.fullmatch(where):
        from lth.tracking.tickets import from_artifact  # W&B only where it is asked for

        return from_artifact(where, Path(config.outputs) / config.name)
    raise UserError(
        f"ticket={where} is neither here (a mask.lth, a round's or an experiment's folder) "
        "nor a W&B artifact, ENTITY/PROJECT/NAME-mask:ALIAS"
    )


def from_path(path: Path) -> Ticket:
    """The ticket of a mask file or round folder; of an experiment, its extreme one, or else its best."""
    if (path / "experiment.json").is_file():
        chosen = next((row for row in winning(read_csv(path / "rounds.csv")) if row is not None), None)
        if chosen is None:
            raise UserError(
                f"ticket={path}: this experiment has found no ticket yet; name one of its rounds, such as "
                f"{path / 'rounds' / 'round-00'}"
            )
        path = path / "rounds" / f"round-{chosen.round:02d}"
    folder = path if path.is_dir() else path.parent
    mask, about = load_mask(folder / "mask.lth" if path.is_dir() else path)
    metrics = read_json(folder / "metrics.json")
    late = late_point(about, f"ticket={path}")
    init = _init(folder, late.weights if late else metrics.get("inputs", {}).get("init"), late)
    if init is None:
        what, file = (f"the weights of epoch {late.epoch} that", "rewind") if late else ("the init", "init")
        raise UserError(
            f"ticket={path}: {what} this ticket rewinds to is not there; "
            f"put its {file}.safetensors beside {folder / 'mask.lth'}"
        )
    home = _home(folder, metrics)
    known = read_json(home / "experiment.json") if home else {}
    keys, key = known.get("keys", []), metrics.get("key", about.get("key"))
    number = keys.index(key) if key in keys else about.get("round")
    made_by = {"init": 0, **({"rewind": 1} if late and late.round else {}), "mask": number}
    records = {kind: load_record(home, run_id(known["id"], n)) for kind, n in made_by.items()} if "id" in known else {}
    return Ticket(
        init,
        mask,
        str(path),
        {"experiment": known.get("id"), "name": home and home.name, "round": number, "key": key, "mask": mask.digest()},
        metrics.get("inputs", {}).get("tokens"),
        uses_of(records) if all(records.values()) else (),
        weights=lambda: _weights(folder),
        found=lambda: _found(path, home, number, metrics),
        epoch=late.epoch if late else 0,
        home=home,
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


def uses_of(records: Mapping[str, RoundRecord]) -> tuple[str, ...]:
    """What a ticket is made of: an artifact of each type, of the round that recorded it in an experiment's folder.

    Named by project and by the run that made them, so that they can be found before they have a version.
    """
    return tuple(
        "/".join(part for part in (record.entity, record.project, f"{artifact.name}:{record.run_id}") if part)
        for kind, record in records.items()
        for artifact in record.artifacts
        if artifact.type == kind
    )


def read_init(path: Path) -> dict[str, Tensor]:
    """The tensors of an init file; UserError when it is damaged."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}); fetch it again") from error


def read_json(path: Path) -> dict:
    """A JSON file; empty where there is none. UserError when it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error})") from error


def _init(folder: Path, digest: str | None, late: Late | None) -> dict[str, Tensor] | None:
    beside, store = (folder, folder.absolute().parent.parent), folder.resolve().parent.parent
    places = [*(place / "init.safetensors" for place in beside), store / "inits" / str(digest) / "init.safetensors"]
    if late:
        places = [*(place / "rewind.safetensors" for place in beside), *places]
        places.append(store / "rounds" / late.round / "weights.safetensors")
    for place in places:
        if place.is_file():
            init = read_init(place)
            if digest in (None, tensors_digest(init)):
                return init
    return None


def _home(folder: Path, metrics: Mapping) -> Path | None:
    """The folder of the experiment: of whose rounds this is one, or that trained the round in the store."""
    home = folder.absolute().parent.parent
    user = folder.resolve().parent.parent / "experiments" / f"{metrics.get('trained_by')}.json"
    places = (home, Path(read_json(user).get("folder", home)))
    return next((place for place in places if (place / "experiment.json").is_file()), None)


def _weights(folder: Path) -> dict[str, Tensor]:
    if not (folder / "weights.safetensors").is_file():
        raise UserError(f"ticket={folder}: its trained weights are not there, which transfer=weights starts from")
    return read_init(folder / "weights.safetensors")


def _found(path: Path, home: Path | None, number: int | None, metrics: Mapping) -> Found:
    if home is None or number is None or "inputs" not in metrics:
        raise UserError(f"ticket={path}: the experiment that found it is not known; give that experiment's folder")
    try:
        config = yaml.safe_load((home / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{home / 'config.yaml'} cannot be read ({error})".replace("\n", " ")) from error
    rows = [row for row in read_csv(home / "rounds.csv") if row.round <= number]
    if not isinstance(config, dict) or [row.round for row in rows] != list(range(number + 1)):
        raise UserError(f"ticket={path}: {home} is not the folder of a whole experiment; give the same command again")
    tracking = config["tracking"]
    where = {name: tracking.get(name) for name in ("entity", "project")}
    where["group"] = tracking.get("group") or home.name
    return Found(home.name, config, metrics["inputs"], where, rows, here=True)
