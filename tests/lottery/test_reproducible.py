"""What a lottery's result depends on: its seed, and never the test sets or what the process did before."""

import json
import random

import numpy as np
import pytest
import torch

from lth.lottery.setup.setting import prepare
from lth.store.maskfile import load_mask
from lth.training.train import hardware
from tests.attempts import attempt, write_corpus
from tests.configs import TINY, compose
from tests.lotteries import result


def pollute(seed):
    """Leave every global random stream somewhere else."""
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)


def weights(outputs, name="demo"):
    return [link.joinpath("weights.safetensors").read_bytes() for link in sorted((outputs / name / "rounds").iterdir())]


def test_the_seed_and_nothing_else_decides(tmp_path, cache):
    chance = ["strategy=random", "noise=level", "noise.probability=0.7", "rounds=1"]
    chance += ["augment=reference", "augment.spec.p=0.7", "augment.spec.time_warp_factor=5"]  # random and numpy
    chance += ["augment.speed=[0.9,1.1]", "augment.gain=[-6,8]"]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pollute(ord(name))
        assert attempt(*chance, f"seed={seed}", outputs=tmp_path / name, cache=cache) == 0
    a, b, c = (result(tmp_path / name / "demo") for name in "abc")
    assert a == b
    for number in ("round-00", "round-01"):
        assert a[number]["weights.safetensors"] != c[number]["weights.safetensors"]
        assert a[number]["history.jsonl"] != c[number]["history.jsonl"]
    assert a["round-01"]["mask"] != c["round-01"]["mask"]


def test_other_test_sets_give_the_same_tickets(tmp_path, cache):
    """Were pruning, checkpoints or selection to look at test, other transcripts and audio would show."""
    words = ["rounds=2", "strategy.amount=0.5", "trainer.patience=1"]
    one, other = write_corpus(tmp_path / "one"), write_corpus(tmp_path / "other", test_texts="SEE NO YES")
    (tmp_path / "other" / "test.tsv").write_text("audio\ttext\ttrash\ntest3.wav\tSEE SEE\ntest0.wav\tNO SEE\n")
    tokens = "tokens='ENOSY '"
    assert attempt(*one, *words, tokens, outputs=tmp_path / "a", cache=cache) == 0
    assert attempt(*other, *words, tokens, outputs=tmp_path / "b", cache=cache) == 0
    assert len(weights(tmp_path / "a")) == 3
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    for number in range(3):
        places = [tmp_path / name / f"demo/rounds/round-{number:02d}" for name in "ab"]
        first, second = (json.loads((place / "metrics.json").read_text()) for place in places)
        assert load_mask(places[0] / "mask.lth")[0] == load_mask(places[1] / "mask.lth")[0]
        assert (first["dev_wer"], first["epochs"]) == (second["dev_wer"], second["epochs"])
        assert first["key"] != second["key"] and first["tests"] != second["tests"]


@pytest.mark.skipif(hardware("cpu", "auto").precision != "bf16-mixed", reason="this processor has no bf16")
def test_bf16_is_repeatable_close_to_fp32_and_a_round_of_its_own(tmp_path, cache):
    words = {"a": "trainer.precision=bf16-mixed", "b": "trainer.precision=auto", "c": "trainer.precision=32-true"}
    for name, precision in words.items():
        corpus = write_corpus(tmp_path / "data")
        assert attempt(*corpus, precision, "rounds=1", outputs=tmp_path / name, cache=cache) == 0
    a, b, c = (result(tmp_path / name / "demo") for name in "abc")
    assert a == b
    for number in ("round-00", "round-01"):
        low, full = a[number]["metrics"], c[number]["metrics"]
        assert (low["inputs"]["precision"], full["inputs"]["precision"]) == ("bf16-mixed", "32-true")
        assert low["key"] != full["key"]
        assert a[number]["weights.safetensors"] != c[number]["weights.safetensors"]
        assert low["train_loss"] == pytest.approx(full["train_loss"], rel=0.05)
    assert b'"BF16"' not in a["round-00"]["weights.safetensors"]  # trained in bf16, kept in fp32


def all_audio(setting, name):
    loaders = [setting.dev_batches()] if name == "dev" else setting.test_batches().values()
    return {id: audio for batches in loaders for batch in batches for id, audio in audios(batch)}


def audios(batch):
    return [(id, audio[:n]) for id, audio, n in zip(batch["ids"], batch["audio"], batch["lengths"], strict=True)]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[id], second[id]) for id in first)


@pytest.mark.parametrize("sets", [["dev"], ["test"], ["dev", "test"]])
def test_noise_on_dev_and_test_is_there_on_request_and_always_the_same(cache, sets):
    noise = ["noise=level", "noise.probability=1", "noise.min=0.1", "noise.max=0.2"]

    def make(*words):
        return prepare(compose(*TINY, f"corpus.cache={cache}", *words))

    clean, noisy = make(), make(*noise, f"noise.apply_to=[{','.join(sets)}]")
    again = make(*noise, f"noise.apply_to=[{','.join(sets)}]", "seed=5")
    for name in ("dev", "test"):
        before, after = all_audio(clean, name), all_audio(noisy, name)
        assert same(after, all_audio(again, name))  # whatever the experiment's seed
        assert same(after, all_audio(noisy, name))  # in every epoch
        if name not in sets:
            assert same(before, after)
            continue
        added = {id: after[id] - samples for id, samples in before.items()}
        assert all(0 < noise.abs().max() <= 0.2 + 1e-6 for noise in added.values())  # clips peak at 1
    trained = [dict(audios(batch)) for setting in (clean, noisy) for batch in setting.train_batches(0)]
    half = len(trained) // 2
    assert all(same(a, b) for a, b in zip(trained[:half], trained[half:], strict=True))
