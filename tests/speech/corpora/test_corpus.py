from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from lth.errors import UserError
from lth.speech.corpora.corpus import (
    Corpus,
    Ids,
    corpus_folder,
    drop_too_short,
    fingerprint,
    load_audio,
    unknown_characters,
    utterance,
)


def test_audio_at_16_khz_comes_out_as_it_is(tmp_path, record):
    written = record(tmp_path / "a.flac")
    cut = utterance("a", tmp_path / "a.flac", "YES", "ann")
    np.testing.assert_array_equal(load_audio(cut), written[:, 0])
    assert load_audio(cut).dtype == np.float32
    assert (cut.sampling_rate, cut.num_samples, cut.supervisions[0].text) == (16_000, 8_000, "YES")


def test_channels_are_averaged(tmp_path, record):
    written = record(tmp_path / "a.wav", channels=2)
    audio = load_audio(utterance("a", tmp_path / "a.wav", "YES", "ann"))
    np.testing.assert_array_equal(audio, np.rint((written[:, 0] + written[:, 1]) / 2 * 32768) / 32768)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate), rate)
    cut = utterance("a", tmp_path / "a.wav", "LA", "ann")
    audio = load_audio(cut)
    assert cut.num_samples == len(audio) == 16_000
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(audio[500:-500], expected[500:-500], atol=0.01)


def test_what_cannot_be_decoded_is_named(tmp_path, record):
    record(tmp_path / "a.flac", seconds=2)
    cut = utterance("utt-7", tmp_path / "a.flac", "YES", "ann")
    whole = (tmp_path / "a.flac").read_bytes()
    half = len(whole) // 2
    for damaged in (whole[:half], whole[:half] + bytes(half), b""):
        (tmp_path / "a.flac").write_bytes(damaged)
        with pytest.raises(UserError, match=r"^utterance utt-7: .*a\.flac cannot be decoded \([^)]+\); replace it\.$"):
            load_audio(cut)
    (tmp_path / "a.flac").unlink()
    with pytest.raises(UserError, match=r"utterance utt-7: .*a\.flac does not exist"):
        load_audio(cut)
    for seconds in (1, 3):  # another file took its place
        record(tmp_path / "a.flac", seconds=seconds)
        with pytest.raises(UserError, match=rf"utterance utt-7: .*a\.flac has {seconds}\.00 s, not the 2\.00 s"):
            load_audio(cut)


def test_bad_files_are_refused_before_they_are_played(tmp_path):
    with pytest.raises(UserError, match=r"line 3 names the audio file .*none\.wav, which does not exist"):
        utterance("a", tmp_path / "none.wav", "YES", "ann", "train.tsv line 3")
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(UserError, match=r"utterance a: .*text\.wav cannot be decoded"):
        utterance("a", tmp_path / "text.wav", "YES", "ann")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    with pytest.raises(UserError, match=r"empty\.wav holds no samples"):
        utterance("a", tmp_path / "empty.wav", "YES", "ann")


def _splits(folder: Path, record, text="YES", speaker="ann", seconds=1.0, seed=0) -> dict:
    record(folder / "a.wav", seconds, seed=seed)
    record(folder / "b.wav", 0.5, seed=1)
    first = utterance("a", folder / "a.wav", text, speaker)
    return {"train": [first], "dev": [utterance("b", folder / "b.wav", "NO", "bob")]}


def test_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path, record):
    here = _splits(tmp_path / "here", record)
    there = _splits(tmp_path / "some" / "where" / "else", record)
    assert fingerprint(here) == fingerprint(dict(reversed(there.items())))


@pytest.mark.parametrize(
    "change",
    [{"text": "YEA"}, {"speaker": "amy"}, {"seconds": 1.001}, {"seed": 5}],
    ids=lambda c: next(iter(c)),
)
def test_fingerprint_notices_a_change(tmp_path, record, change):
    assert fingerprint(_splits(tmp_path / "a", record)) != fingerprint(_splits(tmp_path / "b", record, **change))


def test_fingerprint_notices_an_utterance_in_another_split(tmp_path, record):
    splits = _splits(tmp_path, record)
    swapped = {"train": splits["dev"], "dev": splits["train"]}
    assert fingerprint(splits) != fingerprint(swapped)


def _corpus(folder: Path, record) -> Corpus:
    """Train utterances of 100 ms with 1 to 4 letters, dev and test of 100 and 10 ms."""
    record(folder / "long.wav", 0.1)
    record(folder / "short.wav", 0.01)
    train = [utterance(f"t{n}", folder / "long.wav", "A" * n, "ann") for n in (1, 2, 3, 4)]
    scored = {
        split: CutSet.from_cuts(
            [utterance(f"{split}-{kind}", folder / f"{kind}.wav", "ABCDEF", "bob") for kind in ("long", "short")]
        )
        for split in ("dev", "test")
    }
    return Corpus("c", CutSet.from_cuts(train), scored["dev"], {"test": scored["test"]}, "f", {"old": ["x"]})


def test_too_short_utterances_are_dropped_and_counted(tmp_path, record):
    corpus = _corpus(tmp_path, record)
    # 1600 samples are 5 frames, 160 are none; n equal letters need n + (n - 1) frames
    left = drop_too_short(corpus, lambda samples: samples // 320, lambda text: 2 * len(text) - 1)
    assert [cut.id for cut in left.train] == ["t1", "t2", "t3"]
    assert [cut.id for cut in left.dev] == ["dev-long"]  # its six letters on five frames are still scored
    assert [cut.id for cut in left.tests["test"]] == ["test-long"]
    assert left.dropped == {
        "old": ["x"],
        "train: too short for its text": ["t4"],
        "dev or test: too short for one frame": ["dev-short", "test-short"],
    }


def test_nothing_too_short_leaves_the_corpus_alone(tmp_path, record):
    corpus = _corpus(tmp_path, record)
    assert drop_too_short(corpus, lambda samples: 1000, len) is corpus


def test_unknown_characters_are_named(tmp_path, record):
    splits = _splits(tmp_path, record)
    assert unknown_characters(splits, "YESNO") is None
    assert unknown_characters(splits, "YESN") == "utterance b contains the character 'O' (U+004F)"
    cut = replace(splits["train"][0], custom={"origin": "train.tsv line 7"})
    found = unknown_characters({"train": [cut]}, "ES")
    assert found == "train.tsv line 7 (utterance a) contains the character 'Y' (U+0059)"


def test_ids_are_unique_across_splits(tmp_path, record):
    splits = _splits(tmp_path, record)
    ids = Ids()
    for split, cuts in splits.items():
        for cut in cuts:
            ids.add(cut.id, cut.custom["origin"], split)
    with pytest.raises(UserError, match=r"utterance a \(test\) has the id a of utterance a \(train\)"):
        ids.add("a", "utterance a", "test")


def test_corpus_folder(tmp_path):
    (tmp_path / "etc").mkdir()
    assert corpus_folder(str(tmp_path), "AN4", "etc", "buy it") == tmp_path
    with pytest.raises(UserError, match=r"corpus\.root is not set: .*AN4, and buy it"):
        corpus_folder(None, "AN4", "etc", "buy it")
    with pytest.raises(UserError, match=r"holds no AN4 \(no .*none/etc\).*buy it"):
        corpus_folder(tmp_path / "none", "AN4", "etc", "buy it")
