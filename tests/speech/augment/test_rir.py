import numpy as np
import pytest
import soundfile
from lhotse import Recording
from lhotse.augmentation import ReverbWithImpulseResponse
from omegaconf import OmegaConf

from lth.errors import UserError
from lth.speech.augment.rir import Reverberation, reverberated
from tests.configs import PROJECT

RATE = 16_000
TRAIN = {"split": "train", "epoch": 0, "seed": 0}


def room(seed: int = 0, seconds: float = 0.3, delay: int = 40) -> np.ndarray:
    """Direct sound after `delay` samples, then noise that falls by 60 dB in `seconds`."""
    stream, time = np.random.default_rng(seed), np.arange(int(seconds * RATE)) / RATE
    response = 0.2 * stream.normal(0, 1, len(time)) * 10 ** (-3 * time / seconds)
    response[:delay] = 0
    response[delay] = 0.9
    return np.clip(response, -0.89, 0.9).astype(np.float32)


def folder(path, **rooms):
    path.mkdir(parents=True, exist_ok=True)
    for name, samples in rooms.items():
        # AU, since a WAV of floats holds the second in which it was written
        soundfile.write(path / f"{name}.wav", samples, RATE, subtype="FLOAT", format="AU")
    return path


def speech(samples: int = 5_000, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def test_by_hand():
    heard = reverberated(np.array([1, 0, 0, 2], np.float32), np.array([0, 2, 1], np.float32))
    by_hand = np.array([2, 1, 0, 4]) * np.sqrt(5 / 21)  # the direct sound is 2; the power stays 5
    np.testing.assert_allclose(heard, by_hand, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 30, 3_000, 20_000])
def test_it_is_numpys_convolution_and_lhotses_reverberation(tmp_path, samples):
    clean, response = speech(samples), room()
    heard = reverberated(clean, response)
    direct = np.convolve(clean.astype(np.float64), response)[40 : 40 + samples]
    direct *= np.sqrt(np.square(clean, dtype=np.float64).sum() / np.square(direct).sum())
    assert heard.dtype == np.float32 and heard.shape == clean.shape
    np.testing.assert_allclose(heard, direct, atol=1e-5)
    file = folder(tmp_path, room=response) / "room.wav"
    theirs = ReverbWithImpulseResponse(Recording.from_file(file))(clean[None], RATE)[0]
    np.testing.assert_allclose(heard, theirs, atol=1e-5)


def test_a_function_of_seed_epoch_and_utterance(tmp_path):
    root = folder(tmp_path, **{f"r{n}": room(n) for n in range(12)})
    make = lambda: Reverberation("folder", 0.7, root)  # noqa: E731
    keys = [(f"u{i}", epoch, seed) for i in range(15) for epoch in (0, 1) for seed in (0, 1)]
    run = lambda rooms, u, e, s: rooms(speech(800), split="train", utterance=u, epoch=e, seed=s).tobytes()  # noqa: E731
    one, other = make(), make()
    forwards = {key: run(one, *key) for key in keys}
    assert forwards == {key: run(other, *key) for key in reversed(keys)}
    changed = [value for value in forwards.values() if value != speech(800).tobytes()]
    assert len(keys) * 0.4 < len(changed) < len(keys) * 0.95  # 0.7 expected, deviation 0.06
    assert len(set(changed)) > 8  # of twelve rooms


def test_dev_and_test_only_on_request_and_always_the_same(tmp_path):
    root, clean = folder(tmp_path, **{f"r{n}": room(n) for n in range(5)}), speech()
    call = lambda rooms, split, epoch=0, seed=0: rooms(  # noqa: E731
        clean, split=split, utterance="u", epoch=epoch, seed=seed
    ).tobytes()
    usual, on_test = Reverberation("folder", 1.0, root), Reverberation("folder", 1.0, root, apply_to=["test"])
    assert call(usual, "dev") == call(usual, "test") == call(on_test, "dev") == call(on_test, "train")
    assert call(on_test, "test", 3, 7) == call(on_test, "test-other") != clean.tobytes()
    assert call(usual, "train") != clean.tobytes()


def test_the_first_channel_resampled(tmp_path):
    many = np.stack([room(1), -room(2), room(3)], 1)
    soundfile.write(tmp_path / "array.wav", np.repeat(many, 3, axis=0), 48_000, subtype="FLOAT")
    (found,) = Reverberation("folder", 1.0, tmp_path).rooms
    assert len(found) == len(many)
    assert np.corrcoef(found, many[:, 0])[0, 1] > 0.8 > abs(np.corrcoef(found, many[:, 1])[0, 1])


def test_silence_stays_silence(tmp_path):
    silent = np.zeros(100, np.float32)
    np.testing.assert_array_equal(reverberated(silent, room()), silent)
    rooms = Reverberation("folder", 1.0, folder(tmp_path, r=room()))
    assert len(rooms(silent[:0], utterance="u", **TRAIN)) == 0


def test_fingerprint_names_what_matters(tmp_path):
    one, same = folder(tmp_path / "a", x=room(1), y=room(2)), folder(tmp_path / "b", y=room(1), z=room(2))
    other = folder(tmp_path / "c", x=room(3), y=room(2))
    of = lambda *settings, **more: Reverberation("folder", *settings, **more).fingerprint()  # noqa: E731
    dev = {"apply_to": ["train", "dev"]}
    different = [of(0.5, one), of(0.6, one), of(0.5, other), of(0.5, one, **dev), of(0.5, one, seed=1, **dev)]
    assert len(set(different)) == len(different)
    assert of(0.5, one) == of(0.5, same) == of(0.5, one, seed=3)
    assert Reverberation().fingerprint() is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"kind": "cave"}, r"rir\.kind"),
        ({"root": None}, r"rir\.root is not set"),
        ({"root": "/no/such/folder"}, r"rir\.root=/no/such/folder is no folder"),
        ({"probability": 1.5}, r"rir\.probability"),
        ({"apply_to": ["tset"]}, r"rir\.apply_to.*tset"),
        ({"seed": "x"}, r"rir\.seed"),
    ],
)
def test_bad_settings_are_named(tmp_path, settings, named):
    root = folder(tmp_path, r=room())
    with pytest.raises(UserError, match=named) as raised:
        Reverberation(**{"kind": "folder", "probability": 0.5, "root": root} | settings)
    assert "\n" not in str(raised.value)


def test_a_useless_recording_is_named(tmp_path):
    folder(tmp_path, good=room(), bad=np.zeros(500, np.float32))
    with pytest.raises(UserError, match=r"bad\.wav is silent"):
        Reverberation("folder", 0.5, tmp_path).fingerprint()


def test_configurations_build(tmp_path):
    assert Reverberation(**OmegaConf.load(PROJECT / "conf/rir/none.yaml")).kind == "none"
    options = OmegaConf.to_container(OmegaConf.load(PROJECT / "conf/rir/folder.yaml"))
    rooms = Reverberation(**options | {"root": folder(tmp_path, r=room()), "probability": 1})
    assert rooms(speech(), utterance="u", **TRAIN).shape == (5_000,)
