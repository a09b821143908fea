"""A tiny experiment folder with its store, written as a run leaves it, for the tests that read one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from lth.files import write_sums
from lth.store.maskfile import save_mask
from lth.store.rows import Row, write_csv
from lth.tickets.mask import Mask

REFERENCES = {
    "dev": {"d1": "one two three four", "d2": "stop"},
    "test": {"t1": "yes no", "t2": "go left", "t3": "five six"},
}
#: Wrong words on dev (of 5) and test (of 6): 1 and 1 in round 0, 1 and 2 in round 1, 3 and 6 in round 2.
HEARD = [
    {"d1": "one two three for", "d2": "stop", "t1": "yes no", "t2": "go left left", "t3": "five six"},
    {"d1": "one two three four", "d2": "", "t1": "oh yes so", "t2": "go left", "t3": "five six"},
    {"d1": "two two too two", "d2": "stop", "t1": "", "t2": "", "t3": ""},
]
WERS = [(0.2, 1 / 6), (0.2, 2 / 6), (0.6, 1.0)]
#: Of 8 + 4 prunable weights in a model of 20: 12, 6 and 3 kept.
KEPT = [(8, 4), (2, 4), (2, 1)]
PARAMETERS = 20


def write_experiment(
    outputs: Path,
    name: str = "demo",
    *,
    done: int = 3,
    layers: Sequence[str] = ("conv.weight", "rnn.weight_hh_l0"),
    config: Mapping | None = None,
    spoil: Mapping[str, str] | None = None,
    finished: bool = True,
) -> Path:
    """The experiment's folder; `spoil` replaces utterance ids, references and hypotheses word by word."""
    folder, store = outputs / name, outputs / "store"
    (folder / "rounds").mkdir(parents=True)
    rows, keys = [], [f"{number:032x}" for number in range(done)]
    for number, key in enumerate(keys):
        stored = store / "rounds" / key
        write_round(stored, number, layers, spoil or {})
        (folder / "rounds" / f"round-{number:02d}").symlink_to(Path("../../store/rounds") / key)
        metrics = json.loads((stored / "metrics.json").read_text())
        rows.append(Row.from_metrics(metrics, reused=number == 0))
    init = store / "inits" / "abcd"
    init.mkdir(parents=True)
    (init / "init.safetensors").write_bytes(b"init")
    write_sums(init)
    (folder / "init.safetensors").symlink_to("../store/inits/abcd/init.safetensors")
    write_csv(folder / "rounds.csv", rows)
    settings = {
        "rounds": 2,
        "seed": 7,
        "corpus": {"name": "digits"},
        "choices": {"corpus": "digits"},
        "strategy": {"amount": 0.5, "schedule": {"name": "constant"}},
        "tracking": {"mode": "offline"},
    }
    (folder / "config.yaml").write_text(json.dumps(settings | dict(config or {}), ensure_ascii=False))
    about = {"name": name, "id": "this-one", "init": "abcd", "keys": keys, "finished": finished}
    (folder / "experiment.json").write_text(json.dumps(about))
    return folder


def write_round(folder: Path, number: int, layers: Sequence[str], spoil: Mapping[str, str]) -> None:
    """One sealed round of the store."""
    folder.mkdir(parents=True)
    bits = {}
    for name, size, kept in zip(layers, (8, 4), KEPT[number], strict=True):
        bits[name] = (torch.arange(size) < kept).view(2, -1)
    mask = Mask(bits)
    (dev, test), trained_by = WERS[number], "this-one" if number else "another"
    metrics = {
        "key": folder.name,
        "round": number,
        "density": mask.kept / mask.total,
        "density_total": (PARAMETERS - mask.total + mask.kept) / PARAMETERS,
        "kept": mask.kept,
        "prunable": mask.total,
        "parameters": PARAMETERS,
        "dev_wer": dev,
        "dev_cer": dev,
        "test_wer": test,
        "test_cer": test,
        "tests": {"test": {"wer": test, "cer": test}},
        "train_loss": 0.5,
        "epochs": 3,
        "seconds": 12.0,
        "audio_seconds_per_second": 45.0,
        "trained_by": trained_by,
        "inputs": {},
    }
    save_mask(folder / "mask.lth", mask, {"round": number, "seed": 7, "trained_by": trained_by})
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "weights.safetensors").write_bytes(b"weights")
    with (folder / "hypotheses.jsonl").open("w") as file:
        for name, texts in REFERENCES.items():
            for id, text in texts.items():
                said = {"reference": text, "hypothesis": HEARD[number][id], "id": id}
                said = {key: _spoilt(value, spoil) for key, value in said.items()}
                file.write(json.dumps({"set": name, **said}) + "\n")
    write_sums(folder)


def _spoilt(text: str, spoil: Mapping[str, str]) -> str:
    return " ".join(spoil.get(word, word) for word in text.split())
