"""A round that prunes while it trains: exact counts, nested masks, and killed and resumed as if nothing had been."""

import io
import json
from pathlib import Path

import lightning
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import lth.training.train
from lth.errors import UserError
from lth.store.maskfile import load_mask
from tests.configs import compose
from tests.loopback_wandb import fixture
from tests.lotteries import KILLED, command, kill_at, play, result, run

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server

WORDS = ("strategy=gradual", "strategy.gradual.every=3", "strategy.gradual.end=0.8", "trainer.max_epochs=3")
TRAINER = lth.training.train.trainer


class Watch(lightning.Callback):
    """The state a training started from, and the weights that are not zero after every step."""

    def __init__(self):
        self.starts, self.progress, self.kept = [], [], []

    def on_train_start(self, trainer, module):
        self.starts.append({name: tensor.clone() for name, tensor in module.model.state_dict().items()})
        self.kept.append([])
        self.progress.append([])

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.kept[-1].append({name: p.detach() != 0 for name, p in module.model.named_parameters()})
        self.progress[-1].append((trainer.current_epoch + module.seen / module.utterances) / trainer.max_epochs)


def lottery(*overrides: str, outputs: Path, cache: Path):
    return run(compose(*command(*overrides, outputs=outputs, cache=cache)), Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def played(tmp_path_factory, cache):
    """A gradual lottery that nobody interrupted, and what was seen of its trainings."""
    outputs, watch = tmp_path_factory.mktemp("gradual"), Watch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            lth.training.train,
            "trainer",
            lambda machine, *, callbacks, **options: TRAINER(machine, callbacks=[*callbacks, watch], **options),
        )
        lottery(*WORDS, outputs=outputs, cache=cache)
    return outputs / "demo", watch


def mask(demo: Path, number: int):
    return load_mask(demo / f"rounds/round-{number:02d}/mask.lth")[0]


def test_every_round_starts_dense_from_init_and_ends_with_the_exact_count(played):
    demo, watch = played
    init = load_file(demo / "init.safetensors")
    for number, start in enumerate(watch.starts):
        assert all(torch.equal(start[name], tensor) for name, tensor in init.items())
        own = mask(demo, number)
        assert own.kept == round(own.total * 0.5**number)
        metrics = json.loads((demo / f"rounds/round-{number:02d}/metrics.json").read_text())
        assert (metrics["kept"], metrics["density"]) == (own.kept, own.density)
        assert metrics["inputs"]["mask"] == "dense" and ("gradual" in metrics["inputs"]) == (number > 0)
        weights = load_file(demo / f"rounds/round-{number:02d}/weights.safetensors")
        assert not any(weights[name][~bits].any() for name, bits in own.items())
    assert len(watch.starts) == 3


def test_the_density_follows_the_curve_and_nothing_regrows(played):
    demo, watch = played
    for number in (1, 2):
        own, last = mask(demo, number), 0.5**number
        kept = [{name: bits[name] for name in own} for bits in watch.kept[number]]
        expected = 1.0
        for step, (bits, progress) in enumerate(zip(kept, watch.progress[number], strict=True), start=1):
            if progress >= 0.8 or (progress >= 0.1 and step % 3 == 0):
                expected = last + (1 - last) * max(1 - (progress - 0.1) / 0.7, 0) ** 3
            count = sum(int(b.sum()) for b in bits.values())
            assert count == pytest.approx(expected * own.total, abs=1)
            if step > 1:
                assert all((b <= kept[step - 2][name]).all() for name, b in bits.items())
        assert all(torch.equal(b, own[name]) for name, b in kept[-1].items())
        assert len({sum(int(b.sum()) for b in bits.values()) for bits in kept}) > 3


def test_killed_and_resumed_equals_never_killed(played, tmp_path, cache):
    """In the second epoch of round 2: the mask of its checkpoint is neither the first nor the last."""
    steps = len(played[1].kept[0])
    at = 2 * steps + steps // 3 + 2
    code = kill_at("lth.training.callbacks", "History", "on_train_batch_end", at)
    killed = play(*WORDS, outputs=tmp_path, cache=cache, code=code)
    assert killed.returncode == KILLED, killed.stdout + killed.stderr
    (checkpoint,) = (tmp_path / "store/partial").glob("*/epoch-*.safetensors")
    kept = sum(int(t.sum()) for t in load_file(checkpoint).values() if t.dtype == torch.bool)
    assert mask(played[0], 2).kept < kept < mask(played[0], 2).total
    resumed = play(*WORDS, outputs=tmp_path, cache=cache)
    assert resumed.returncode == 0, resumed.stderr
    assert result(tmp_path / "demo") == result(played[0])


def test_a_gradual_ticket_trains_from_init_with_the_final_mask(played, tmp_path, cache):
    rows = lottery(
        f"ticket={played[0]}/rounds/round-01", "trainer.max_epochs=3", "rounds=0", outputs=tmp_path, cache=cache
    )
    assert mask(tmp_path / "demo", 0) == mask(played[0], 1) and rows[0].density == 0.5


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["strategy/rewind=lr"], "trains every round from the init"),
        (["trainer.patience=2"], "leave out trainer.patience=2"),
        (["strategy.gradual.begin=0.9"], r"begin < end <= 1, not 0.9 and 0.7"),
        (["strategy.gradual.every=0"], "at least 1, not 0"),
        (["strategy.gradual.every=x"], "every=x is not a whole number"),
    ],
)
def test_senseless_values_are_refused_before_training(tmp_path, cache, words, complaint):
    with pytest.raises(UserError, match=complaint):
        lottery("strategy=gradual", *words, outputs=tmp_path, cache=cache)
    assert not (tmp_path / "store").exists()


def test_wandb_brings_a_gradual_experiment_back(wandb_server, tmp_path, cache):
    there, here = tmp_path / "there", tmp_path / "here"
    words = ("strategy=gradual", "rounds=1", "tracking.log_weights=true")
    lottery(*words, "tracking=online", outputs=there, cache=cache)
    lottery("resume=loopback/audio-lottery/demo", "rounds=1", outputs=here, cache=cache)
    assert result(here / "demo") == result(there / "demo")
    assert mask(here / "demo", 1).density == 0.5 and not wandb_server.state.unknown
