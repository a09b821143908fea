"""What a ticket keeps, where it came from, and whether it is whole."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lth.analysis.describe import words
from lth.analysis.experiments import AGAIN
from lth.analysis.tables import SOUND
from lth.errors import UserError
from lth.files import SUMS, read_json, read_yaml
from lth.store.maskfile import load_mask
from lth.store.rows import Row, note
from lth.store.store import verify


def inspect(target: str | Path, outputs: str | Path = "outputs") -> dict[str, Any]:
    """Return all that is known of an experiment, a round or a mask file, as one JSON-able document.

    Densities and error rates are fractions. Every ``checksums`` is "ok" or a sentence that names the damage;
    what cannot be read of something damaged is left out.

    Raises:
        UserError: there is no such experiment, round or mask, or an experiment's own documents are damaged.
    """
    path = _find(target, Path(outputs))
    if (path / "experiment.json").is_file():
        return _experiment(path)
    kind, file = ("mask", path) if path.is_file() else ("round", path / "mask.lth")
    found = {"kind": kind, **_ticket(file)}
    experiment, number = _where(file.parent)
    if experiment is not None:
        found["from"] |= _origin(experiment, number)
    return found


def damage(found: Mapping[str, Any]) -> str | None:
    """Return what the checksums of an inspected document say is wrong, in one sentence, or None."""
    parts = [found, found.get("init", {}), *found.get("rounds", [])]
    wrong = [part["checksums"] for part in parts if part.get("checksums", SOUND) != SOUND]
    return f"{wrong[0]} ({len(wrong)} damaged in all)" if len(wrong) > 1 else next(iter(wrong), None)


def _find(target: str | Path, outputs: Path) -> Path:
    for path in (Path(target).expanduser(), outputs / target):
        if path.is_file() or (path / "experiment.json").is_file() or (path / "mask.lth").is_file():
            return path
    raise UserError(
        f"ticket={target} is no experiment, round or mask file, and neither is {outputs / target}; "
        f"give a name under {outputs}, a folder or a mask.lth"
    )


def _experiment(path: Path) -> dict[str, Any]:
    about = read_json(path / "experiment.json", AGAIN)
    rounds = []
    for number in range(len(about.get("keys", []))):
        part = _ticket(path / "rounds" / f"round-{number:02d}" / "mask.lth")
        previous = rounds[-1].get("digest") if rounds else None
        rounds.append(part | {"round": number, "from": part["from"] | {"previous_mask": previous}})
    rows = [Row.from_metrics(part) for part in rounds if "dev_wer" in part]
    for part, row in zip((part for part in rounds if "dev_wer" in part), rows, strict=True):
        part["note"] = note(row, rows)
    return {
        "kind": "experiment",
        "path": str(path),
        **{key: value for key, value in about.items() if not isinstance(value, list | dict)},
        "setting": words(read_yaml(path / "config.yaml", AGAIN)),
        "init": {
            "digest": about.get("init"),
            "checksums": _init_checksums(path / "init.safetensors"),
        },
        "rounds": rounds,
    }


def _ticket(file: Path) -> dict[str, Any]:
    """Densities, checksums and scores of a mask file and of the round it lies in, if it lies in one."""
    sealed = (file.parent / SUMS).is_file() or (file.parent / "metrics.json").is_file()
    found: dict[str, Any] = {
        "path": str(file),
        "checksums": _checksums(file.parent) if sealed else SOUND,
        "from": {},
    }
    try:
        mask, meta = load_mask(file)
        metrics = read_json(file.parent / "metrics.json")
    except UserError as error:
        if found["checksums"] == SOUND:
            found["checksums"] = str(error)
        return found
    survivors, densities = mask.survivors(), mask.densities()
    found |= {name: metrics[name] for name in ("key", "round", "dev_wer", "test_wer", "parameters") if name in metrics}
    found |= {"digest": mask.digest(), "kept": mask.kept, "prunable": mask.total, "density": mask.density}
    if "parameters" in found:
        found["density_total"] = 1 - (mask.total - mask.kept) / found["parameters"]
    found["layers"] = [
        {
            "name": name,
            "shape": list(bits.shape),
            "kept": survivors[name],
            "prunable": bits.numel(),
            "density": densities[name],
        }
        for name, bits in mask.items()
    ]
    found["from"] = {key: value for key, value in meta.items() if key not in ("key", "density")}
    return found


def _where(round_folder: Path) -> tuple[Path | None, int]:
    """The experiment a round's folder belongs to, and the round's number there.

    That is the experiment whose link was followed; of a folder in the store the one that trained it, or else
    the first that uses it.
    """
    linked, stored = round_folder.absolute(), round_folder.resolve()
    users = []
    if linked.parent.name == "rounds":
        users = [linked.parents[1]]
    if len(stored.parents) > 2:
        users += sorted(path.parent for path in stored.parents[2].glob("*/experiment.json"))
    listed = {}
    for path in users:
        with contextlib.suppress(UserError):  # some other experiment's document is damaged
            about = read_json(path / "experiment.json", AGAIN)
            if stored.name in about.get("keys", []):
                listed[path] = (about["keys"].index(stored.name), about.get("id"))
    with contextlib.suppress(UserError):
        trained_by = read_json(stored / "metrics.json").get("trained_by")
        for path, (number, id) in listed.items():
            if path == linked.parents[1] or id == trained_by:
                return path, number
    return next(((path, number) for path, (number, _) in listed.items()), (None, 0))


def _origin(experiment: Path, number: int) -> dict[str, Any]:
    """Where round `number` of an experiment came from."""
    previous = None
    if number > 0:
        with contextlib.suppress(UserError):
            previous = load_mask(experiment / "rounds" / f"round-{number - 1:02d}" / "mask.lth")[0].digest()
    name = read_json(experiment / "experiment.json", AGAIN).get("name", experiment.name)
    setting = words(read_yaml(experiment / "config.yaml", AGAIN))
    return {"experiment": name, "round": number, **setting, "previous_mask": previous}


def _init_checksums(link: Path) -> str:
    if not link.is_file():
        return f"{link} is missing; run the experiment again to rebuild it"
    return _checksums(link.resolve().parent)


def _checksums(folder: Path) -> str:
    try:
        verify(folder)
    except UserError as error:
        return str(error)
    return SOUND
