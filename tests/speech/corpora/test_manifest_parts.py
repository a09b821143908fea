"""Parts of recordings, as a manifest's start, duration, end and channel say."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from lth.errors import UserError
from lth.speech.corpora import cached, manifest
from lth.speech.corpora.corpus import load_audio
from lth.speech.corpora.manifest_lines import Part, part_of


def _corpus(folder: Path, *rows: dict, **more):
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": "YES", **row}) + "\n" for row in rows))
    (folder / "dev.tsv").write_text("audio\ttext\na.wav\tNO\n")
    return manifest.load(folder / "train.jsonl", folder / "dev.tsv", folder / "dev.tsv", **more)


@pytest.mark.parametrize("eager", [50_000, 0])
def test_each_line_is_its_part_of_the_file(tmp_path, record, monkeypatch, eager):
    monkeypatch.setattr(cached, "EAGER", eager)
    written = record(tmp_path / "a.wav", seconds=1.0, channels=2)
    mean = np.rint(written.mean(axis=1) * 32768) / 32768
    rows = {
        "whole": {},
        "zero": {"offset": 0.0, "duration": 0.4},
        "three": {"offset": 0.4, "duration": 0.4},
        "rest": {"start": "0.25"},
        "to": {"begin": 0.25, "end": 0.5, "duration": 0.25},
        "rounded": {"duration": 1.04},
        "right": {"channel": 1},
        "left part": {"channel": "0", "start": 0.5, "end": 0.75},
        "nothing said": {"start": None, "duration": "", "channel": None},
    }
    corpus = _corpus(tmp_path, *({"audio": "a.wav", "id": id, **row} for id, row in rows.items()), cache=tmp_path / "c")
    expected = [
        mean, mean[:6400], mean[6400:12_800], mean[4000:], mean[4000:8000], mean, written[:, 1],
        written[8000:12_000, 0], mean,
    ]  # fmt: skip
    assert [cut.id for cut in corpus.train] == list(rows)
    for cut, samples in zip(corpus.train, expected, strict=True):
        np.testing.assert_array_equal(load_audio(cut), samples)
        assert cut.num_samples == len(samples) and cut.supervisions[0].duration == cut.duration


def test_a_table_says_it_too(tmp_path, record):
    written = record(tmp_path / "a.wav", seconds=1.0)
    record(tmp_path / "b.wav")
    (tmp_path / "t.tsv").write_text("audio\ttext\tstart\tduration\na.wav\tYES\t0.5\t0.125\nb.wav\tNO\t\t\n")
    one, two = _first(tmp_path)
    np.testing.assert_array_equal(load_audio(one), written[8000:10_000, 0])
    assert (one.id, two.id, two.num_samples) == ("train-a.wav-0.5", "train-b.wav", 8_000)


def _first(folder: Path):
    (folder / "d.tsv").write_text("audio\ttext\nb.wav\tNO\n")
    return manifest.load(folder / "t.tsv", folder / "d.tsv", folder / "d.tsv").train


def test_without_ids_parts_of_a_file_have_different_ones(tmp_path, record):
    record(tmp_path / "a.wav", seconds=1.0, channels=2)
    parts = [{}, {"start": 0.5}, {"start": 0.5, "channel": 1}, {"channel": 1}]
    corpus = _corpus(tmp_path, *({"audio": "a.wav", **part} for part in parts))
    ids = ["train-a.wav", "train-a.wav-0.5", "train-a.wav-0.5-channel1", "train-a.wav-channel1"]
    assert [cut.id for cut in corpus.train] == ids


def test_the_fingerprint_covers_the_part(tmp_path, record):
    record(tmp_path / "a.wav", seconds=1.0, channels=2)
    parts = [{}, {"start": 0.5}, {"start": 0.25, "duration": 0.5}, {"start": 0.5, "channel": 0}, {"channel": 0},
             {"channel": 1}]  # fmt: skip
    found = {_corpus(tmp_path, {"audio": "a.wav", "id": "u", **part}).fingerprint for part in parts}
    assert len(found) == len(parts)
    same = _corpus(tmp_path, {"audio": "a.wav", "id": "u", "offset": 0.5, "end": 1.0, "channel": None}).fingerprint
    assert same == _corpus(tmp_path, {"audio": "a.wav", "id": "u", "start": 0.5}).fingerprint


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"start": -0.1}, r"has start=-0\.1, which is not a number of seconds"),
        ({"offset": "soon"}, "has offset=soon, which is not a number"),
        ({"duration": float("nan")}, "has duration=nan, which is not a number"),
        ({"duration": float("inf")}, "has duration=inf, which is not a number"),
        ({"start": True}, "has start=True, which is not a number"),
        ({"start": [1]}, r"has start=\[1\], which is not a number"),
        ({"start": 0.1, "offset": 0.1}, "has both start and offset"),
        ({"start": 0.5, "end": 0.5}, "ends where it begins or before"),
        ({"start": 0.5, "end": 0.9, "duration": 0.1}, r"has end=0\.9, but its start and duration add up to another"),
        ({"duration": 0}, "ends where it begins"),
        ({"start": 0.5, "duration": 0.7}, r"ends at 1\.2 s, but .*a\.wav ends at 1 s"),
        ({"start": 1.0}, r"begins at 1 s, but .*a\.wav ends at 1 s"),
        ({"channel": 1}, r"has channel=1, but .*a\.wav has 1, counted from 0"),
        ({"channel": "A"}, "has channel=A, which is not a whole number"),
        ({"channel": 1.5}, r"has channel=1\.5, which is not a whole number"),
        ({"channel": -1}, "has channel=-1, which is not a whole number"),
        ({"channel": True}, "has channel=True, which is not a whole number"),
    ],
)
def test_what_is_no_part_is_named_with_its_line(tmp_path, record, row, said):
    record(tmp_path / "a.wav", seconds=1.0)
    with pytest.raises(UserError, match=rf"^train\.jsonl line 2 {said}") as raised:
        _corpus(tmp_path, {"audio": "a.wav"}, {"audio": "a.wav", "id": "x", **row})
    assert "\n" not in str(raised.value)


def test_times_add_up():
    assert part_of({}, "") == part_of({"text": "x"}, "") == Part()
    assert part_of({"start": 1.5, "end": "4"}, "") == part_of({"begin": "1.5", "duration": 2.5}, "") == Part(1.5, 2.5)
    assert part_of({"end": 3}, "") == Part(None, 3)
    assert part_of({"start": 0.1, "end": 0.3, "duration": 0.25}, "") == Part(0.1, 0.2)  # rounded a little


def test_keys_that_nobody_uses_are_named_once(tmp_path, record, caplog):
    record(tmp_path / "a.wav")
    rows = [{"audio": "a.wav", "id": f"u{n}", "gender": "f", "Offset": n, "duration": 0.2} for n in range(3)]
    with caplog.at_level(logging.WARNING):
        _corpus(tmp_path, *rows)
    (message,) = (one.getMessage() for one in caplog.records)
    assert message == "train.jsonl: not used, since a manifest has no such keys: 'Offset', 'gender'"


def test_a_column_twice_is_refused(tmp_path, record):
    record(tmp_path / "b.wav")
    (tmp_path / "t.tsv").write_text("audio\ttext\ttext\nb.wav\tYES\tNO\n")
    with pytest.raises(UserError, match=r"t\.tsv has the column text twice"):
        _first(tmp_path)
