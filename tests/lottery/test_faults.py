"""What goes wrong while a lottery runs: it says so in one line, keeps what was finished, and goes on later."""

import json
import logging
import math
import re
import signal

import pytest
import torch

import lth.lottery.plan
from lth.commands.inspect import main as inspect
from lth.lottery.setup.setting import ExperimentSetup
from lth.training.callbacks import History, KeepPruned
from lth.training.checkpoint import latest, load
from lth.training.recogniser import Recogniser
from tests.attempts import attempt, checksums, raising, the_line, write_corpus
from tests.lotteries import kill_at, play, result

STEPS = 9  # of an epoch of the tiny corpus


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    """What a lottery of one pruned round gives when nothing goes wrong."""
    outputs = tmp_path_factory.mktemp("reference")
    assert attempt("rounds=1", outputs=outputs, cache=cache) == 0
    history = result(outputs / "demo")["round-00"]["history.jsonl"]
    assert f'"step": {2 * STEPS}, "epoch": 2'.encode() in history
    return result(outputs / "demo")


@pytest.fixture
def lottery(tmp_path, cache):
    """lottery(*overrides): the same lottery once more."""
    return lambda *overrides: attempt("rounds=1", *overrides, outputs=tmp_path, cache=cache)


def checkpoint(outputs):
    """The checkpoint of the only round in training."""
    (partial,) = (outputs / "store" / "partial").iterdir()
    return latest(partial)


def test_a_hopeless_learning_rate_stops_with_step_and_rate(lottery, tmp_path, capsys, finished):
    assert lottery() == 0
    before = checksums(tmp_path / "store" / "rounds")
    capsys.readouterr()
    assert lottery("trainer.lr=1e18") == 2
    said = the_line(capsys)
    assert re.search(
        r"the loss is nan at step \d+ \(epoch 1\) with learning rate \d\.\d\de\+1[78]; lower trainer\.lr", said
    )
    assert checksums(tmp_path / "store" / "rounds") == before
    assert lottery() == 0 and result(tmp_path / "demo") == finished


def test_a_loss_that_is_no_number_keeps_the_last_good_epoch(lottery, tmp_path, capsys, finished, monkeypatch):
    original, calls = Recogniser.loss, [0]

    def loss(self, logits, lengths, batch):
        calls[0] += self.training
        value = original(self, logits, lengths, batch)
        return value * math.nan if self.training and calls[0] == 3 * STEPS + 2 else value  # round 1, epoch 2, step 2

    with monkeypatch.context() as patch:
        patch.setattr(Recogniser, "loss", loss)
        assert lottery() == 2
    assert f"the loss is nan at step {STEPS + 1} (epoch 2)" in the_line(capsys)
    good = load(checkpoint(tmp_path))
    assert good["epoch"] == 0 and good["global_step"] == STEPS
    assert all(tensor.isfinite().all() for tensor in good["state_dict"].values())
    assert len(list((tmp_path / "store" / "rounds").iterdir())) == 1
    assert lottery() == 0
    assert "epoch 1/2" not in capsys.readouterr().out  # round 0 is in the store, round 1 went on from its epoch 1
    assert result(tmp_path / "demo") == finished


def test_weights_broken_by_the_last_step_of_an_epoch_reach_no_checkpoint(lottery, tmp_path, capsys, monkeypatch):
    original, calls = KeepPruned.on_train_batch_end, [0]

    def batch_end(self, trainer, module, *args):
        original(self, trainer, module, *args)
        calls[0] += 1
        if calls[0] == 2 * STEPS:
            torch.nn.init.constant_(module.model.output.weight, math.nan)

    monkeypatch.setattr(KeepPruned, "on_train_batch_end", batch_end)
    assert lottery() == 2
    assert f"the dev loss is nan at step {2 * STEPS} (epoch 2)" in the_line(capsys)
    assert load(checkpoint(tmp_path))["epoch"] == 0
    assert not (tmp_path / "store" / "rounds").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_audio_that_becomes_unreadable_is_named(tmp_path, cache, capsys, monkeypatch, workers):
    words = [*write_corpus(tmp_path / "data", ending="flac"), "rounds=0", f"trainer.workers={workers}"]
    prepare, victim = lth.lottery.plan.prepare, tmp_path / "data" / "train3.flac"
    sound = victim.read_bytes()

    def prepare_and_spoil(config, *tokens):
        setting = prepare(config, *tokens)
        victim.write_bytes(bytes(len(sound)))
        return setting

    with monkeypatch.context() as patch:
        patch.setattr(lth.lottery.plan, "prepare", prepare_and_spoil)
        assert attempt(*words, outputs=tmp_path / "out", cache=cache) == 2
    assert re.search(r"^run.py: train\.tsv line 5: \S+/train3\.flac cannot be decoded", the_line(capsys))
    assert not (tmp_path / "out" / "store" / "rounds").exists()
    victim.write_bytes(sound)
    assert attempt(*words, outputs=tmp_path / "out", cache=cache) == 0


INTERRUPTIONS = {
    "Ctrl-C in round 1's second epoch": kill_at(
        "lth.training.callbacks", "History", "on_train_batch_end", 3 * STEPS + 3
    ).replace("SIGKILL", "SIGINT"),
    "SIGTERM during round 1's evaluation": kill_at("lth.training.recogniser", "Recogniser", "predict_step", 4).replace(
        "SIGKILL", "SIGTERM"
    ),
}


@pytest.mark.parametrize("moment", INTERRUPTIONS)
def test_an_interrupted_lottery_goes_on(lottery, tmp_path, cache, capsys, finished, moment):
    stopped = play("rounds=1", outputs=tmp_path, cache=cache, code=INTERRUPTIONS[moment])
    assert stopped.returncode == 130, stopped.stderr
    assert stopped.stderr == "run.py: stopped; the same command goes on from the last finished epoch\n"
    assert result(tmp_path / "demo")["finished"] is False
    assert list(result(tmp_path / "demo")) == ["keys", "finished", "round-00"]
    capsys.readouterr()
    assert lottery() == 0
    said = capsys.readouterr().out
    assert "epoch 1/2" not in said and ("epoch 2/2" in said) == ("epoch" in moment)
    assert result(tmp_path / "demo") == finished


def test_ctrl_c_in_an_evaluation_is_ctrl_c(lottery, tmp_path, capsys, finished, monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(Recogniser, "predict_step", raising(KeyboardInterrupt(), 1, Recogniser.predict_step))
        assert lottery() == 130
    assert "goes on from the last finished epoch" in the_line(capsys)
    assert signal.getsignal(signal.SIGINT) == handler  # Lightning had switched it off
    assert lottery() == 0 and result(tmp_path / "demo") == finished


def test_a_corrupt_mask_is_named_by_inspect_and_rebuilt_by_a_run(lottery, tmp_path, capsys, caplog, finished):
    assert lottery() == 0
    mask = (tmp_path / "demo/rounds/round-00/mask.lth").resolve()
    data = bytearray(mask.read_bytes())
    data[-1] ^= 1
    mask.write_bytes(data)
    capsys.readouterr()
    for target in (mask, tmp_path / "demo"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["lth", f"ticket={target}"])
            assert inspect("python -m lth inspect") == 2
        assert re.search(r"^lth inspect: \S+/mask\.lth does not match its checksum", the_line(capsys))
    with caplog.at_level(logging.WARNING):
        assert lottery() == 0
    assert f"{mask} does not match its checksum: set aside as" in caplog.text
    assert len(list((tmp_path / "store" / "corrupt").iterdir())) == 1
    assert result(tmp_path / "demo") == finished


@pytest.mark.parametrize("patience", [1, 2])
def test_early_stopping_follows_dev_wer_and_resumes_to_the_same(tmp_path, cache, capsys, monkeypatch, patience):
    words = ["rounds=0", "trainer.max_epochs=9", f"trainer.patience={patience}", "trainer.log_every=1"]
    assert attempt(*words, outputs=tmp_path / "a", cache=cache) == 0
    reference = result(tmp_path / "a" / "demo")["round-00"]
    rows = [json.loads(line) for line in reference["history.jsonl"].splitlines()]
    epochs = [row for row in rows if "dev_wer" in row]
    wers = [row["dev_wer"] for row in epochs]
    without = [min(wers[:n], default=math.inf) <= wer for n, wer in enumerate(wers)]
    stop = next(n for n in range(len(wers)) if n + 1 >= patience and all(without[n + 1 - patience : n + 1]))
    assert len(wers) == stop + 1 < 9 and reference["metrics"]["epochs"] == stop + 1

    moments = [(History, "on_train_batch_end", epochs[stop - 1]["step"] + 2), (Recogniser, "predict_step", 1)]
    for owner, function, call in moments:
        with monkeypatch.context() as patch:
            patch.setattr(owner, function, raising(KeyboardInterrupt(), call, getattr(owner, function)))
            assert attempt(*words, outputs=tmp_path / "b", cache=cache) == 130
        assert load(checkpoint(tmp_path / "b"))["epoch"] == (stop - 1 if owner is History else stop)
    assert attempt(*words, outputs=tmp_path / "b", cache=cache) == 0
    assert result(tmp_path / "b" / "demo")["round-00"] == reference


def test_training_and_selection_never_ask_for_test(lottery, tmp_path, monkeypatch):
    """The test sets may be unreadable until a round is trained; then it is there that they are read first."""

    def unreadable(self):
        raise RuntimeError("a test set was read")

    with monkeypatch.context() as patch:
        patch.setattr(ExperimentSetup, "test_batches", unreadable)
        with pytest.raises(RuntimeError, match="a test set was read"):
            lottery()
    assert load(checkpoint(tmp_path))["epoch"] == 1  # of epochs 0 and 1
