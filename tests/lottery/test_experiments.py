"""Every experiment of ``conf/experiment`` composes, and takes real steps on miniature data with a shrunken model."""

import io

import pytest
from rich.console import Console

from lth.lottery.setup.build import build, make
from lth.lottery.strategy import Strategy
from lth.speech.features import Features
from tests.configs import PROJECT, compose
from tests.lotteries import run

CONV = "[{channels: 2, kernel: [11, 5], stride: [4, 2]}, {channels: 2, kernel: [7, 5], stride: [2, 2]}]"
RECURRENT = (f"model.conv={CONV}", "model.layers=2", "model.units=16")
CONFORMER = (
    *("model.channels=2", "model.layers=2", "model.units=16", "model.heads=2", "model.feed_forward=16"),
    *("model.kernel=5", "text.size=40", "trainer.batch_size=4", "trainer.accumulate=2"),
)
#: What makes the experiment small enough to play; all else is as its file has it.
SMALLER = {
    "librispeech_cnn_lstm": RECURRENT,
    "tedlium_cnn_lstm": RECURRENT,
    "commonvoice_cnn_lstm": RECURRENT,
    "tedlium_noisy": (*RECURRENT, "rounds=1"),
    "mlperf_deepspeech2": RECURRENT,
    "deepspeech2_mingru": ("model.channels=2", "model.layers=2", "model.units=16"),
    "librispeech_conformer": CONFORMER,
    "decaying": CONFORMER,
    "layerwise": CONFORMER,
    "librispeech_rnnt": (
        *(word.replace("model.", "model.encoder.") for word in RECURRENT),
        *("model.predictor=8", "model.joint=8"),
    ),
}
#: Played elsewhere, or no lottery of its own.
OTHERS = {"an4", "noise_grid"}
PUBLISHED = {"decaying": 0.154}
ROUNDS = {"tedlium_noisy": 0}  # one training of a ticket


def test_none_is_forgotten():
    assert {file.stem for file in (PROJECT / "conf/experiment").glob("*.yaml")} == SMALLER.keys() | OTHERS


@pytest.mark.parametrize("name", SMALLER)
def test_it_takes_real_steps(name, cache, tmp_path):
    quick = [
        "trainer.max_epochs=1",
        "trainer.threads=1",
        "trainer.precision=32-true",
        "rounds=1",
        "trainer.log_every=1",
    ]
    corpus = compose("corpus.sizes={train: 60, dev: 20, test: 20}", f"corpus.cache={cache}").corpus
    config = compose(f"experiment={name}", *SMALLER[name], *quick, "tracking=disabled", f"outputs={tmp_path}")
    config.corpus = corpus  # miniature copies in the corpora's own layouts: tests/speech
    rows = run(config, Console(file=io.StringIO()))
    assert [row.round for row in rows] == [0, 1]
    assert rows[1].density == pytest.approx(0.8, abs=0.001) and rows[0].train_loss > 0


@pytest.mark.parametrize("name", SMALLER)
def test_it_ends_where_the_publication_does(name):
    config = compose(f"experiment={name}")
    assert config.name == name and config.rounds == ROUNDS.get(name, 20)
    strategy = Strategy.of(config)
    share, left = strategy.schedule, 1.0
    for number in range(1, 21):
        left *= 1 - share.amount(number)
    assert left == pytest.approx(PUBLISHED.get(name, 0.8**20), abs=5e-4)


@pytest.mark.parametrize("name, millions", [("librispeech_cnn_lstm", 86.62), ("librispeech_rnnt", 132)])
def test_it_has_the_published_size(name, millions):
    import torch

    config = compose(f"experiment={name}")
    bins = make(Features, config, "features").bins
    with torch.device("meta"):
        model = build(config, "model", features=bins, tokens=29)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.005)
