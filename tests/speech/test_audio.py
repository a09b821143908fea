"""The one reader: whatever is heard anywhere is the same, all of it, and nothing that no microphone recorded."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from lth.errors import UserError
from lth.speech import audio
from lth.speech.audio import check_range, decode, hear, probe
from lth.speech.augment.recordings import Recordings
from lth.speech.augment.rir import Reverberation
from lth.speech.batches import AudioMemory
from lth.speech.corpora import manifest
from lth.speech.corpora.corpus import load_audio, utterance

FORMATS = (
    ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_U8"), ("WAV", "ULAW"), ("WAV", "GSM610"), ("WAV", "MS_ADPCM"),
    ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("NIST", "PCM_16"), ("AIFF", "PCM_16"), ("W64", "PCM_16"),
    ("CAF", "ALAC_16"), ("MP3", "MPEG_LAYER_III"), ("AU", "FLOAT"),
)  # fmt: skip


def noise(samples: int, seed: int = 0, peak: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-peak, peak, samples)


def speech_and_silence() -> np.ndarray:
    """Ten seconds: two of noise, six of silence, two of noise."""
    return np.concatenate([noise(32_000), np.zeros(96_000), noise(32_000, 1)])


def by_hand(path: Path) -> np.ndarray:
    """A file as soundfile and soxr read it, rounded to 16 bits."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    samples = soxr.resample(samples.mean(axis=1), rate, 16_000) if rate != 16_000 else samples.mean(axis=1)
    return np.rint(samples * 32768).clip(-32768, 32767) / 32768


def on_16_bits(samples: np.ndarray) -> bool:
    return samples.dtype == np.float32 and bool((samples * 32768 == np.rint(samples * 32768)).all())


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_it_is_what_soundfile_and_soxr_make_of_a_file(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", np.stack([noise(rate + 7), noise(rate + 7, 1)], 1), rate)
    heard = hear(tmp_path / "a.wav")
    np.testing.assert_array_equal(heard, by_hand(tmp_path / "a.wav"))
    assert on_16_bits(heard) and len(heard) == math.floor((rate + 7) * 16_000 / rate + 0.5)


def test_of_8_khz_nothing_is_heard_above_4_khz(tmp_path):
    """The README of the case: by another resampler a hundredth of the energy was there."""
    soundfile.write(tmp_path / "a.wav", noise(16_000), 8_000)
    power = np.abs(np.fft.rfft(hear(tmp_path / "a.wav"))) ** 2
    assert power[np.fft.rfftfreq(32_000, 1 / 16_000) > 4_100].sum() < 1e-4 * power.sum()


def test_everybody_hears_the_same(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(16_000), 8_000)
    alone = hear(tmp_path / "a.wav")
    (cut,) = _one(tmp_path)
    for again in (load_audio(cut), AudioMemory(1)(cut), AudioMemory(0)(cut)):
        np.testing.assert_array_equal(again, alone)
    (noise_clip,), (room,) = Recordings(tmp_path), Reverberation("folder", 1.0, tmp_path).rooms
    np.testing.assert_allclose(noise_clip, alone, atol=1 / 65536)  # these are not rounded
    np.testing.assert_array_equal(room, noise_clip)


@pytest.mark.parametrize(("format", "subtype"), FORMATS)
@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
def test_a_part_is_heard_as_in_the_whole(tmp_path, format, subtype, rate):
    soundfile.write(tmp_path / "a", noise(3 * rate + 17), rate, format=format, subtype=subtype)
    whole = hear(tmp_path / "a")
    assert len(whole) == probe(tmp_path / "a").samples
    for first, count in ((0, 16_000), (20_001, 12_345), (40_000, None)):
        part = hear(tmp_path / "a", first=first, count=count)
        expected = whole[first:][:count]
        assert len(part) == len(expected)
        np.testing.assert_allclose(part, expected, atol=1.01 / 32768)  # a bit of the resampler's floats


def test_one_channel_or_the_mean(tmp_path):
    both = np.stack([noise(3_200), noise(3_200, 1)], 1)
    soundfile.write(tmp_path / "a.wav", both, 16_000)
    exact, _ = soundfile.read(tmp_path / "a.wav")
    for channel in (0, 1):
        np.testing.assert_array_equal(hear(tmp_path / "a.wav", channel=channel), exact[:, channel])
    np.testing.assert_allclose(hear(tmp_path / "a.wav"), exact.mean(axis=1), atol=1 / 65536)
    with pytest.raises(UserError, match=r"^x: .*a\.wav has no channel 2; its 2 are counted from 0"):
        hear(tmp_path / "a.wav", "x: ", channel=2)


def without_first_frame(data: bytes) -> bytes:
    """An MP3 without its first frame, which says how many there are."""
    assert any(word in data[:400] for word in (b"Xing", b"Info"))
    second = next(n for n in range(4, len(data)) if data[n : n + 2] == data[:2])
    return data[second:]


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("tag", [b"", b"ID3\x04\x00\x00\x00\x00\x27\x10" + bytes(0x27 * 128 + 0x10)])
def test_an_mp3_is_heard_to_its_end(tmp_path, mode, tag):
    written = speech_and_silence()
    path, bare = tmp_path / "a.mp3", tmp_path / "bare.mp3"
    soundfile.write(path, written, 16_000, format="MP3", bitrate_mode=mode, compression_level=0.5)
    data = path.read_bytes()
    path.write_bytes(tag + data)
    bare.write_bytes(tag + without_first_frame(data))
    if mode == "VARIABLE" and not tag:
        assert soundfile.info(bare).frames < 50_000  # what libsndfile guesses
    assert probe(path) == (160_000, 16_000, 1) and len(hear(path)) == 160_000
    heard = hear(bare)
    assert probe(bare).frames == len(heard) == 161_280  # whole frames, with what a coder puts before and after
    for samples in (hear(path), heard):
        loud = np.sqrt(np.square(samples[: 16_000 * 10]).reshape(10, -1).mean(axis=1))
        expected = np.sqrt(np.square(written).reshape(10, -1).mean(axis=1))
        loud[2] = 0  # a coder's delay of 0.07 s
        np.testing.assert_allclose(loud, expected, atol=0.03)
    np.testing.assert_array_equal(hear(bare, first=130_000, count=5_000), heard[130_000:135_000])
    assert _one(tmp_path, "bare.mp3")[0].num_samples == 161_280


def test_a_flac_of_unknown_length_is_heard(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise(40_000), 16_000)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    expected = hear(tmp_path / "a.flac")
    data[21] &= 0xF0  # bits 36 to 72 of STREAMINFO's rate, channels, bits and samples: none are stated
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    assert soundfile.info(tmp_path / "a.flac").frames > 2**60
    assert probe(tmp_path / "a.flac") == (40_000, 16_000, 1)
    np.testing.assert_array_equal(hear(tmp_path / "a.flac"), expected)
    np.testing.assert_array_equal(hear(tmp_path / "a.flac", first=30_000, count=900), expected[30_000:30_900])
    np.testing.assert_array_equal(decode(bytes(data), tmp_path / "a.flac"), expected)
    (cut,) = _one(tmp_path, "a.flac")
    assert cut.num_samples == 40_000 and len(load_audio(cut)) == 40_000


@pytest.mark.parametrize("ending", ["flac", "mp3"])
def test_half_a_file_is_named_wherever_it_is_heard(tmp_path, ending):
    soundfile.write(tmp_path / f"a.{ending}", noise(160_000), 16_000)
    data = (tmp_path / f"a.{ending}").read_bytes()
    (tmp_path / f"a.{ending}").write_bytes(data[: len(data) // 2])
    for part in ({}, {"first": 100_000, "count": 1_000}):
        with pytest.raises(UserError, match=rf"^audio: .*a\.{ending} cannot be decoded \(.+\); replace it\.$"):
            hear(tmp_path / f"a.{ending}", "audio: ", **part)
    with pytest.raises(UserError, match=rf"^The recording .*a\.{ending} cannot be decoded"):
        Recordings(tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_samples_that_are_no_numbers_are_named(tmp_path, value):
    samples = noise(16_000)
    samples[100] = value
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    named = r"a\.wav has samples that are not finite"
    for listen in (lambda: hear(tmp_path / "a.wav"), lambda: load_audio(_one(tmp_path)[0]),
                   lambda: Recordings(tmp_path), lambda: Reverberation("folder", 1.0, tmp_path).rooms):  # fmt: skip
        with pytest.raises(UserError, match=named):
            listen()
    assert len(hear(tmp_path / "a.wav", first=200)) == 15_800  # the rest of it is sound


@pytest.mark.parametrize(
    ("scale", "said"),
    [(32768 / 0.3, "divide its samples by 32768, since they are"), (1.5 / 0.3, r"divide its samples by 1\.5")],
)
def test_what_would_be_clipped_is_named(tmp_path, scale, said):
    soundfile.write(tmp_path / "a.wav", scale * noise(16_000), 16_000, subtype="FLOAT")
    for listen in (lambda: hear(tmp_path / "a.wav"), lambda: AudioMemory(1)(_one(tmp_path)[0]),
                   lambda: Recordings(tmp_path)):  # fmt: skip
        with pytest.raises(UserError, match=rf"a\.wav reaches [\d.e+]+, where full scale is 1; {said}"):
            listen()
    assert np.abs(Reverberation("folder", 1.0, tmp_path).rooms[0]).max() > 1  # a room has no scale


def test_the_overshoot_of_a_decoder_is_clipped_as_players_do(tmp_path):
    samples = noise(16_000)
    samples[[10, 20]] = 1.2, -1.2
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    heard = hear(tmp_path / "a.wav")
    assert heard[10] == 32767 / 32768 and heard[20] == -1 and on_16_bits(heard)


@pytest.mark.parametrize("peak", [1.0, 1.02, 1.1, 2.0])
def test_the_limit_is_a_share_of_the_energy(peak):
    tone = peak * np.sin(np.arange(16_000) * 0.05)
    lost = np.square(tone - tone.clip(-1, 1)).sum() / np.square(tone).sum()
    if lost > audio.CLIPPED:
        with pytest.raises(UserError, match="full scale is 1"):
            check_range(tone, Path("a.wav"))
    else:
        assert check_range(tone, Path("a.wav")) is tone
    assert (lost > audio.CLIPPED) == (peak > 1.05)


@pytest.mark.parametrize("name", ["none.wav", "text.wav", "empty.wav", "one.wav", "a.raw", "folder"])
def test_what_is_no_recording_is_one_sentence(tmp_path, name):
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "a.raw").write_bytes(bytes(1_000))
    (tmp_path / "folder").mkdir()
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "one.wav", np.zeros(1), 48_000)
    said = {"none.wav": "does not exist", "empty.wav": "holds no samples", "one.wav": "holds no samples"}
    with pytest.raises(UserError, match=f"^audio: .*{re.escape(name)} {said.get(name, 'cannot be decoded')}") as raised:
        hear(tmp_path / name, "audio: ")
    assert "\n" not in str(raised.value)


def test_a_program_s_fault_is_not_the_file_s(tmp_path, monkeypatch):
    """An error of our own is not told as "replace it"."""
    soundfile.write(tmp_path / "a.wav", noise(1_600), 8_000)
    cut = utterance("a", tmp_path / "a.wav", "YES", "ann")
    monkeypatch.setattr(audio.soxr, "resample", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load_audio(cut)


def _one(folder: Path, name: str = "a.wav") -> list:
    """The train cuts of a manifest of one file."""
    (folder / "m.jsonl").write_text(json.dumps({"audio": name, "text": "YES"}) + "\n")
    return list(manifest.load(*[folder / "m.jsonl"] * 3).train)
