"""A ticket elsewhere: what of it goes along, another alphabet, one speaker, and several at once."""

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
import wandb
from rich.console import Console
from safetensors.torch import load_file

from lth.errors import UserError
from lth.lottery.branch.transfer import Transfer, matrix
from lth.store.maskfile import load_mask
from lth.store.rows import Row, read_csv
from tests.attempts import attempt, write_corpus
from tests.configs import compose
from tests.loopback_wandb import fixture
from tests.lotteries import command, play, run

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server


def lottery(*overrides: str, outputs: Path, cache: Path) -> str:
    """What an experiment printed."""
    words = command("rounds=0", *overrides, outputs=outputs, cache=cache)
    if any(word.startswith("corpus=") for word in overrides):
        words = [word for word in words if not word.startswith(("corpus.sizes", "corpus.cache"))]
    printed = io.StringIO()
    run(compose(*words), Console(file=printed, width=120))
    return printed.getvalue()


@pytest.fixture(scope="module")
def found(tmp_path_factory, cache) -> Path:
    """An experiment of another seed, with one pruned round."""
    outputs = tmp_path_factory.mktemp("found")
    lottery("rounds=1", "seed=1", outputs=outputs, cache=cache)
    return outputs / "demo"


def parts(experiment: Path, number: int = 0):
    """Mask, init and trained weights."""
    folder = experiment / f"rounds/round-{number:02d}"
    init = load_file(experiment / "init.safetensors")
    return load_mask(folder / "mask.lth")[0], init, load_file(folder / "weights.safetensors")


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_what_goes_along(found, cache, tmp_path):
    mask, init, weights = parts(found, 1)
    lottery("name=own", outputs=tmp_path, cache=cache)
    own = parts(tmp_path / "own")[1]
    for mode, (its_mask, its_init) in {
        "ticket": (mask, init),
        "mask": (mask, own),
        "init": (parts(found, 0)[0], init),
        "weights": (mask, weights),
    }.items():
        said = lottery(f"ticket={found}", f"transfer={mode}", f"name={mode}", outputs=tmp_path, cache=cache)
        here = parts(tmp_path / mode)
        assert here[0] == its_mask and same(here[1], its_init)
        assert f"transfer={mode} from {found}" in said
        state = json.loads((tmp_path / mode / "experiment.json").read_text())
        assert (state["control"], state["transfer"], state["source"]["round"]) == (None, mode, 1)
        metrics = json.loads((tmp_path / mode / "rounds/round-00/metrics.json").read_text())
        assert ("start_dev_wer" in metrics) == (mode == "weights")


def test_what_weights_scored_before_is_what_their_round_scored(found, cache, tmp_path):
    """On the same corpus the starting weights' WER was once measured, by the round that trained them."""
    said = lottery(f"ticket={found}", "transfer=weights", outputs=tmp_path, cache=cache)
    there, here = (json.loads(p.read_text()) for p in (
        found / "rounds/round-01/metrics.json", tmp_path / "demo/rounds/round-00/metrics.json"
    ))  # fmt: skip
    for name in ("dev_wer", "dev_cer", "test_wer", "test_cer"):
        assert here[f"start_{name}"] == there[name]
    assert f"(before {there['dev_wer']:.1%})" in said and f"(before {there['test_wer']:.1%})" in said


def test_the_same_seed_has_the_same_init_and_that_is_said(found, cache, tmp_path):
    words = (f"ticket={found}", "transfer=mask", "seed=1", "name=same")
    assert "give another seed=" in lottery(*words, outputs=tmp_path, cache=cache)
    said = lottery(f"ticket={found}", "seed=1", "name=same", outputs=tmp_path, cache=cache)
    assert "same-2" in said  # the same round, and another question


@pytest.fixture(scope="module")
def german(tmp_path_factory) -> list[str]:
    """A corpus with letters that the built-in one has not."""
    return write_corpus(tmp_path_factory.mktemp("german"), texts="JÄ ÖL", test_texts="ÖL JÄ")


@pytest.mark.parametrize("mode", ["ticket", "weights", "mask", "init"])
def test_another_alphabet_has_a_new_output_layer(found, cache, tmp_path, german, mode):
    mask, init, weights = parts(found, 1)
    said = lottery(f"ticket={found}", f"transfer={mode}", *german, outputs=tmp_path, cache=cache)
    assert "the output layer (output.weight) is new and dense, for 6 tokens" in said
    here, start, _ = parts(tmp_path / "demo")
    assert start["output.weight"].shape == (6, 24) and here["output.weight"].all()
    taken = {"ticket": init, "init": init, "weights": weights}.get(mode)
    for name, bits in mask.items():
        if name != "output.weight":
            assert torch.equal(here[name], bits) if mode != "init" else here[name].all()
            assert taken is None or torch.equal(start[name], taken[name])


def test_as_many_other_letters_are_another_alphabet_too(found, cache, tmp_path):
    tokens = json.loads((found / "rounds/round-01/metrics.json").read_text())["inputs"]["tokens"]
    words = [f"ticket={found}", f"tokens='{tokens[::-1]}'"]
    assert "the output layer (output.weight) is new" in lottery(*words, outputs=tmp_path, cache=cache)


def test_fewer_letters_are_the_tickets(found, cache, tmp_path):
    """A corpus that needs only some of the ticket's tokens keeps its output layer."""
    words = write_corpus(tmp_path / "corpus", texts="YES NO", test_texts="NO YES")
    said = lottery(f"ticket={found}", *words, outputs=tmp_path, cache=cache)
    assert "is new" not in said and same(parts(tmp_path / "demo")[1], parts(found, 1)[1])


def test_every_other_difference_is_named(found, cache, tmp_path, german):
    for mode in ("ticket", "mask", "init", "weights"):
        with pytest.raises(UserError, match=r"rnn.* has shape .* and .* in the model; choose the model="):
            lottery(f"ticket={found}", f"transfer={mode}", "model.units=32", *german, outputs=tmp_path, cache=cache)
    assert not (tmp_path / "store").exists()
    shutil.copytree((found / "rounds/round-01").resolve(), tmp_path / "round")
    shutil.copy(found / "init.safetensors", tmp_path / "round")
    (tmp_path / "round/weights.safetensors").unlink()
    with pytest.raises(UserError, match="its trained weights are not there"):
        lottery(f"ticket={tmp_path}/round", "transfer=weights", outputs=tmp_path, cache=cache)


def test_one_speaker(found, cache, tmp_path, capsys):
    words = (f"ticket={found}", "transfer=weights", "speaker=Annie", "utterances=2", "rounds=0")
    assert attempt(*words, outputs=tmp_path, cache=cache) == 0
    assert "synthetic-Annie, 2 train, 1 dev, 2 test utterances" in (said := capsys.readouterr().out)
    assert said.count("(before ") == 2 and "is new" not in said  # two utterances do not have all letters
    lines = (tmp_path / "demo/rounds/round-00/hypotheses.jsonl").read_text().splitlines()
    assert all("-Annie-" in json.loads(line)["id"] for line in lines) and len(lines) == 3
    assert attempt(*words[:3], "utterances=0", outputs=tmp_path, cache=cache) == 2
    assert "utterances=0 is not valid: it must be at least 1" in capsys.readouterr().err
    assert attempt("speaker=Annie", "utterances=2", "rounds=0", "name=alone", outputs=tmp_path, cache=cache) == 0


def test_a_multirun_ends_with_a_table(found, cache, tmp_path):
    tickets = f"ticket={found},{found}/rounds/round-00"
    done = play(
        "hydra.mode=MULTIRUN", tickets, "speaker=Annie,ed", "utterances=2", "rounds=0", outputs=tmp_path, cache=cache
    )
    assert done.returncode == 0, done.stderr
    assert {p.name for p in tmp_path.glob("demo*")} == {"demo", "demo-2", "demo-3", "demo-4"}
    end = done.stdout[done.stdout.rindex("ticket (transfer)") :].splitlines()
    assert "synthetic Annie" in end[0] and "synthetic ed" in end[0]
    assert end[-1] == "4 experiments, 4 rounds: 4 trained, 0 reused"
    for name, (line, column) in zip(
        ("demo", "demo-2", "demo-3", "demo-4"), ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True
    ):
        row = read_csv(tmp_path / name / "rounds.csv")[0]
        cells = end[2 + line].split(")")[-1].split("  ")
        dev, test = [c for c in cells if c.strip()][column].split("/")
        assert float(dev) == pytest.approx(100 * row.dev_wer, abs=0.06)
        assert float(test) == pytest.approx(100 * row.test_wer, abs=0.06)


def test_a_matrix_of_means_with_a_gap():
    def row(wer: float) -> Row:
        return Row(0, 0.5, 0.5, wer, 0, wer / 2, 0, None, 1, 1.0, 1.0, False, "key")

    printed = io.StringIO()
    three = [Transfer("a", "x", row(0.1)), Transfer("a", "x", row(0.2)), Transfer("b", "y", row(0.3))]
    Console(file=printed, width=100).print(matrix(three))
    lines = [line.split() for line in printed.getvalue().splitlines()]
    assert lines[2] == ["a", "15.00", "/", "7.50", "(2)"] and lines[3] == ["b", "30.00", "/", "15.00"]
    printed = io.StringIO()
    many = [Transfer("a", f"x{n}", row(n / 10)) for n in range(6)]
    Console(file=printed, width=100).print(matrix(many))
    assert [line.split()[:2] for line in printed.getvalue().splitlines()[2:8]] == [
        [f"x{n}", f"{n}0.00" if n else "0.00"] for n in range(6)
    ]


def test_trained_weights_from_wandb(wandb_server, cache, tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    for name, logged in (("kept", "true"), ("gone", "false")):
        words = (f"name={name}", "rounds=1", "tracking=online", f"tracking.log_weights={logged}")
        lottery(*words, outputs=there, cache=cache)
    words = ("transfer=weights", "tracking=online", "name=mine")
    lottery("ticket=loopback/audio-lottery/kept-mask:round-01", *words, outputs=here, cache=cache)
    assert same(parts(here / "mine")[1], parts(there / "kept", 1)[2])
    (run,) = [run for run in wandb.Api().runs("loopback/audio-lottery") if run.name == "mine-round-00"]
    was = json.loads((there / "kept/rounds/round-01/metrics.json").read_text())
    assert run.summary["start_test_wer"] == was["test_wer"] and run.config["transfer"] == "weights"
    assert sorted(a.name for a in run.used_artifacts()) == ["kept-init:v0", "kept-mask:v1"]
    with pytest.raises(UserError, match=r"trained weights are not on W&B.*tracking\.log_weights=true"):
        lottery("ticket=loopback/audio-lottery/gone-mask:round-01", *words, outputs=here, cache=cache)
    assert not wandb_server.state.unknown
