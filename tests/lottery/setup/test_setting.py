"""What a round's key depends on, and what it does not."""

import hashlib
import json

import numpy as np
import pytest
import soundfile
import soxr
import torch

from lth.errors import UserError
from lth.lottery.plan import check_fits
from lth.lottery.setup.setting import count, prepare
from lth.speech.augment.noise import NoiseInjection
from lth.speech.corpora import cached
from lth.speech.corpora.lazy_cuts import Line
from lth.store.store import round_key
from lth.tickets.mask import Mask
from tests.attempts import write_corpus
from tests.configs import TINY, compose


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    cache = tmp_path_factory.mktemp("corpus")

    def make(*overrides):
        return prepare(compose(*TINY, f"corpus.cache={cache}", *overrides))

    return make


@pytest.fixture(scope="module")
def base(make):
    return make()


def key(setting, mask=None):
    return round_key(setting.key_inputs("init", mask or setting.dense()))


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "trainer.lr=1e-3",
        "trainer.max_epochs=3",
        "trainer.batch_size=8",
        "trainer.gradient_clip=1.0",
        "trainer.patience=1",
        "model.dropout=0.2",
        "features.hop=0.02",
        "augment=none",
        "noise=level",
        "noise=snr",
        "augment.speed=[0.9,1.1]",
        "augment.gain=[-6,8]",
        "corpus.seed=1",
        "tokens='ABCDEFGHIJKLMNOPQRSTUVWXYZ '",
    ],
)
def test_what_can_change_a_result_changes_the_key(make, base, override):
    assert key(make(override)) != key(base)


@pytest.mark.parametrize(
    "override",
    [
        "strategy=layerwise",
        "rounds=9",
        "name=other",
        "trainer.threads=2",
        "trainer.workers=1",
        "trainer.log_every=7",
        "tracking=disabled",
        "memory_hours=0",
        "outputs=elsewhere",
        "noise.max=0.9",
        "noise.part=train",
        "test_noise=grid",
        "rir.probability=0.9",
    ],
)
def test_what_cannot_change_a_result_does_not(make, base, override):
    assert key(make(override)) == key(base)


def test_rooms_change_the_key_by_what_is_in_them(make, base, tmp_path):
    for name, last in (("a", 0.1), ("b", 0.1), ("c", 0.2)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / f"{name}.wav", np.array([0.5, last] * 8), 16_000)
    one, same, other = (make("rir=folder", f"rir.root={tmp_path / name}") for name in "abc")
    assert key(one) == key(same) and len({key(one), key(other), key(base)}) == 3
    assert key(make("rir=folder", f"rir.root={tmp_path / 'a'}", "rir.probability=0.1")) != key(one)


def test_training_hears_speed_room_and_noise_and_dev_does_not(make, base, tmp_path):
    soundfile.write(tmp_path / "room.wav", np.array([0.5, 0.0, 0.4]), 16_000)
    rooms = ("rir=folder", f"rir.root={tmp_path}", "rir.probability=1")
    effects = make("augment.speed=[0.9]", *rooms, "noise=snr", "noise.probability=1", "trainer.max_duration=20")
    (dry, *_), (wet, *_) = base.dev_batches(), effects.dev_batches()
    assert torch.equal(dry["audio"], wet["audio"])
    cuts = {cut.id: cut for cut in effects.corpus.train}
    clean = base._utterances("train")
    for batch in effects.train_batches(0):
        assert batch["lengths"].max() * len(batch["ids"]) <= 20.5 * 16_000  # slower speech is fewer utterances
        for length, id in zip(batch["lengths"], batch["ids"], strict=True):
            assert length == pytest.approx(cuts[id].num_samples / 0.9, abs=1)
        id, length = batch["ids"][0], batch["lengths"][0]
        stretched = soxr.resample(clean.memory(cuts[id]), 14_400, 16_000)
        reverberated = np.convolve(stretched, [1, 0, 0.8])[: len(stretched)]
        reverberated *= np.sqrt(np.sum(stretched**2) / np.sum(reverberated**2))
        noise = NoiseInjection("snr", 1.0, 0.0, 20.0)
        expected = noise(reverberated.astype(np.float32), split="train", utterance=id, epoch=0, seed=0)
        np.testing.assert_allclose(batch["audio"][0, :length], expected, atol=1e-4)


def test_what_is_too_short_once_it_is_faster_is_dropped(make, base):
    faster = make("augment.speed=[1.0,3.5]")
    left = {cut.id for cut in faster.corpus.train}
    model = base.model()
    for cut in base.corpus.train:
        tokens = base.tokens.encode(cut.supervisions[0].text).tolist()
        frames = model.out_length(base.features.frames(cut.num_samples / 3.5))
        if abs(frames - model.frames_needed(tokens)) > 1:
            assert (cut.id in left) == (frames > model.frames_needed(tokens))
    assert 0 < len(left) < 60 and faster.utterances == len(left)
    assert len(list(faster.corpus.dev)) == 20
    assert sorted(faster.corpus.dropped["train: too short for its text"]) == sorted(
        cut.id for cut in base.corpus.train if cut.id not in left
    )


@pytest.mark.parametrize("eager", [0, 1_000])
def test_of_a_large_split_only_cuts_that_are_used_are_made(tmp_path, monkeypatch, eager):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    words = []
    for split, size in (("train", 30), ("dev", 4), ("test", 3)):
        rows = [{"audio": "a.wav", "text": "A B", "id": f"{split}-{n}"} for n in range(size)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        words.append(f"corpus.{split}={tmp_path / split}.jsonl")
    monkeypatch.setattr(cached, "EAGER", eager)
    made, cut = [], Line.cut
    monkeypatch.setattr(Line, "cut", lambda line: made.append(line.id) or cut(line))
    setting = prepare(compose(*TINY[1:], "corpus=manifest", *words, f"outputs={tmp_path}", "seed=4"))
    check_fits(setting)
    assert len(made) == (0 if eager == 0 else 37)  # held in memory, each is made when the corpus is read
    made.clear()
    (batch,) = setting.sample_batches(5)
    ids = sorted((f"train-{n}" for n in range(30)), key=lambda id: hashlib.sha256(f"4 {id}".encode()).digest())
    assert batch["ids"] == ids[:5]  # in this order, all being as long
    assert sorted(made) == (sorted(ids[:5]) if eager == 0 else [])


def test_a_split_that_is_not_held_in_memory_is_the_same_setting(tmp_path, monkeypatch):
    """With a text that is too short in train and a recording of no frame in dev, which are dropped."""
    words = (*write_corpus(tmp_path / "corpus"), *(word for word in TINY if not word.startswith("corpus.")))
    lines = (tmp_path / "corpus/train.tsv").read_text().splitlines()
    lines[3] += " NO YES" * 20
    (tmp_path / "corpus/train.tsv").write_text("\n".join(lines) + "\n")
    soundfile.write(tmp_path / "corpus/dev1.wav", np.full(100, 0.1), 16_000)
    found = []
    for most in (1_000, 0):
        monkeypatch.setattr(cached, "EAGER", most)
        found.append(prepare(compose(*words, f"corpus.cache={tmp_path / 'cache'}")))
    eager, lazy = found
    assert lazy.corpus.train.is_lazy and not eager.corpus.train.is_lazy
    assert lazy.utterances == eager.utterances == 11 and lazy.corpus.dropped == eager.corpus.dropped
    assert sorted(lazy.corpus.dropped.values()) == [["dev-dev1.wav"], ["train-train2.wav"]]
    assert key(lazy) == key(eager) and count(lazy.corpus.dev) == count(eager.corpus.dev) == 3
    for of in (lambda s: s.train_batches(1), lambda s: s.dev_batches(), lambda s: s.sample_batches(5)):
        batches = [[batch["ids"] for batch in of(setting)] for setting in found]
        assert batches[0] == batches[1]


def test_the_mask_and_the_init_are_part_of_the_key(base):
    bits = {name: b.clone() for name, b in base.dense().items()}
    next(iter(bits.values())).view(-1)[0] = False
    assert key(base, Mask(bits)) != key(base)
    assert round_key(base.key_inputs("a", base.dense())) != round_key(base.key_inputs("b", base.dense()))


def test_the_init_is_the_models_own_and_follows_from_the_seed(make, base):
    again, other = make(), make("seed=1")
    assert all(torch.equal(again.init[name], value) for name, value in base.init.items())
    assert any(not torch.equal(other.init[name], value) for name, value in base.init.items())
    torch.manual_seed(0)
    fresh = base.model().state_dict()
    assert all(torch.equal(fresh[name], value) for name, value in base.init.items())


def test_a_character_outside_the_given_tokens_is_named(make):
    with pytest.raises(UserError, match=r"contains the character '.' \(U\+00..\).*tokens="):
        make("tokens=ABC")
