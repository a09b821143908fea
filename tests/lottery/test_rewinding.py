"""What rounds start from: init, early weights, or the trained ones; and that nothing changes where nothing is said."""

import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import lightning
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import lth.training.train
from lth.errors import UserError
from lth.lottery.rewinding import RoundSpec
from lth.lottery.round import train_round
from lth.lottery.setup.find import load_ticket
from lth.lottery.setup.setting import prepare
from lth.store.maskfile import load_mask
from lth.store.rows import Row
from lth.store.store import Store, StoredRound, round_key
from tests.configs import compose
from tests.loopback_wandb import fixture
from tests.lotteries import command, result, run

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server

LATE = ("strategy/rewind=epoch", "strategy.rewind.epoch=1")
KINDS = {"init": (), "epoch": LATE, "lr": ("strategy/rewind=lr",), "none": ("strategy/rewind=none",)}


TRAINER = lth.training.train.trainer


def config(*overrides: str, outputs: Path, cache: Path):
    return compose(*command("trainer.max_epochs=3", *overrides, outputs=outputs, cache=cache))


def lottery(*overrides: str, outputs: Path, cache: Path) -> list[Row]:
    return run(config(*overrides, outputs=outputs, cache=cache), Console(file=io.StringIO()))


@dataclass
class Training:
    """What one training was seen to do."""

    epoch: int
    weights: dict
    batches: list[tuple[int, float, tuple[str, ...]]] = field(default_factory=list)  # epoch, learning rate, utterances
    after: dict = field(default_factory=dict)  # epoch -> weights at its end


class Watch(lightning.Callback):
    def __init__(self):
        self.trainings: list[Training] = []

    def on_train_start(self, trainer, module):
        self.trainings.append(Training(trainer.current_epoch, copy(module.model)))

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.trainings[-1].batches.append((trainer.current_epoch, rate, tuple(batch["ids"])))

    def on_train_epoch_end(self, trainer, module):
        self.trainings[-1].after[trainer.current_epoch + 1] = copy(module.model)


def join(patch: pytest.MonkeyPatch, callback: lightning.Callback) -> None:
    """Let a callback of ours take part in every training from now on."""
    patch.setattr(
        lth.training.train,
        "trainer",
        lambda machine, *, callbacks, **options: TRAINER(machine, callbacks=[*callbacks, callback], **options),
    )


def copy(model) -> dict:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@dataclass
class Played:
    demo: Path
    trainings: list[Training]

    def mask(self, number: int):
        return load_mask(self.demo / f"rounds/round-{number:02d}/mask.lth")[0]

    def weights(self, number: int) -> dict:
        return load_file(self.demo / f"rounds/round-{number:02d}/weights.safetensors")

    def inputs(self, number: int) -> dict:
        return json.loads((self.demo / f"rounds/round-{number:02d}/metrics.json").read_text())["inputs"]


@pytest.fixture(scope="module")
def played(tmp_path_factory, cache) -> dict[str, Played]:
    """A lottery of each kind, each in a store of its own, and what was seen of its trainings."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for kind, words in KINDS.items():
            watch = Watch()
            join(patch, watch)
            outputs = tmp_path_factory.mktemp(kind)
            lottery(*words, outputs=outputs, cache=cache)
            found[kind] = Played(outputs / "demo", watch.trainings)
    return found


def test_the_default_brings_nothing_new_into_a_key(played, tmp_path, cache):
    """A key is what `key_inputs` alone says, as before there was a choice; all kinds share the dense round."""
    setting = prepare(config(outputs=tmp_path, cache=cache))
    init = json.loads((played["init"].demo / "experiment.json").read_text())["init"]
    keys = json.loads((played["init"].demo / "experiment.json").read_text())["keys"]
    masks = [played["init"].mask(number) for number in range(3)]
    assert keys == [round_key(setting.key_inputs(init, mask)) for mask in masks]
    every = [json.loads((one.demo / "experiment.json").read_text())["keys"] for one in played.values()]
    assert len({keys[0] for keys in every}) == 1 and len({keys[1] for keys in every}) == 4
    assert len({masks.mask(1).digest() for masks in played.values()}) == 1


def test_the_early_weights_are_those_of_an_uninterrupted_training(played, tmp_path, cache):
    setting, watch = prepare(config(outputs=tmp_path, cache=cache)), Watch()
    store = Store(tmp_path / "store")
    ticket = RoundSpec(setting.dense(), lambda: setting.init)
    train_round(setting, store, 0, "init", ticket, trained_by="test", display=[watch])
    (dense,) = watch.trainings
    early = load_file(played["epoch"].demo / "rewind.safetensors")
    assert same(early, dense.after[1]) and not same(early, dense.after[2])
    # made by a training that stops there, but has the whole's learning rates
    until = played["epoch"].trainings[1]
    assert until.batches == [batch for batch in dense.batches if batch[0] == 0]


def test_late_rewinding_starts_from_the_early_weights_and_goes_on_from_their_epoch(played):
    one = played["epoch"]
    early = load_file(one.demo / "rewind.safetensors")
    dense, _, *rounds = one.trainings
    assert len(rounds) == 2
    for number, training in enumerate(rounds, start=1):
        mask = one.mask(number)
        assert training.epoch == 1
        for name, tensor in early.items():
            expected = torch.where(mask[name], tensor, 0) if name in mask else tensor
            assert torch.equal(training.weights[name], expected)
        assert training.batches == [batch for batch in dense.batches if batch[0] >= 1]
    rows = [json.loads((one.demo / f"rounds/round-0{n}/metrics.json").read_text())["epochs"] for n in range(3)]
    assert rows == [3, 2, 2]


@pytest.mark.parametrize("kind", ["init", "lr", "none"])
def test_what_the_other_kinds_start_from(played, kind):
    one = played[kind]
    dense, *rounds = one.trainings
    init = load_file(one.demo / "init.safetensors")
    for number, training in enumerate(rounds, start=1):
        mask, origin = one.mask(number), init if kind == "init" else one.weights(number - 1)
        assert training.epoch == 0
        for name, tensor in origin.items():
            expected = torch.where(mask[name], tensor, 0) if name in mask else tensor
            assert torch.equal(training.weights[name], expected)
        assert [(epoch, ids) for epoch, _, ids in training.batches] == [(e, ids) for e, _, ids in dense.batches]
        rates = [rate for _, rate, _ in training.batches]
        if kind == "none":
            assert rates == pytest.approx([0.1 * 1.5e-3] * len(rates))
        else:
            assert rates == [rate for _, rate, _ in dense.batches]


@pytest.mark.parametrize("kind", ["epoch", "lr", "none"])
def test_interrupted_and_resumed_equals_never_interrupted(played, tmp_path, cache, monkeypatch, kind):
    """Twice: in the second epoch of round 1, and before round 2 is listed; the early weights are made once."""
    per_epoch = len(played["init"].trainings[0].batches) // 3
    before = 3 * per_epoch + (per_epoch if kind == "epoch" else 0)

    class Interrupt(lightning.Callback):
        batches = 0

        def on_train_batch_end(self, *args):
            self.batches += 1
            if self.batches in (before + per_epoch + 2, before + 3 * per_epoch + 1):
                raise KeyboardInterrupt

    join(monkeypatch, Interrupt())
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            lottery(*KINDS[kind], outputs=tmp_path, cache=cache)
    lottery(*KINDS[kind], outputs=tmp_path, cache=cache)
    assert result(tmp_path / "demo") == result(played[kind].demo)


@pytest.mark.parametrize("kind", ["epoch", "lr"])
def test_a_chain_without_weights_is_trained_again(played, tmp_path, cache, kind):
    """As records from W&B: only hypotheses and masks are left of all rounds."""
    shutil.copytree(played[kind].demo.parent, tmp_path / "copy", symlinks=True)
    demo = tmp_path / "copy/demo"
    for key in json.loads((demo / "experiment.json").read_text())["keys"]:
        folder = tmp_path / "copy/store/rounds" / key
        (folder / "weights.safetensors").unlink()
        sums = (folder / "SHA256SUMS").read_text()
        (folder / "ORIGINAL_SUMS").write_text(sums)
        (folder / "SHA256SUMS").write_text("".join(s for s in sums.splitlines(True) if "weights" not in s))
        (tmp_path / "copy/store/records").mkdir(exist_ok=True)
        folder.rename(tmp_path / "copy/store/records" / key)
    shutil.rmtree(tmp_path / "copy/demo/rounds")
    again = lottery(*KINDS[kind], "rounds=3", outputs=tmp_path / "copy", cache=cache)
    whole = lottery(*KINDS[kind], "rounds=3", outputs=tmp_path / "whole", cache=cache)
    assert [(row.key, row.dev_wer) for row in again] == [(row.key, row.dev_wer) for row in whole]
    assert (demo / "rounds/round-03/weights.safetensors").read_bytes() == (
        tmp_path / "whole/demo/rounds/round-03/weights.safetensors"
    ).read_bytes()


def test_a_ticket_of_late_rewinding_rewinds_to_the_early_weights(played, tmp_path, cache):
    late = played["epoch"]
    rows = lottery(f"ticket={late.demo}/rounds/round-02", "rounds=1", outputs=tmp_path, cache=cache)
    demo = tmp_path / "demo"
    assert (demo / "init.safetensors").read_bytes() == (late.demo / "rewind.safetensors").read_bytes()
    # round 0 is what it was where it was found, and round 1 returns to the same weights and epoch
    assert same(load_file(demo / "rounds/round-00/weights.safetensors"), late.weights(2))
    assert rows[0].epochs == rows[1].epochs == 2
    again = lottery(f"ticket={demo}/rounds/round-01", "rounds=0", outputs=tmp_path / "again", cache=cache)
    assert again[0].key == rows[1].key

    mask = tmp_path / "alone/mask.lth"
    mask.parent.mkdir()
    shutil.copy(late.demo / "rounds/round-02/mask.lth", mask)
    shutil.copy(late.demo / "init.safetensors", mask.parent)  # not what it rewinds to
    with pytest.raises(UserError, match=r"the weights of epoch 1 that this ticket rewinds to .* rewind.safetensors"):
        lottery(f"ticket={mask}", "rounds=0", outputs=tmp_path, cache=cache)
    shutil.copy(late.demo / "rewind.safetensors", mask.parent)
    (row,) = lottery(f"ticket={mask}", "rounds=0", outputs=tmp_path / "alone", cache=cache)
    assert row.key == rows[0].key
    with pytest.raises(UserError, match=r"goes on from the end of epoch 1, and trainer.max_epochs is 1"):
        lottery(f"ticket={mask}", "trainer.max_epochs=1", outputs=tmp_path, cache=cache)


def test_a_ticket_of_late_rewinding_from_wandb(wandb_server, tmp_path, cache):
    import wandb

    there = tmp_path / "there"
    lottery(*LATE, "name=late", "tracking=online", outputs=there, cache=cache)
    where = "loopback/audio-lottery"
    rows = lottery(f"ticket={where}/late-mask:round-02", "rounds=0", outputs=tmp_path / "here", cache=cache)
    early = (there / "late/rewind.safetensors").read_bytes()
    assert (tmp_path / "here/demo/init.safetensors").read_bytes() == early and rows[0].epochs == 2
    (last,) = [one for one in wandb.Api().runs(where) if one.name == "late-round-02"]
    assert sorted(a.name for a in last.used_artifacts()) == ["late-init:v0", "late-mask:v1", "late-rewind:v0"]
    from_folder = load_ticket(compose(f"ticket={there}/late/rounds/round-02"))
    assert [name.partition(":")[0] for name in from_folder.uses] == [
        f"audio-lottery/late-{kind}" for kind in ("init", "rewind", "mask")
    ]
    assert not wandb_server.state.unknown
    lottery(f"resume={where}/late", "rounds=2", outputs=tmp_path / "third", cache=cache)
    ours, theirs = (json.loads((folder / "late/experiment.json").read_text()) for folder in (tmp_path / "third", there))
    assert ours["keys"] == theirs["keys"] and len(ours["keys"]) == 3


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["strategy/rewind=epoch", "strategy.rewind.epoch=3"], "epoch=3 is no epoch to rewind to: give one of 1 to 2"),
        (["strategy/rewind=epoch", "strategy.rewind.epoch=0"], "at least 1, not 0"),
        (["strategy/rewind=epoch", "strategy.rewind.epoch=1.5"], "epoch=1.5 is not a whole number"),
        (["strategy/rewind=epoch", "trainer.max_epochs=1"], "needs more epochs than trainer.max_epochs=1"),
        (["strategy/rewind=none", "strategy.rewind.rate=-1"], "rate is a share of trainer.lr, above 0, not -1"),
        (["strategy/rewind=none", "strategy.rewind.epochs=0"], "epochs is a whole number, at least 1, or null, not 0"),
    ],
)  # fmt: skip
def test_senseless_values_are_refused_before_training(tmp_path, cache, words, complaint):
    with pytest.raises(UserError, match=complaint):
        lottery(*words, outputs=tmp_path, cache=cache)
    assert not (tmp_path / "store").exists()


def test_early_weights_are_only_looked_for_in_the_store(tmp_path):
    """Metrics may come from W&B; what they name must not lead out of the store."""
    for name in ("secret", "store/rounds/aa", "store/rounds/" + "ab" * 16):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "weights.safetensors").touch()
    places = {"../../secret": False, "aa": False, "ab" * 16: True, "cd" * 16: False, None: False}
    for of, there in places.items():
        round = StoredRound(tmp_path / "store/rounds/aa")
        (round.path / "metrics.json").write_text(json.dumps({"inputs": {"rewind": {"epoch": 1, "of": of}}}))
        assert (round.rewind_weights is not None) == there
