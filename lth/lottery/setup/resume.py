"""Going on, on a machine with an empty disk, with an experiment that W&B remembers: ``resume=ENTITY/PROJECT/NAME``.

Its rounds come back into the store: whole where their weights were logged (``tracking.log_weights=true``),
else as records. The mask of the first round that is still to be played is made from the weights of the round
before, so of rounds without weights the last one alone is trained again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig

from lth.errors import UserError
from lth.files import SUMS, read_json, read_jsonl, sha256
from lth.lottery.setup.recorded import difference, relocate
from lth.lottery.setup.start import Start
from lth.store.folder import ExperimentFolder
from lth.store.maskfile import load_mask
from lth.store.store import Store, StoredRound, round_key, tensors_digest
from lth.store.ticket import read_init
from lth.tracking import fetch
from lth.tracking.artifacts import ROUND_FILES
from lth.tracking.record import experiment_hash
from lth.tracking.remember import RememberedRound, remember_record, remembered

NAME = re.compile(r"([^/\s:]+)/([^/\s:]+)/([^/\s:]+)")


@dataclass(frozen=True)
class Resumed:
    """An experiment as W&B remembers it."""

    what: str
    rounds: list[RememberedRound]
    labels: list[dict]  # each round's round.json
    id: str
    identity: str
    config: DictConfig
    start: Start

    def check(self, identity: str, inputs: Mapping) -> None:
        """Make sure that what this machine would play is the same experiment.

        Args:
            identity: of what this machine would play.
            inputs: what entered the key of its round 0.

        Raises:
            UserError: it is another; the first difference is named.
        """
        if found := difference(self.labels[0]["experiment"]["inputs"], inputs):
            raise UserError(f"{self.what}: here it would be another experiment: {found}")
        if identity != self.identity:
            raise UserError(f"{self.what}: here it would be another experiment: its strategy is another")

    def restore(self, store: Store, folder: ExperimentFolder, track: bool) -> None:
        """Bring every remembered round that is not there into the store and list it in the experiment's folder."""
        for number, (remembered_round, label) in enumerate(zip(self.rounds, self.labels, strict=True)):
            stored = store.find(label["key"]) or bring(store, label["key"], remembered_round)
            folder.link(number, stored)
            if track:
                remember_record(folder.path, number, stored, remembered_round, label)


def resume(ours: DictConfig) -> Resumed:
    """Fetch what W&B remembers of the experiment that ``resume`` names.

    Raises:
        UserError: no login, no such experiment, or one that this version cannot go on with.
    """
    what = f"resume={ours.resume}"
    if (parts := NAME.fullmatch(ours.resume)) is None:
        raise UserError(f"{what} is not of the form ENTITY/PROJECT/EXPERIMENT")
    entity, project, name = parts.groups()
    if name in {".", ".."}:
        raise UserError(f"{what} does not end with an experiment's name")
    api = fetch.connect(Path(ours.outputs) / name, what)
    rounds = remembered(api, entity, project, name)
    with TemporaryDirectory() as scratch:
        labels = [_label(round, Path(scratch)) for round in rounds]
        init = read_init(rounds[0].fetch("init", "init.safetensors", Path(scratch)))
        mask, _ = load_mask(rounds[0].fetch("mask", "mask.lth", Path(scratch)))
    about = labels[-1]["experiment"]
    of_this = experiment_hash(about["id"]) == rounds[0].run.id.partition("-")[0]
    if not of_this or round_key(about["inputs"]) != labels[0]["key"]:
        raise UserError(f"{what}: its record of round {len(rounds) - 1} belongs to another experiment")
    if tensors_digest(init) != about["inputs"]["init"]:
        raise UserError(f"{what}: the init is not the one that its rounds were trained from")
    config = relocate(about["config"], ours, what, about["inputs"])
    config.name, config.resume = name, None
    config.tracking.entity, config.tracking.project = entity, project
    origin = about.get("origin", {})
    start = Start(
        init,
        mask if mask.density < 1 else None,
        source=ours.resume,
        uses=tuple(labels[0]["uses"]),
        tokens=about["inputs"].get("tokens"),
        origin=origin,
        epoch=about["inputs"].get("rewind", {}).get("epoch", 0),  # it started from a ticket of late rewinding
        trained=origin.get("transfer") == "weights",
    )
    return Resumed(what, rounds, labels, about["id"], about["identity"], config, start)


def bring(store: Store, key: str, remembered_round: RememberedRound) -> StoredRound:
    """Build a round's folder in the store from its artifacts; without its weights it becomes a record.

    Raises:
        UserError: a file is not what the checksums say, or the round is not the one of this key.
    """
    weights = "model" in remembered_round.artifacts
    with store.lock(key), store.adding(key, weights=weights) as folder:
        for name in ROUND_FILES:
            remembered_round.fetch("round", name, folder)
        remembered_round.fetch("mask", "mask.lth", folder)
        if weights:
            remembered_round.fetch("model", "weights.safetensors", folder)
        sums = folder / SUMS
        who = str(remembered_round.run.name)
        _check_files(folder, sums.read_text(encoding="utf-8"), who)
        _check_key(folder, key, who)
        # What the weights must be if the round is trained again; `adding` writes the record's own checksums.
        sums.unlink() if weights else sums.rename(folder / "ORIGINAL_SUMS")
    return store[key]


def same_weights(record: StoredRound, again: StoredRound) -> bool:
    """Return whether a round that was trained again has the weights of the recorded one, bit for bit."""
    digests = _digests((record.path / "ORIGINAL_SUMS").read_text(encoding="utf-8"))
    return digests.get("weights.safetensors") == sha256(again.path / "weights.safetensors")


def _label(remembered_round: RememberedRound, folder: Path) -> dict:
    path = remembered_round.fetch("round", "round.json", folder)
    label = read_json(path)
    try:
        about = label["experiment"]
        texts = [label["key"], about["id"], about["identity"]]
        if not all(isinstance(text, str) and re.fullmatch(r"[0-9a-f-]{16,64}", text) for text in texts):
            raise ValueError("an id is no id")
        if not isinstance(about["config"], dict):
            raise ValueError("it has no config")
        if not all(isinstance(about["inputs"][name], str) for name in ("init", "accelerator", "precision")):
            raise ValueError("it does not say what round 0 was made from")
        if type(about["inputs"].get("rewind", {}).get("epoch", 0)) is not int:
            raise ValueError("round 0 goes on from no epoch")
        if not isinstance(about["inputs"].get("tokens", ""), str):
            raise ValueError("its tokens are no text")
        if not all(isinstance(name, str) for name in label["uses"]):
            raise ValueError("it does not say what the round was made from")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{remembered_round.run.name}: its round.json makes no sense ({error})") from error
    return label


def _digests(sums: str) -> dict[str, str]:
    lines = [line.partition("  ") for line in sums.splitlines()]
    return {name: digest for digest, _, name in lines}


def _check_files(folder: Path, sums: str, who: str) -> None:
    digests = _digests(sums)
    for path in sorted(folder.iterdir()):
        if path.name != SUMS and digests.get(path.name) != sha256(path):
            raise UserError(f"{who}: {path.name} does not match the checksum that was recorded with it")


def _check_key(folder: Path, key: str, who: str) -> None:
    """The round must be the one of its key, or it would stand in the store for another."""
    metrics = read_json(folder / "metrics.json")
    mask, _ = load_mask(folder / "mask.lth")
    inputs = metrics.get("inputs", {})
    own_mask = "gradual" in inputs or inputs.get("mask") == mask.digest()  # a gradual round makes its mask
    if round_key(inputs) != key or not own_mask:
        raise UserError(f"{who}: its files are not those of round {key}")
    for name in ("history.jsonl", "hypotheses.jsonl"):
        read_jsonl(folder / name)
