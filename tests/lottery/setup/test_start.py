"""Starting from somebody's ticket: round 0 is that ticket, and the rounds after it prune on from there."""

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
import wandb
from rich.console import Console
from safetensors.torch import load_file, save_file

from lth.errors import UserError
from lth.store.maskfile import load_mask
from lth.store.rows import Row, read_csv
from tests.configs import compose
from tests.loopback_wandb import fixture
from tests.lotteries import command, run

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server

PROJECT = "loopback/audio-lottery"


def lottery(*overrides: str, outputs: Path, cache: Path) -> list[Row]:
    return run(compose(*command("rounds=1", *overrides, outputs=outputs, cache=cache)), Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def found(tmp_path_factory, cache) -> Path:
    """An experiment of another seed, with one pruned round."""
    outputs = tmp_path_factory.mktemp("found")
    lottery("seed=1", outputs=outputs, cache=cache)
    return outputs / "demo"


def mask(experiment: Path, number: int):
    return load_mask(experiment / f"rounds/round-{number:02d}/mask.lth")[0]


FORMS = ["demo", "demo/rounds/round-01", "demo/rounds/round-01/mask.lth", "store/rounds/KEY", "alone/mask.lth"]


def test_every_form_of_a_path_is_the_same_ticket(found, cache, tmp_path):
    stored = (found / "rounds/round-01").resolve()
    alone = found.parent / "alone"
    alone.mkdir()
    for file in (found / "rounds/round-01/mask.lth", found / "init.safetensors"):
        shutil.copy(file, alone)
    keys = set()
    for form in FORMS:
        where = found.parent / form.replace("KEY", stored.name)
        (first,) = lottery(f"ticket={where}", "rounds=0", outputs=tmp_path, cache=cache)
        keys.add(first.key)
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("demo")] == ["demo"]  # one experiment


def test_round_0_is_the_ticket_and_round_1_prunes_on(found, cache, tmp_path):
    rows = lottery(f"ticket={found}", "target=0.2", outputs=tmp_path, cache=cache)
    demo = tmp_path / "demo"
    assert [row.density for row in rows] == pytest.approx([0.5, 0.25, 0.125], abs=1e-3)  # one more would do for 0.2
    assert mask(demo, 0) == mask(found, 1)
    assert mask(demo, 1).is_subset_of(mask(demo, 0))
    assert (demo / "init.safetensors").read_bytes() == (found / "init.safetensors").read_bytes()
    weights = load_file(demo / "rounds/round-00/weights.safetensors")
    assert not any(weights[name][~bits].any() for name, bits in mask(found, 1).items())
    # the strongest half of the survivors of each round, over the whole model
    sizes = torch.cat([weights[name][bits].abs() for name, bits in mask(demo, 0).items()])
    kept = torch.cat([weights[name][bits].abs() for name, bits in mask(demo, 1).items()])
    assert kept.min() >= sizes.median()
    assert read_csv(demo / "rounds.csv")[0].round == 0 and (demo / "report.html").is_file()
    assert (found.parent / "store").is_dir() and len(list((tmp_path / "store/rounds").iterdir())) == 3

    again = lottery(f"ticket={found}", "target=0.2", outputs=tmp_path, cache=cache)
    assert [row.key for row in again] == [row.key for row in rows]
    plain = lottery("rounds=0", outputs=tmp_path, cache=cache)  # no ticket: another experiment
    assert plain[0].density == 1 and (tmp_path / "demo-2").is_dir()


def test_another_model_is_refused_by_its_first_layer(found, cache, tmp_path):
    for words, complaint in {
        "model.units=32": r"rnn.* has shape .* in its init and .* in the model",
        "model.layers=3": r"its init has no rnns\.2",
        "model.layers=1": r"its init has rnns\.1",
    }.items():
        with pytest.raises(UserError, match=complaint) as refusal:
            lottery(f"ticket={found}", words, outputs=tmp_path, cache=cache)
        assert "\n" not in str(refusal.value)
    assert not (tmp_path / "store").exists()


def test_what_is_no_ticket_is_named(found, cache, tmp_path):
    def refused(where) -> str:
        with pytest.raises(UserError) as refusal:
            lottery(f"ticket={where}", outputs=tmp_path / "new", cache=cache)
        return str(refusal.value)

    assert "neither here" in refused(tmp_path / "nothing")
    shutil.copy(found / "rounds/round-01/mask.lth", tmp_path)
    assert "the init this ticket rewinds to is not there" in refused(tmp_path / "mask.lth")
    shutil.copytree((found / "rounds/round-01").resolve(), tmp_path / "round")
    init = {name: tensor + 1 for name, tensor in load_file(found / "init.safetensors").items()}
    save_file(init, tmp_path / "round/init.safetensors")  # not the one that the round was trained from
    assert "the init this ticket rewinds to is not there" in refused(tmp_path / "round")
    (tmp_path / "mask.lth").write_bytes(b"x" * 100)
    assert "is not a mask file" in refused(tmp_path / "mask.lth")


def test_a_ticket_from_wandb_with_its_lineage(wandb_server, cache, tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    lottery("seed=1", "name=found", "tracking=online", outputs=there, cache=cache)
    where = f"{PROJECT}/found-mask:best"
    rows = lottery(f"ticket={where}", "tracking=online", "name=mine", outputs=here, cache=cache)
    assert [row.density for row in rows] == pytest.approx([0.5, 0.25], abs=1e-3)
    assert mask(here / "mine", 0) == mask(there / "found", 1)
    assert (here / "mine/init.safetensors").read_bytes() == (there / "found/init.safetensors").read_bytes()
    api = wandb.Api()
    (first,) = [r for r in api.runs(PROJECT) if r.name == "mine-round-00"]
    assert sorted(a.name for a in first.used_artifacts()) == ["found-init:v0", "found-mask:v1"]
    source = json.loads((there / "found/rounds/round-01/metrics.json").read_text())
    assert first.config["ticket"] == where and first.config["inputs"]["init"] == source["inputs"]["init"]
    for name, complaint in {"found-init:latest": "not a mask", "found-mask:bset": "W&B says"}.items():
        with pytest.raises(UserError, match=complaint):
            lottery(f"ticket={PROJECT}/{name}", outputs=here, cache=cache)
    assert not wandb_server.state.unknown

    # an offline experiment keeps this lineage for later, and the mine experiment resumes without its source's files
    again = lottery(f"resume={PROJECT}/mine", outputs=tmp_path / "third", cache=cache)
    assert [row.key for row in again] == [row.key for row in rows]
