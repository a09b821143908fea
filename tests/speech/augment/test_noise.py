import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import OmegaConf

from lth.errors import UserError
from lth.speech.augment import noise as module
from lth.speech.augment.noise import COLOURS, RATE, NoiseInjection, Recordings, coloured, cover, uniforms

CONF = Path(__file__).resolve().parents[3] / "conf" / "noise"
TRAIN = {"split": "train", "epoch": 0, "seed": 0}


def tone(seconds: float = 2.0, frequency: float = 440.0, peak: float = 0.3) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def snr_of(clean: np.ndarray, noisy: np.ndarray) -> float:
    clean, difference = clean.astype(np.float64), noisy.astype(np.float64) - clean
    return 10 * math.log10(np.mean(clean**2) / np.mean(difference**2))


def folder(path: Path, **clips: np.ndarray) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, clip in clips.items():
        # AU, since a WAV of floats holds the second in which it was written
        soundfile.write(path / f"{name}.wav", clip, RATE, subtype="FLOAT", format="AU")
    return path


@pytest.mark.parametrize("snr", [-7.0, 0.0, 12.5])
@pytest.mark.parametrize("seconds", [0.05, 2.0, 40.0])
def test_snr_is_met(snr, seconds):
    clean, noise = tone(seconds), NoiseInjection("snr", 1.0, snr, snr)
    for utterance in "abc":
        noisy = noise(clean, utterance=utterance, **TRAIN)
        assert noisy.dtype == np.float32 and noisy.shape == clean.shape
        assert snr_of(clean, noisy) == pytest.approx(snr, abs=0.01)


def test_snr_is_met_with_real_recordings(noise_root):
    noise, clean = NoiseInjection("snr", 1.0, 5.0, 5.0, root=noise_root), tone(11.0)
    for i in range(40):
        assert snr_of(clean, noise(clean, utterance=f"u{i}", **TRAIN)) == pytest.approx(5.0, abs=0.01)


def test_snr_is_uniform_between_its_bounds():
    clean, noise = tone(0.5), NoiseInjection("snr", 1.0, -5.0, 15.0)
    drawn = [snr_of(clean, noise(clean, utterance=f"u{i}", **TRAIN)) for i in range(600)]
    assert min(drawn) > -5.01 and max(drawn) < 15.01
    # Mean and deviation of U(-5, 15) are 5 and 20 / sqrt(12); four standard errors of 600 draws.
    assert np.mean(drawn) == pytest.approx(5.0, abs=4 * 20 / math.sqrt(12 * 600))
    assert np.std(drawn) == pytest.approx(20 / math.sqrt(12), abs=0.5)


def test_level_by_hand(tmp_path):
    clip = np.array([0.5, -0.25, 1.0], np.float32)
    noise = NoiseInjection("level", 1.0, 0.5, 0.5, root=folder(tmp_path / "n", clip=clip))
    clean = np.array([0.1, 0.1, -0.2, 0.0, 0.3], np.float32)
    by_hand = [clean + 0.5 * np.array([clip[(i + s) % 3] for s in range(5)]) for i in range(3)]
    seen = set()
    for i in range(30):
        noisy = noise(clean, utterance=f"u{i}", **TRAIN)
        seen.add(next(k for k in range(3) if np.allclose(noisy, by_hand[k], atol=1e-7)))
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("level", [0.1, 0.5, 2.0])
def test_relative_by_the_formula_of_deepspeech_pytorch(tmp_path, level):
    """SeanNaren/deepspeech.pytorch 00989e6, deepspeech_pytorch/loader/data_loader.py lines 74 to 76, in doubles."""
    clean = tone(0.5) * np.linspace(0.1, 1, RATE // 2, dtype=np.float32)
    clip = np.random.default_rng(0).normal(0, 0.01, len(clean)).astype(np.float32)
    noisy = NoiseInjection("relative", 1.0, level, level, root=folder(tmp_path / "n", clip=clip))(
        clean, utterance="u", **TRAIN
    )
    data, noise = clean.astype(np.float64), clip.astype(np.float64)
    noise_energy = np.sqrt(noise.dot(noise) / noise.size)
    data_energy = np.sqrt(data.dot(data) / data.size)
    np.testing.assert_allclose(noisy, data + level * noise * data_energy / noise_energy, atol=1e-6)
    assert noisy.dtype == np.float32
    assert snr_of(clean, noisy) == pytest.approx(20 * math.log10(1 / level), abs=0.01)


def test_relative_is_as_strong_for_a_quiet_speaker_as_for_a_loud_one():
    noise, clean = NoiseInjection("relative", 1.0, 0.2, 0.4), tone()
    quiet, loud = (snr_of(gain * clean, noise(gain * clean, utterance="u", **TRAIN)) for gain in (0.01, 1.0))
    assert quiet == pytest.approx(loud, abs=0.01)


def test_level_does_not_depend_on_the_speech():
    noise, clean = NoiseInjection("level", 1.0, 0.2, 0.4), tone()
    quiet, loud = (noise(gain * clean, utterance="u", **TRAIN) - gain * clean for gain in (0.01, 1.0))
    np.testing.assert_allclose(quiet, loud, atol=1e-6)
    # Noise of peak 1 has an RMS between 0.17 and 0.22: from 0.2 times the one to 0.4 times the other.
    assert 0.2 * 0.16 < np.sqrt(np.mean(quiet**2)) < 0.4 * 0.24


def test_a_short_clip_covers_all_of_the_utterance(tmp_path):
    clip = np.linspace(0.1, 0.9, 1000, dtype=np.float32)  # never zero, every sample different
    noise = NoiseInjection("level", 1.0, 1.0, 1.0, root=folder(tmp_path / "n", clip=clip))
    added = noise(np.zeros(5300, np.float32), utterance="u", **TRAIN)
    assert (added != 0).all()
    start = int(np.flatnonzero(clip == added[0])[0])
    assert start > 0
    np.testing.assert_array_equal(added, np.tile(clip, 7)[start : start + 5300])


def test_cover_reaches_both_ends_of_a_long_clip():
    clip = np.arange(10, dtype=np.float32)
    assert cover(clip, 4, 0.0).tolist() == [0, 1, 2, 3]
    assert cover(clip, 4, 1 - 2**-53).tolist() == [6, 7, 8, 9]
    assert cover(clip, 10, 0.99).tolist() == clip.tolist()
    assert cover(clip, 12, 0.99).tolist() == [9, *range(10), 0]


def test_silence_makes_no_nan(tmp_path):
    silent, clean = np.zeros(RATE, np.float32), tone(1.0)
    for utterance in (silent, np.full(RATE, 1e-30, np.float32)):
        noisy = NoiseInjection("snr", 1.0, -100, -100)(utterance, utterance="u", **TRAIN)
        np.testing.assert_array_equal(noisy, utterance)
        noisy = NoiseInjection("relative", 1.0, 0.5, 0.5)(utterance, utterance="u", **TRAIN)
        np.testing.assert_array_equal(noisy, utterance)
    root = folder(tmp_path / "n", silent=silent)
    for kind in ("snr", "relative", "level"):
        noisy = NoiseInjection(kind, 1.0, 0, 0.5, root=root)(clean, utterance="u", **TRAIN)
        np.testing.assert_array_equal(noisy, clean)
    noisy = NoiseInjection("level", 1.0, 0.5, 0.5)(silent, utterance="u", **TRAIN)
    assert np.isfinite(noisy).all() and noisy.any()
    assert len(NoiseInjection("snr", 1.0, 0, 0)(silent[:0], utterance="u", **TRAIN)) == 0


def test_training_noise_is_a_function_of_seed_epoch_and_utterance():
    make = lambda: NoiseInjection("snr", 0.8, 0, 10)  # noqa: E731
    clean = tone(0.3)
    keys = [(f"u{i}", epoch, seed) for i in range(6) for epoch in (0, 1) for seed in (0, 1)]
    run = lambda noise, u, e, s: noise(clean, split="train", utterance=u, epoch=e, seed=s).tobytes()  # noqa: E731
    one, other = make(), make()
    forwards = {key: run(one, *key) for key in keys}
    backwards = {key: run(other, *key) for key in reversed(keys)}
    assert forwards == backwards
    noisy = [value for value in forwards.values() if value != clean.tobytes()]
    assert len(set(noisy)) == len(noisy) > len(keys) / 2  # each draw differs from every other


def test_dev_and_test_noise_is_fixed_and_only_on_request():
    clean = tone(0.3)
    call = lambda noise, split, epoch=0, seed=0: noise(  # noqa: E731
        clean, split=split, utterance="u", epoch=epoch, seed=seed
    ).tobytes()
    train_only = NoiseInjection("snr", 1.0, 0, 10)
    assert call(train_only, "dev") == call(train_only, "test") == clean.tobytes() != call(train_only, "train")
    test_only = NoiseInjection("snr", 1.0, 0, 10, apply_to=["test"])
    assert call(test_only, "dev") == call(test_only, "train") == clean.tobytes()
    assert call(test_only, "test", 3, 7) == call(test_only, "test-other", 0, 0) != clean.tobytes()
    assert call(NoiseInjection("snr", 1.0, 0, 10, seed=1, apply_to=["test"]), "test") != call(test_only, "test")


def test_probability():
    clean, noise = tone(0.01), NoiseInjection("level", 0.4, 0.1, 0.5)
    noised = sum(noise(clean, utterance=f"u{i}", **TRAIN) is not clean for i in range(2000))
    assert noised / 2000 == pytest.approx(0.4, abs=4 * math.sqrt(0.4 * 0.6 / 2000))
    assert NoiseInjection("level", 0, 0, 1)(clean, utterance="u", **TRAIN) is clean
    assert NoiseInjection("none", 1.0, 0, 1)(clean, utterance="u", **TRAIN) is clean


def test_the_input_is_left_alone():
    clean = tone(0.3)
    for kind in ("level", "snr"):
        NoiseInjection(kind, 1.0, 1.0, 1.0)(clean, utterance="u", **TRAIN)
    np.testing.assert_array_equal(clean, tone(0.3))


def test_uniforms_are_uniform_and_independent():
    drawn = np.stack([uniforms(0, "train", 0, f"u{i}") for i in range(4000)])
    assert drawn.min() >= 0 and drawn.max() < 1
    np.testing.assert_allclose(drawn.mean(0), 0.5, atol=4 / math.sqrt(12 * 4000))
    correlation = np.corrcoef(drawn, rowvar=False) - np.eye(4)
    assert np.abs(correlation).max() < 4.5 / math.sqrt(4000)
    assert not np.array_equal(uniforms(1, "2u"), uniforms(12, "u"))


@pytest.mark.parametrize(("colour", "exponent"), COLOURS.items())
def test_spectral_slope(colour, exponent):
    clip = coloured(colour).astype(np.float64)
    assert np.abs(clip).max() == 1.0
    assert clip.mean() == pytest.approx(0, abs=1e-4)
    # Welch's estimate, averaged within bands of equal width in log frequency so that each counts the same.
    frames = np.lib.stride_tricks.sliding_window_view(clip, 8192)[::4096] * np.hanning(8192)
    density = (np.abs(np.fft.rfft(frames)) ** 2).mean(0)
    frequency = np.fft.rfftfreq(8192, 1 / RATE)
    heard = (frequency > 100) & (frequency < 7000)
    bands = np.digitize(np.log(frequency[heard]), np.linspace(math.log(100), math.log(7000), 30))
    points = [
        (np.log(frequency[heard][bands == b]).mean(), np.log(density[heard][bands == b]).mean())
        for b in np.unique(bands)
    ]
    slope = np.polyfit(*np.array(points).T, 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.05)


def test_generated_noise_does_not_depend_on_the_last_bits_of_the_fft(monkeypatch):
    usual = {colour: coloured(colour) for colour in COLOURS}
    error = np.random.default_rng(0)

    def other(spectrum, samples):
        signal = torch.fft.irfft(torch.from_numpy(spectrum), samples).numpy()
        return signal + 1e-12 * np.abs(signal).max() * error.uniform(-1, 1, samples)

    monkeypatch.setattr(module.np.fft, "irfft", other)
    for colour, clip in usual.items():
        np.testing.assert_array_equal(coloured.__wrapped__(colour), clip)


def test_all_colours_and_recordings_are_drawn(tmp_path):
    constants = {f"c{i}": np.full(50, i / 10, np.float32) for i in range(1, 6)}
    noise = NoiseInjection("level", 1.0, 1.0, 1.0, root=folder(tmp_path / "n", **constants))
    drawn = [float(noise(np.zeros(9, np.float32), utterance=f"u{i}", **TRAIN)[4]) for i in range(500)]
    values, counts = np.unique(np.round(drawn, 4), return_counts=True)
    np.testing.assert_allclose(values, [0.1, 0.2, 0.3, 0.4, 0.5], atol=1e-6)
    assert counts.min() > 60  # 100 expected, deviation 9
    assert len(NoiseInjection("level", 1.0, 0, 1).clips) == 3


def test_stereo_at_another_rate_is_averaged_and_resampled(tmp_path):
    time = np.arange(44_100) / 44_100
    left, right = 0.6 * np.sin(2 * np.pi * 500 * time), 0.2 * np.sin(2 * np.pi * 500 * time)
    (tmp_path / "a" / "b").mkdir(parents=True)
    soundfile.write(tmp_path / "a" / "b" / "s.FLAC", np.stack([left, right], 1), 44_100, format="FLAC")
    (clip,) = Recordings(tmp_path)
    assert len(clip) == RATE and clip.dtype == np.float32
    inner = slice(500, -500)  # away from the resampler's edges
    np.testing.assert_allclose(clip[inner], tone(1.0, 500, 0.4)[inner], atol=2e-3)


def test_names_of_recordings_do_not_matter(tmp_path):
    tones = [tone(1.0, frequency) for frequency in (300, 500, 700, 900)]
    one = folder(tmp_path / "one", **dict(zip("abcd", tones, strict=True)))
    two = folder(tmp_path / "two", **dict(zip("dbac", tones, strict=True)))
    noises = [NoiseInjection("level", 1.0, 0, 1, root=root) for root in (one, two)]
    assert noises[0].fingerprint() == noises[1].fingerprint()
    for i in range(20):
        results = [noise(tone(0.1), utterance=f"u{i}", **TRAIN) for noise in noises]
        np.testing.assert_array_equal(*results)


def test_real_recordings_do_not_depend_on_names_or_memory(noise_root, tmp_path):
    files = sorted(noise_root.rglob("*.flac"))[:6]
    for i, path in enumerate(reversed(files)):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "b" / f"{i}").mkdir(parents=True)
        shutil.copy(path, tmp_path / "a" / path.name)
        shutil.copy(path, tmp_path / "b" / f"{i}" / f"noise{i}.flac")
    (tmp_path / "b" / "README.txt").write_text("not audio")
    one, two = (NoiseInjection("snr", 1.0, 0, 9, root=tmp_path / name) for name in "ab")
    two.__dict__["clips"] = Recordings(tmp_path / "b", memory=1_500_000)
    assert one.fingerprint() == two.fingerprint()
    held = [clip is not None for clip in two.clips.clips]
    assert any(held) and not all(held)
    for i in range(20):
        results = [noise(tone(), utterance=f"u{i}", **TRAIN) for noise in (one, two)]
        np.testing.assert_array_equal(*results)


def test_fingerprint_names_what_matters(tmp_path):
    clip = tone(0.1)
    root, louder = folder(tmp_path / "a", x=clip), folder(tmp_path / "b", x=1.1 * clip)
    dev = ("train", "dev")
    variants = [
        ("level", 0.4, 0, 0.5),
        ("snr", 0.4, 0, 0.5),
        ("level", 0.5, 0, 0.5),
        ("level", 0.4, 0.1, 0.5),
        ("level", 0.4, 0, 0.6),
        ("level", 0.4, 0, 0.5, root),
        ("level", 0.4, 0, 0.5, louder),
        ("level", 0.4, 0, 0.5, None, 0, dev),
        ("level", 0.4, 0, 0.5, None, 1, dev),
    ]
    assert len({NoiseInjection(*variant).fingerprint() for variant in variants}) == len(variants)
    same = NoiseInjection("level", 0.4, 0.0, 0.5, None, 7, ["train"]).fingerprint()  # its seed plays no part
    assert same == NoiseInjection(*variants[0]).fingerprint()
    assert NoiseInjection("none", 0.4, 0, 0.5).fingerprint() is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"kind": "loud"}, "noise.kind"),
        ({"probability": 1.01}, "noise.probability"),
        ({"probability": -0.1}, "noise.probability"),
        ({"probability": None}, "noise.probability"),
        ({"probability": float("nan")}, "noise.probability"),
        ({"min": 0.6}, "noise.min"),
        ({"min": -0.1}, "noise.min"),
        ({"kind": "snr", "max": float("inf")}, "noise.max"),
        ({"seed": "x"}, "noise.seed"),
        ({"apply_to": ["train", "tset"]}, "tset"),
        ({"root": "/no/such/folder"}, "/no/such/folder"),
        ({"part": "dev"}, "noise.part"),
        ({"folders": ["noise"]}, "noise.root=FOLDER"),
    ],
)
def test_bad_settings_are_named(settings, named):
    with pytest.raises(UserError, match=named) as raised:
        NoiseInjection(**{"kind": "level", "probability": 0.4, "min": 0.0, "max": 0.5} | settings)
    assert "\n" not in str(raised.value)


def test_a_folder_without_audio_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("none here")
    (tmp_path / "._x.wav").write_bytes(b"a resource fork")
    with pytest.raises(UserError, match=str(tmp_path)):
        NoiseInjection("level", 0.4, 0, 0.5, root=tmp_path)
    with pytest.raises(UserError, match=r"notes\.txt"):
        NoiseInjection("level", 0.4, 0, 0.5, root=tmp_path / "notes.txt")


@pytest.mark.parametrize("fault", ["text", "nothing", "cut", "empty", "one sample", "nan"])
def test_a_useless_recording_is_named(tmp_path, fault):
    folder(tmp_path, good=tone(0.1))
    bad = tmp_path / "bad.flac" if fault == "cut" else tmp_path / "bad.wav"
    if fault == "text":
        bad.write_text("this is not audio")
    elif fault == "nothing":
        bad.write_bytes(b"")
    elif fault == "cut":
        # Noise does not compress, so that well over 30 000 bytes are written.
        soundfile.write(bad, np.random.default_rng(0).uniform(-1, 1, 50_000), RATE)
        bad.write_bytes(bad.read_bytes()[:30_000])
    elif fault == "nan":
        soundfile.write(bad, np.full(9, np.nan, np.float32), RATE, subtype="FLOAT")
    else:
        soundfile.write(bad, np.zeros(int(fault == "one sample")), 44_100)
    noise = NoiseInjection("snr", 1.0, 0, 10, root=tmp_path)
    with pytest.raises(UserError, match=bad.name) as raised:
        noise.fingerprint()
    assert "\n" not in str(raised.value)


def test_musan_by_its_folders(tmp_path):
    sources = {"music/rfm": 0.1, "noise/free-sound": 0.2, "noise/sound-bible": 0.3, "speech/librivox": 0.4}
    for name, value in sources.items():
        folder(tmp_path / "musan" / name, clip=np.full(800, value, np.float32))
        (tmp_path / "musan" / name / "LICENSE").write_text("free")
    options = OmegaConf.to_container(OmegaConf.load(CONF / "musan.yaml")) | {"probability": 1}
    with pytest.raises(UserError, match=r"noise\.root=FOLDER"):
        NoiseInjection(**options)

    def values(**more) -> list[float]:
        noise = NoiseInjection(**options | {"root": tmp_path / "musan"} | more)
        assert snr_of(tone(), noise(tone(), utterance="u", **TRAIN)) >= 5 - 0.01
        return sorted(round(float(clip[0]), 4) for clip in noise.clips)

    assert values() == [0.1, 0.2, 0.3]
    assert values(folders=["speech"]) == values(folders="speech") == [0.4]
    assert values(folders=None) == values(folders=["music", "noise", "speech"]) == [0.1, 0.2, 0.3, 0.4]
    with pytest.raises(UserError, match=r"has no folder babble"):
        values(folders=["noise", "babble"])


@pytest.mark.parametrize("name", ["none", "level", "snr"])
def test_configurations_build(name):
    noise = NoiseInjection(**OmegaConf.load(CONF / f"{name}.yaml"))
    assert noise.kind == name
    noisy = noise(tone(0.1), utterance="u", **TRAIN)
    assert noisy.shape == (1600,) and noisy.dtype == np.float32


def test_parts_have_no_recording_in_common_and_copies_stay_together(tmp_path):
    clips = {f"c{i}": np.full(800, i / 10, np.float32) for i in range(1, 8)}
    root = folder(tmp_path / "n", **clips, copy=clips["c3"], again=clips["c3"])
    values = {p: sorted(round(float(c[0]), 4) for c in Recordings(root, part=p)) for p in ("all", "train", "test")}
    assert sorted(values["train"] + values["test"]) == values["all"] and len(values["all"]) == 9
    assert not set(values["train"]) & set(values["test"]) and len(set(values["test"])) == 3
    prints = [NoiseInjection("level", 1.0, 0, 1, root=root, part=p).fingerprint() for p in ("all", "train", "test")]
    assert len(set(prints)) == 3
    with pytest.raises(UserError, match=r"noise\.part=test cannot split the one recording"):
        len(Recordings(folder(tmp_path / "one", a=clips["c1"], b=clips["c1"]), part="test"))


def test_generated_noise_for_tests_is_another_than_that_of_training():
    make = lambda part: NoiseInjection("level", 1.0, 0, 1, part=part)  # noqa: E731
    assert make("train").fingerprint() == make("all").fingerprint() != make("test").fingerprint()
    for colour, clip in zip(COLOURS, make("test").clips, strict=True):
        usual = coloured(colour).astype(np.float64)
        assert np.abs(clip).max() == 1.0 and usual.std() == pytest.approx(clip.std(), rel=0.15)
        spectra = np.fft.rfft(clip.astype(np.float64)), np.fft.rfft(usual)
        lags = np.fft.irfft(spectra[0] * spectra[1].conj()) / len(clip) / clip.std() / usual.std()
        assert np.abs(lags).max() < (0.05 if colour == "white" else 0.5)  # nowhere the same stretch
    np.testing.assert_array_equal(make("train").clips, make("all").clips)


def test_one_strength_for_dev_and_test():
    noise = NoiseInjection("level", 0.3, 0, 1, part="test")
    clean, drawn = tone(0.5), {"utterance": "u", "epoch": 0, "seed": 0}
    quiet, loud, mixed = (
        noise.at(*one)(clean, split="test", **drawn) for one in (("level", 0.1), ("level", 0.4), ("snr", 3))
    )
    np.testing.assert_allclose(4 * (quiet - clean), loud - clean, atol=1e-6)
    assert snr_of(clean, mixed) == pytest.approx(3, abs=0.01)
    assert noise.at("snr", 3)(clean, split="train", **drawn) is clean
    assert noise.at("level", 0.1).clips is noise.clips
