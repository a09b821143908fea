"""What W&B remembers of experiments, laid out as `outputs/` is, so that both are read by the same code."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from lth.analysis.rounds import Row, write_csv
from lth.errors import UserError
from lth.files import SUMS, write_text
from lth.tracking.fetch import asking, connect
from lth.tracking.remember import ROUND_FILES, RUN_ID, RememberedRound, artifacts_of

if TYPE_CHECKING:
    import wandb

NAME = re.compile(r"[\w.-]+")
FILES = {"round": (*ROUND_FILES, "round.json"), "mask": ("mask.lth",)}


def bring(project: str, entity: str | None, folder: Path) -> Path:
    """Every experiment of a project into ``folder``: records and masks, not the trained weights.

    A round that was brought before, and is whole, is not fetched again.

    Raises:
        UserError: no login, no such project, or no experiment in it.
    """
    what = f"source=wandb project={project}"
    api = connect(folder, what)
    where = f"{entity or api.default_entity}/{project}"
    with asking(what):
        runs = [run for run in api.runs(where, filters={"jobType": "round"}) if RUN_ID.fullmatch(run.id)]
    if not runs:
        raise UserError(f"{what}: {where} holds no round of an experiment")
    experiments: dict[str, dict[int, wandb.apis.public.Run]] = {}
    for run in runs:
        experiment, number = RUN_ID.fullmatch(run.id).groups()
        experiments.setdefault(experiment, {})[int(number)] = run
    taken: set[str] = set()
    for own in sorted(experiments):
        _experiment(api, where, own, experiments[own], folder, taken)
    return folder


def _experiment(api: "wandb.Api", where: str, own: str, runs: dict, folder: Path, taken: set[str]) -> None:
    """One experiment's folder; two of one name are told apart by their ids."""
    name = runs[min(runs)].name.rpartition("-round-")[0]
    if not NAME.fullmatch(name):
        raise UserError(f"{where}: an experiment there is called {name!r}, which is no folder name")
    home = folder / (name if name not in taken else f"{name}-{own}")
    taken.add(name)
    rows, keys, label = [], [], {}
    for number in range(max(runs) + 1):
        run = runs.get(number)
        if run is None or run.state != "finished":
            break
        there = home / "rounds" / f"round-{number:02d}"
        if not (there / ".whole").is_file():
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
            (there / ".whole").touch()
        metrics = json.loads((there / "metrics.json").read_text(encoding="utf-8"))
        label = json.loads((there / "round.json").read_text(encoding="utf-8"))
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

    from lth.recorded import check_safe

    check_safe(config, "source=wandb")
    return OmegaConf.to_container(OmegaConf.create(config), resolve=True)
