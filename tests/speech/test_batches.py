import numpy as np
import pytest
import soundfile

from lth.speech.augment.noise import NoiseInjection
from lth.speech.batches import AudioMemory, Utterances, test_loader, train_loader
from lth.speech.corpora.corpus import exclude, utterance
from lth.speech.corpora.lazy_cuts import Line, listed, write
from lth.speech.tokens import CharacterTokens

test_loader.__test__ = False


@pytest.fixture
def cuts(tmp_path):
    from lhotse import CutSet

    random = np.random.default_rng(0)
    made = []
    for n in range(40):
        path = tmp_path / f"u{n:02d}.flac"
        soundfile.write(path, random.normal(0, 0.05, 3_200 + 400 * (n * 7 % 40)), 16_000)
        made.append(utterance(f"u{n:02d}", path, "AB" * (1 + n % 3), "s"))
    return CutSet.from_cuts(made)


def batches(cuts, *, epoch=0, seed=0, noise="none", hours=1.0, **options):
    data = Utterances("train", AudioMemory(hours), CharacterTokens("AB"), NoiseInjection(noise, 1.0, 0.1, 0.5), seed)
    defaults = {"batch_size": 8, "max_duration": None, "buckets": 4, "workers": 0}
    return list(train_loader(cuts, data, epoch, **{**defaults, **options}))


def ids(batches):
    return [batch["ids"] for batch in batches]


def test_every_utterance_once_an_epoch_in_batches_of_similar_length(cuts):
    made = batches(cuts)
    assert sorted(i for batch in made for i in batch["ids"]) == sorted(cuts.ids)
    assert max(len(batch["ids"]) for batch in made) == 8
    spread = np.mean([np.ptp(batch["lengths"].numpy()) for batch in made])
    assert spread < np.ptp([cut.num_samples for cut in cuts]) / 2


def test_batches_repeat_with_seed_and_epoch_and_differ_without(cuts):
    assert ids(batches(cuts, epoch=3)) == ids(batches(cuts, epoch=3))
    assert ids(batches(cuts, epoch=3)) != ids(batches(cuts, epoch=4))
    assert ids(batches(cuts, seed=1)) != ids(batches(cuts, seed=2))


def test_batches_by_total_duration(cuts):
    made = batches(cuts, max_duration=3.0)
    assert all(batch["lengths"].max() * len(batch["ids"]) / 16_000 <= 3.0 + 1.3 for batch in made)
    assert len(made) > 40 * 0.6 / 3.0 / 2


def test_a_batch_holds_each_utterances_samples_and_tokens(cuts):
    batch = next(iter(batches(cuts)))
    for n, name in enumerate(batch["ids"]):
        expected = cuts[name].load_audio()[0]
        length = batch["lengths"][n]
        np.testing.assert_allclose(batch["audio"][n, :length], expected, atol=1e-6)
        assert not batch["audio"][n, length:].any()
        text = batch["texts"][n]
        assert batch["tokens"][n, : batch["token_lengths"][n]].tolist() == ["AB".index(c) + 1 for c in text]


def test_memory_or_disk_noise_is_the_same(cuts):
    """Noise depends on seed, epoch and utterance; not on what is kept in memory or who reads it."""
    kept, read = (batches(cuts, noise="level", hours=hours, epoch=2) for hours in (1.0, 0.0))
    clean = batches(cuts, epoch=2)
    for a, b, c in zip(kept, read, clean, strict=True):
        assert (a["audio"] == b["audio"]).all()
        assert not (a["audio"] == c["audio"]).all()


def test_test_batches_are_sorted_and_complete(cuts):
    data = Utterances("test", AudioMemory(1.0), CharacterTokens("AB"), NoiseInjection("none", 0, 0, 0), 0)
    made = list(test_loader(cuts, data, batch_size=16, max_duration=None))
    lengths = np.concatenate([batch["lengths"].numpy() for batch in made])
    assert len(lengths) == 40 and (np.diff(lengths) <= 0).all()


def test_a_list_on_disk_gives_the_batches_of_a_list_in_memory(cuts, tmp_path):
    write(tmp_path / "train.lines", map(Line.of, cuts))
    lazy = exclude(listed(tmp_path / "train.lines"), frozenset({"u07"}))
    eager = cuts.filter(lambda cut: cut.id != "u07")
    for options in ({"epoch": 1}, {"epoch": 2, "max_duration": 4.0}):
        for a, b in zip(batches(lazy, **options), batches(eager, **options), strict=True):
            assert a["ids"] == b["ids"] and (a["audio"] == b["audio"]).all()


def test_effects_come_before_noise_in_their_order(cuts):
    double = lambda samples, **_: 2 * samples  # noqa: E731
    shift = lambda samples, split, utterance, epoch, seed: samples + epoch + seed  # noqa: E731
    noise = NoiseInjection("none", 0, 0, 0)
    data = Utterances("train", AudioMemory(1.0), CharacterTokens("AB"), noise, 4, effects=(double, shift))
    data.epoch = 3
    batch = data[cuts.subset(first=1)]
    np.testing.assert_allclose(batch["audio"][0], 2 * next(iter(cuts)).load_audio()[0] + 7, atol=1e-4)
