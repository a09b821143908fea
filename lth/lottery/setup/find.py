"""Somebody's ticket: a mask, the init it rewinds to, and the lottery that found it.

``ticket=`` is a mask file, a round's folder, an experiment's folder, or the mask artifact
ENTITY/PROJECT/NAME-mask:ALIAS.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml
from omegaconf import DictConfig
from torch import Tensor

from lth.errors import UserError
from lth.files import read_json
from lth.store.maskfile import load_mask
from lth.store.rows import read_csv, winning
from lth.store.store import tensors_digest
from lth.store.ticket import RewindSource, SourceExperiment, SourceTicket, read_init, rewind_source
from lth.tracking.record import RoundRecord, load_record, run_id

ARTIFACT = re.compile(r"[^/\s:]+/[^/\s:]+/[^/\s:]+:[^/\s:]+")


def load_ticket(config: DictConfig) -> SourceTicket | None:
    """Load the ticket that ``ticket=`` names; None without one.

    Raises:
        UserError: there is no such ticket, it is damaged, or its init cannot be found.
    """
    where = config.ticket
    if where is None:
        return None
    if Path(where).expanduser().exists():
        return from_path(Path(where).expanduser())
    if ARTIFACT.fullmatch(where):
        from lth.tracking.fetch_ticket import from_artifact  # W&B only where it is asked for

        return from_artifact(where, Path(config.outputs) / config.name)
    raise UserError(
        f"ticket={where} is neither here (a mask.lth, a round's or an experiment's folder) "
        "nor a W&B artifact, ENTITY/PROJECT/NAME-mask:ALIAS"
    )


def from_path(path: Path) -> SourceTicket:
    """Load the ticket of a mask file or round folder; of an experiment, its extreme one, or else its best."""
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
    late = rewind_source(about, f"ticket={path}")
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
    records = {}
    if home and "id" in known:
        there = {kind: load_record(home, run_id(known["id"], n)) for kind, n in made_by.items()}
        records = {kind: record for kind, record in there.items() if record is not None}
    return SourceTicket(
        init,
        mask,
        str(path),
        {"experiment": known.get("id"), "name": home and home.name, "round": number, "key": key, "mask": mask.digest()},
        metrics.get("inputs", {}).get("tokens"),
        uses_of(records) if len(records) == len(made_by) else (),
        weights=lambda: _weights(folder),
        experiment=lambda: _found(path, home, number, metrics),
        epoch=late.epoch if late else 0,
        home=home,
    )


def uses_of(records: Mapping[str, RoundRecord]) -> tuple[str, ...]:
    """Name what a ticket is made of: an artifact of each type, of the round that recorded it in an experiment's folder.

    Named by project and by the run that made them, so that they can be found before they have a version.
    """
    return tuple(
        "/".join(part for part in (record.entity, record.project, f"{artifact.name}:{record.run_id}") if part)
        for kind, record in records.items()
        for artifact in record.artifacts
        if artifact.type == kind
    )


def _init(folder: Path, digest: str | None, late: RewindSource | None) -> dict[str, Tensor] | None:
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


def _found(path: Path, home: Path | None, number: int | None, metrics: Mapping) -> SourceExperiment:
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
    return SourceExperiment(home.name, config, metrics["inputs"], where, rows, here=True)
