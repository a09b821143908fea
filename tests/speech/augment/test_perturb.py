import shutil

import numpy as np
import pytest
from omegaconf import OmegaConf

from lth.errors import UserError
from lth.speech.augment import perturb
from lth.speech.augment.perturb import Perturbation
from tests.configs import PROJECT

RATE = 16_000
needs_sox = pytest.mark.skipif(shutil.which("sox") is None, reason="the sox program is not installed")


def tone(seconds: float = 1.0, frequency: float = 440.0, peak: float = 0.3) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def pitch(samples: np.ndarray) -> float:
    """Hertz of the loudest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * RATE / len(samples)


def call(perturbation, samples, utterance="u", split="train", epoch=0, seed=0):
    return perturbation(samples, split=split, utterance=utterance, epoch=epoch, seed=seed)


@pytest.mark.parametrize("factor", [0.9, 1.1, 1.5])
def test_speed_changes_length_and_pitch(factor):
    fast = call(Perturbation(speed=[factor]), tone())
    assert fast.dtype == np.float32 and len(fast) == pytest.approx(RATE / factor, abs=1)
    assert pitch(fast) == pytest.approx(440 * factor, abs=2)
    inner = slice(500, -500)
    np.testing.assert_allclose(fast[inner], tone(1 / factor + 0.1, 440 * factor)[: len(fast)][inner], atol=3e-3)


@needs_sox
@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_tempo_changes_length_and_not_pitch(factor):
    loud = tone(peak=1.6)  # beyond what sox holds
    fast = call(Perturbation(tempo=[factor, factor]), loud)
    assert fast.dtype == np.float32 and len(fast) == round(RATE / factor)
    assert pitch(fast) == pytest.approx(440, abs=3) and np.abs(fast).max() == pytest.approx(1.6, abs=0.05)


def test_gain_is_uniform_in_decibels():
    perturbation = Perturbation(gain=[-6, 8])
    ratios = [call(perturbation, np.ones(3, np.float32), f"u{n}") for n in range(500)]
    drawn = 20 * np.log10([ratio[0] for ratio in ratios])
    assert drawn.min() > -6.01 and drawn.max() < 8.01
    assert np.mean(drawn) == pytest.approx(1, abs=4 * 14 / np.sqrt(12 * 500))


def test_every_speed_is_as_likely_as_the_next_and_one_changes_nothing():
    perturbation, clean = Perturbation(speed=[0.9, 1.0, 1.1]), tone(0.1)
    lengths = [len(call(perturbation, clean, f"u{n}")) for n in range(300)]
    values, counts = np.unique(lengths, return_counts=True)
    np.testing.assert_allclose(values, [1600 / 1.1, 1600, 1600 / 0.9], atol=1)
    assert counts.min() > 65  # 100 expected, deviation 8
    assert call(Perturbation(speed=[1.0]), clean) is clean


@needs_sox
def test_a_function_of_seed_epoch_and_utterance():
    make, clean = lambda: Perturbation([0.9, 1.1], [0.9, 1.1], [-3, 3]), tone(0.1)
    keys = [(f"u{i}", "train", epoch, seed) for i in range(3) for epoch in (0, 1) for seed in (0, 1)]
    one, other = make(), make()
    forwards = {key: call(one, clean, *key).tobytes() for key in keys}
    assert forwards == {key: call(other, clean, *key).tobytes() for key in reversed(keys)}
    assert len(set(forwards.values())) == len(keys)
    assert call(one, clean, split="dev") is call(one, clean, split="test-other") is clean
    np.testing.assert_array_equal(clean, tone(0.1))


@needs_sox
def test_no_utterance_is_shorter_or_longer_than_is_said():
    perturbation = Perturbation([0.8, 1.3], [0.7, 1.4])
    for n, samples in enumerate([1, 2, 7, 160, 1_001, 5_003] * 8):
        made = len(call(perturbation, tone(0.5)[:samples], f"u{n}"))
        assert perturbation.shortest(samples) <= made <= samples / perturbation.slowest + 2
    assert perturbation.fastest == pytest.approx(1.82) and perturbation.slowest == pytest.approx(0.56)
    fixed = Perturbation(speed=[1.3], tempo=[1.4, 1.4])
    assert 0 <= len(call(fixed, tone(0.5))) - fixed.shortest(8_000) <= 3
    assert Perturbation(gain=[0, 1]).shortest(123) == 123 and Perturbation(speed=[0.9]).fastest == 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"speed": 1.1}, r"augment\.speed=1\.1 .*\[0\.9,1\.0,1\.1\]"),
        ({"speed": []}, r"augment\.speed=\[\] "),
        ({"speed": [0]}, r"augment\.speed is a number from 0\.25 to 4, not 0"),
        ({"speed": [1, "fast"]}, r"augment\.speed is a number"),
        ({"tempo": [1.1]}, r"augment\.tempo=\[1\.1\] .*lowest and the highest"),
        ({"tempo": [1.1, 0.9]}, r"augment\.tempo=\[1\.1, 0\.9\] .*lowest and the highest"),
        ({"gain": [-6, 90]}, r"augment\.gain is a number from -60 to 60, not 90"),
        ({"gain": "loud"}, r"augment\.gain=loud"),
    ],
)
def test_bad_settings_are_named(settings, named):
    with pytest.raises(UserError, match=named) as raised:
        Perturbation(**settings)
    assert "\n" not in str(raised.value)


def test_a_missing_or_broken_sox_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    Perturbation(speed=[0.9, 1.1], gain=[-3, 3])
    with pytest.raises(UserError, match=r"^augment\.tempo needs the sox program, which is not installed"):
        Perturbation(tempo=[0.9, 1.1])
    (tmp_path / "sox").write_text("#!/bin/sh\necho 'sox FAIL tempo: no' >&2\nexit 2\n")
    (tmp_path / "sox").chmod(0o755)
    with pytest.raises(UserError, match=r"utterance u: sox cannot change its tempo \(sox FAIL tempo: no\)"):
        call(Perturbation(tempo=[0.9, 1.1]), tone(0.1))
    monkeypatch.setattr(perturb, "SOX", str(tmp_path / "none"))
    with pytest.raises(UserError, match="the sox program cannot be run"):
        perturb.change_tempo(tone(0.1), 1.1, "u")


@pytest.mark.parametrize("name", ["none", "reference", "specaugment"])
def test_configurations_have_all_of_it_off(name):
    options = OmegaConf.load(PROJECT / f"conf/augment/{name}.yaml")
    assert {key: options[key] for key in options if key != "spec"} == {"speed": None, "tempo": None, "gain": None}
