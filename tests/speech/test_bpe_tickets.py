"""Experiments with text=bpe: its pieces go wherever a ticket goes."""

import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from lth.errors import UserError
from lth.lottery.branch.control import control
from lth.speech import bpe
from tests.configs import compose
from tests.loopback_wandb import fixture
from tests.lotteries import command, run
from tests.models.small import SMALL

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server

WHERE = "loopback/audio-lottery"
PIECES = ("text=bpe", "text.size=40")
MODEL = SMALL["transformer"]
OTHER = "corpus.sizes={train: 70, dev: 10, test: 10}"  # more texts: pieces learnt from them would be others


def lottery(*overrides: str, outputs: Path, cache: Path) -> str:
    """An experiment in this process; what it printed."""
    given = command("trainer.max_epochs=1", *overrides, outputs=outputs, cache=cache)
    words = {word.partition("=")[0]: word for word in given if not word.startswith("model.") or word in overrides}
    printed = io.StringIO()
    run(compose(*words.values()), Console(file=printed, width=200))
    return printed.getvalue()


@pytest.fixture(scope="module")
def found(tmp_path_factory, cache) -> Path:
    outputs = tmp_path_factory.mktemp("pieces")
    lottery(*MODEL, *PIECES, "rounds=1", outputs=outputs, cache=cache)
    return outputs / "demo"


def metrics(experiment: Path, number: int = 0) -> dict:
    return json.loads((experiment / f"rounds/round-{number:02d}/metrics.json").read_text())


def test_the_key_says_the_pieces_and_characters_have_the_key_they_had(found, cache, tmp_path):
    key = metrics(found)["inputs"]["tokens"]
    assert bpe.is_bpe(key) and len(bpe.of_key(key)) == 41
    assert load_file(found / "init.safetensors")["decoder.embedding.weight"].shape == (41, 32)
    lottery(*MODEL, "rounds=0", outputs=tmp_path, cache=cache)
    inputs = metrics(tmp_path / "demo")["inputs"]
    assert inputs["tokens"] == "".join(sorted(set(inputs["tokens"]))) and "text" not in inputs


def test_a_ticket_takes_its_pieces_along(found, cache, tmp_path):
    ticket, places = f"ticket={found}/rounds/round-01", {"outputs": tmp_path, "cache": cache}
    said = lottery(*MODEL, *PIECES, ticket, "rounds=0", OTHER, "name=same", **places)
    assert "output layer" not in said
    assert metrics(tmp_path / "same")["inputs"]["tokens"] == metrics(found)["inputs"]["tokens"]
    said = lottery(*MODEL, "text=bpe", "text.size=45", ticket, "rounds=0", "name=more", **places)
    assert "the output layer (ctc.weight, ctc.bias, decoder.embedding.weight, decoder.output.weight" in said
    assert "is new and dense, for 46 tokens" in said
    theirs, here = (load_file(folder / "init.safetensors") for folder in (found, tmp_path / "more"))
    assert torch.equal(theirs["encoder.0.feed.up.weight"], here["encoder.0.feed.up.weight"])
    said = lottery(*MODEL, ticket, "rounds=0", "name=spelt", **places)
    assert "is new and dense" in said and not bpe.is_bpe(metrics(tmp_path / "spelt")["inputs"]["tokens"])


def test_its_controls_have_its_pieces(found, tmp_path):
    words = ("control=random", f"ticket={found}/rounds/round-01", "tracking=disabled", f"outputs={tmp_path}")
    control(compose(*words), Console(file=io.StringIO()))
    made = metrics(tmp_path / "demo-01-control-random")["inputs"]
    assert made["tokens"] == metrics(found, 1)["inputs"]["tokens"]


def test_it_goes_on_from_wandb_with_its_pieces(wandb_server, cache, tmp_path, monkeypatch):
    lottery(*MODEL, *PIECES, "rounds=0", "tracking=online", outputs=tmp_path / "there", cache=cache)
    monkeypatch.setattr(bpe.BPETokens, "of", lambda *_, **__: pytest.fail("the pieces are remembered"))
    config = compose(f"resume={WHERE}/demo", "rounds=1", f"outputs={tmp_path / 'here'}", "tracking=disabled")
    config.corpus.cache = str(cache)
    monkeypatch.setattr(
        "lth.lottery.setup.recorded.command_overrides", lambda: [("corpus.cache", str(cache)), ("rounds", 1)]
    )
    rows = run(config, Console(file=io.StringIO()))
    assert [row.round for row in rows] == [0, 1]


def test_another_decoder_spells_words_of_pieces(found, cache):
    outputs = found.parent
    words = (*MODEL, *PIECES, "rounds=0", "decoder=attention_beam", "decoder.width=2", "name=beam")
    said = lottery(*words, outputs=outputs, cache=cache)
    assert "epoch 1" not in said  # only transcribed again
    greedy, beam = metrics(found), metrics(outputs / "beam")
    assert beam["key"] != greedy["key"] and beam["inputs"]["decoder"]["ctc_weight"] == 0.3
    assert beam["train_loss"] == greedy["train_loss"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("text=bpe", "text.size=100000"), r"text.size=100000 is more than .* give text.size=\d+ or less"),
        (("text=bpe", "text.size=2"), r"text.size=2 is less than .* give text.size=\d+ or more"),
        (("decoder=attention_beam",), "cannot read this model"),
        (("model=transformer", "model.heads=5"), "units=144 cannot be cut into heads=5"),
    ],
)
def test_bad_words(words, complaint, cache, tmp_path):
    with pytest.raises(UserError, match=complaint):
        lottery(*words, outputs=tmp_path, cache=cache)
