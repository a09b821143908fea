"""What W&B remembers of experiments, laid out as `outputs/` is, so that both are read by the same code."""

import json
import re
import shutil
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lth.errors import UserError
from lth.files import SUMS, read_json, write_text
from lth.store.rows import Row, write_csv
from lth.tracking.artifacts import ROUND_FILES
from lth.tracking.fetch import asking, connect
from lth.tracking.remember import RUN_ID, RememberedRound, artifacts_of

if TYPE_CHECKING:
    from wandb.apis.public import Run

NAME = re.compile(r"[\w.-]+")
FILES = {"round": (*ROUND_FILES, "round.json"), "mask": ("mask.lth",)}


def bring(project: str, entity: str | None, folder: Path, patterns: Sequence[str] | None = None) -> Path:
    """Bring every experiment of a project into ``folder``: records and masks, not the trained weights.

    A round that was brought before, and is whole, is not fetched again. What is in the folder and no longer wanted,
    or no longer in the project, goes.

    Args:
        patterns: names to take, with ``*`` for anything; None takes all.

    Raises:
        UserError: no login, no such project, no experiment in it, or a pattern finds none.
    """
    what = f"source=wandb project={project}"
    api = connect(folder, what)
    where = f"{entity or api.default_entity}/{project}"
    with asking(what):
        runs = [
            (run, found) for run in api.runs(where, filters={"jobType": "round"}) if (found := RUN_ID.fullmatch(run.id))
        ]
    if not runs:
        raise UserError(f"{what}: {where} holds no round of an experiment")
    experiments: dict[str, dict[int, Run]] = {}
    for run, found in runs:
        experiment, number = found.groups()
        experiments.setdefault(experiment, {})[int(number)] = run
    names = {own: _name(of[min(of)], where) for own, of in experiments.items()}
    for pattern in patterns or ():
        if not any(fnmatchcase(name, pattern) for name in names.values()):
            raise UserError(f"experiments: there is no {pattern} in {where}")
    homes: set[Path] = set()
    for own, name in names.items():
        if patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns):
            twice = list(names.values()).count(name) > 1
            homes.add(folder / (f"{name}-{own}" if twice else name))
            _experiment(api, where, name, own, experiments[own], folder / (f"{name}-{own}" if twice else name))
    for stale in {path.parent for path in folder.glob("*/experiment.json")} - homes:
        shutil.rmtree(stale)
    return folder


def _name(run: "Run", where: str) -> str:
    name = str(run.name).rpartition("-round-")[0]
    if not NAME.fullmatch(name) or set(name) == {"."}:
        raise UserError(f"{where}: an experiment there is called {name!r}, which is no folder name")
    return name


def _experiment(api: Any, where: str, name: str, own: str, runs: dict, home: Path) -> None:
    """One experiment's folder."""
    rows, keys, label = [], [], {}
    for number in range(max(runs) + 1):
        run = runs.get(number)
        if run is None or run.state != "finished":
            break
        there = home / "rounds" / f"round-{number:02d}"
        whole = there / ".whole"
        if not whole.is_file() or whole.read_text(encoding="utf-8") != run.id:  # another had this name before
            with asking(f"round {number} of {name}"):
                found = artifacts_of(api, f"{where}/{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}", run.id)
            if not FILES.keys() <= found.keys():
                break
            there.mkdir(parents=True, exist_ok=True)
            remembered = RememberedRound(run, found)
            for kind, files in FILES.items():
                for file in files:
                    remembered.fetch(kind, file, there)
            (there / SUMS).unlink()  # it names the weights too, which stay where they are
            if number == 0 and "init" in found:
                remembered.fetch("init", "init.safetensors", home)
            write_text(whole, run.id)
        metrics = read_json(there / "metrics.json")
        label = read_json(there / "round.json")
        rows.append(Row.from_metrics(metrics, number, reused=metrics["trained_by"] != label["experiment"]["id"]))
        keys.append(label["key"])
    if not rows:
        return
    about, config = label["experiment"], label["experiment"]["config"]
    planned = max(config.get("rounds") or 0, len(rows) - 1)
    whole = len(rows) == planned + 1 if config.get("target") is None else len(rows) == len(runs)
    origin = about.get("origin", {})
    init = about.get("inputs", {}).get("init")
    known = {
        "name": name,
        "id": about["id"],
        "keys": keys,
        "rounds": planned,
        "finished": whole,
        "init": init,
        **origin,
    }
    write_text(home / "experiment.json", json.dumps(known, indent=1))
    write_text(home / "config.yaml", yaml.safe_dump(_resolved(config)))
    write_csv(home / "rounds.csv", rows)


def _resolved(config: dict) -> dict:
    """The config without interpolations into this machine: only the words of this very config are put in."""
    from omegaconf import OmegaConf

    from lth.lottery.setup.names import check_recorded
    from lth.lottery.setup.plain import plain

    check_recorded(config, "source=wandb")
    return plain(OmegaConf.create(config))
