import json
import os
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lth.errors import UserError
from lth.speech.corpora import synthetic, voice
from lth.speech.corpora.corpus import load_audio

SMALL = {"train": 48, "dev": 8, "test": 12}
ROOT = Path(synthetic.__file__).parents[3]


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The corpus that everyone gets."""
    return synthetic.load(tmp_path_factory.mktemp("synthetic"))


def test_the_corpus_is_the_committed_one(whole):
    assert whole.fingerprint == synthetic.CHECKSUM
    assert {split: len(cuts) for split, cuts in whole.splits().items()} == synthetic.SIZES


def test_nobody_is_in_two_splits(whole):
    speakers = {s: {cut.supervisions[0].speaker for cut in cuts} for s, cuts in whole.splits().items()}
    assert {split: len(names) for split, names in speakers.items()} == {"train": 24, "dev": 4, "test": 6}
    assert len(set.union(*speakers.values())) == 34


def test_it_says_digits_and_commands(whole):
    digit = "(ZERO|OH|ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE)"
    digits = re.compile(f"{digit}( {digit}){{0,6}}")
    command = re.compile(
        "TURN (ON|OFF) THE (LIGHT|RADIO|HEATER)|(OPEN|CLOSE) THE (DOOR|WINDOW)|(PLAY|STOP) THE (MUSIC|RADIO)"
        f"|SET (TIMER|ALARM) {digit}|CALL {digit} {digit} {digit}"
    )
    for cuts in whole.splits().values():
        texts = [cut.supervisions[0].text for cut in cuts]
        said = [bool(digits.fullmatch(text)) for text in texts]
        assert all(is_digits or command.fullmatch(text) for is_digits, text in zip(said, texts, strict=True))
        assert 0.6 < sum(said) / len(said) < 0.8
    assert {len(t.supervisions[0].text.split()) for t in whole.train} == {1, 2, 3, 4, 5, 6, 7}


def test_it_can_be_heard(whole):
    """Sensible lengths and levels, no clipping, no digital silence."""
    minutes = {split: sum(cut.duration for cut in cuts) / 60 for split, cuts in whole.splits().items()}
    assert 20 < minutes["train"] < 26
    for cut in [*whole.train][:48] + [*whole.tests["test"]][:12]:
        audio = load_audio(cut)
        assert 0.25 < len(audio) / 16_000 < 3
        assert 0.02 < np.sqrt(np.mean(audio**2)) < 0.4
        assert np.mean(np.abs(audio) > 0.9999) < 0.002
        frames = audio[: len(audio) // 160 * 160].reshape(-1, 160)
        assert (np.abs(frames).max(axis=1) > 0).all()


def test_the_same_words_by_another_voice_differ(whole):
    by_text = {}
    for cut in whole.train:
        by_text.setdefault(cut.supervisions[0].text, []).append(cut)
    one, other = by_text["OPEN THE DOOR"][:2]
    assert one.supervisions[0].speaker != other.supervisions[0].speaker
    assert not np.array_equal(load_audio(one)[:4000], load_audio(other)[:4000])


PROGRAM = "import sys, json; from lth.speech.corpora import synthetic; "
PROGRAM += "print(synthetic.load(sys.argv[1], json.loads(sys.argv[2]), 5).fingerprint)"


def _start(cache: Path, **environment) -> subprocess.Popen:
    command = [sys.executable, "-c", PROGRAM, str(cache), json.dumps(SMALL)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True)


def _answer(process: subprocess.Popen) -> str:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out.strip()


def test_every_processor_makes_the_same_bytes(tmp_path):
    """As far as one machine can be another: fewer threads, older instruction sets in BLAS, NumPy and libm."""
    here = _start(tmp_path / "a")
    old = _start(
        tmp_path / "b",
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        OPENBLAS_CORETYPE="Nehalem",
        GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA,-FMA4",
        ATEN_CPU_CAPABILITY="default",
        PYTHONHASHSEED="7",
        LC_ALL="C",
        TZ="Asia/Tokyo",
    )
    assert _answer(here) == _answer(old)
    for file in (tmp_path / "a").rglob("*.*"):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()


def test_processes_that_ask_at_the_same_time_all_get_it(tmp_path):
    answers = [_answer(process) for process in [_start(tmp_path) for _ in range(2)]]
    assert len(set(answers)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["v1-48-8-12-seed5"]


def test_it_is_made_once(tmp_path, monkeypatch):
    first = synthetic.load(tmp_path, SMALL)
    monkeypatch.setattr(synthetic, "make", lambda *_: pytest.fail("made again"))
    assert synthetic.load(tmp_path, SMALL).fingerprint == first.fingerprint


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "sums"])
def test_a_damaged_cache_is_made_again(tmp_path, damage):
    before = synthetic.load(tmp_path, SMALL)
    (folder,) = tmp_path.iterdir()
    file = folder / "SHA256SUMS" if damage == "sums" else next(folder.glob("dev/*.wav"))
    content = bytearray(file.read_bytes())
    if damage == "remove":
        file.unlink()
    elif damage == "flip":
        content[1000] ^= 1
        file.write_bytes(content)
    else:
        file.write_bytes(content[: len(content) // 2 + 3])
    after = synthetic.load(tmp_path, SMALL)
    assert after.fingerprint == before.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert synthetic._intact(folder, None)


def test_a_cache_from_another_version_is_made_again(tmp_path, monkeypatch):
    older = synthetic.load(tmp_path, {**SMALL, "train": 47}).fingerprint
    right = synthetic.load(tmp_path, SMALL).fingerprint
    monkeypatch.setattr(synthetic, "SIZES", SMALL)
    monkeypatch.setattr(synthetic, "CHECKSUM", right)
    shutil.rmtree(tmp_path / "v1-48-8-12-seed0")
    (tmp_path / "v1-47-8-12-seed0").rename(tmp_path / "v1-48-8-12-seed0")  # intact, but not this corpus
    assert synthetic.load(tmp_path, SMALL).fingerprint == right != older


def test_another_seed_says_other_things_and_dev_does_not_depend_on_train(tmp_path):
    one, two = synthetic.load(tmp_path, SMALL, seed=1), synthetic.load(tmp_path, SMALL, seed=2)
    assert [c.supervisions[0].text for c in one.train] != [c.supervisions[0].text for c in two.train]
    more = synthetic.load(tmp_path, {**SMALL, "train": 60}, seed=1)
    for cut, same in zip(one.dev, more.dev, strict=True):
        np.testing.assert_array_equal(load_audio(cut), load_audio(same))


def test_a_machine_that_speaks_differently_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "SIZES", SMALL)
    monkeypatch.setattr(synthetic, "CHECKSUM", "0" * 64)
    with pytest.raises(UserError, match=r"speaks differently on this machine .* espeakng-loader"):
        synthetic.load(tmp_path, SMALL)
    assert not list(tmp_path.iterdir())


def test_bad_requests_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"espeak-ng has no voice xx-none"):
        voice.speak([{"voice": "xx-none", "pitch": 50, "rate": 175, "text": "one"}])
    with pytest.raises(UserError, match=r"corpus\.sizes must be at least 1"):
        synthetic.load(tmp_path, {**SMALL, "dev": 0})


def test_resampling_is_exact_integer_arithmetic():
    """Against the definition in Python's unbounded integers, sample by sample."""
    samples = np.random.default_rng(0).integers(-32768, 32768, 3000, dtype=np.int16)
    result = voice.resample(samples)
    assert len(result) == -(-3000 * 320 // 441)
    for n in [0, 1, 2, 319, 320, 321, 1000, 1441, len(result) - 2, len(result) - 1]:
        block, j = divmod(n, 320)
        total = 0
        for i in range(len(samples)):
            weight = voice.tap(i - block * 441, j) if abs(Fraction(i) - Fraction(n * 441, 320)) < 24 else 0.0
            total += int(samples[i]) * round(weight * (1 << 15))
        assert result[n] == max(-32768, min(32767, (total + (1 << 14)) >> 15)), n


def test_no_last_bit_of_a_sine_can_change_the_filter():
    """No coefficient is so near to a tie that another libm would round it to the other side."""
    for j in range(voice.UP):
        for i in range(-30, 500):
            scaled = voice.tap(i, j) * voice.SCALE
            assert abs(abs(scaled - np.floor(scaled)) - 0.5) > 1e-7


@pytest.mark.parametrize(("frequency", "gain"), [(100, 1.0), (1_000, 1.0), (5_000, 1.0), (9_000, 0.0), (10_500, 0.0)])
def test_resampling_keeps_what_16_khz_can_hold(frequency, gain):
    tone = np.rint(10_000 * np.sin(2 * np.pi * frequency * np.arange(22_050) / 22_050)).astype(np.int16)
    expected = gain * 10_000 * np.sin(2 * np.pi * frequency * np.arange(16_000) / 16_000)
    error = (voice.resample(tone) - expected)[100:-100]
    assert np.sqrt(np.mean(error**2)) < 10_000 * 0.003


def test_the_room_is_quiet_and_symmetric():
    noise = synthetic.room_noise(100_000, 3)
    assert (noise.min(), noise.max()) == (-16, 15)
    assert abs(noise.mean() + 0.5) < 0.1  # >> rounds down
    assert not np.array_equal(noise, synthetic.room_noise(100_000, 4))


def test_files_are_16_bit_mono(whole):
    info = soundfile.info(next(iter(whole.train)).recording.sources[0].source)
    assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
