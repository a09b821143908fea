import json
from pathlib import Path

import numpy as np
import pytest

from lth.speech.corpora.corpus import UtteranceInfo, exclude, load_audio, recording, segment, utterance, utterance_infos
from lth.speech.corpora.lazy_cuts import Line, listed, write


@pytest.fixture
def cuts(tmp_path, record):
    """Whole files at three rates, stereo among them, and parts of a file."""
    made = []
    for n, (rate, channels) in enumerate([(16_000, 1), (8_000, 1), (44_100, 2), (22_050, 1)]):
        record(tmp_path / f"a{n}.wav", seconds=0.3 + 0.01 * n, rate=rate, channels=channels, seed=n)
        made.append(
            utterance(f"u{n}", tmp_path / f"a{n}.wav", f'DAS "IST"\u2028ÉTÉ {n}', f"s{n}", f"train.tsv line {n}")
        )
    talk = recording("talk", tmp_path / "a2.wav", "x")
    made.append(segment(talk, "talk-1", 0.05, 0.1, "PART", "s", "talk.stm line 1"))
    made.append(segment(talk, "talk", 0, 0.1, "BEGINNING", "s", "talk.stm line 2"))
    made.append(segment(talk, "talk-3", 0, talk.duration, "WHOLE", "s", "talk.stm line 3"))
    return made


@pytest.fixture
def split(tmp_path, cuts):
    for n, some in enumerate((cuts[:3], cuts[3:])):
        write(tmp_path / f"{n}.lines", map(Line.of, some))
    return listed(tmp_path / "0.lines", tmp_path / "1.lines")


def test_lines_make_the_cuts_that_they_were_made_of(cuts, split):
    assert split.is_lazy and len(split) == len(cuts)
    for before, after in zip(cuts, split, strict=True):
        assert after == before
        assert after.recording.transforms == before.recording.transforms
        np.testing.assert_array_equal(load_audio(after), load_audio(before))
    assert list(split.to_eager()) == cuts


def test_what_is_said_is_what_the_cuts_say(cuts, split):
    expected = [(c.id, c.supervisions[0].text, c.supervisions[0].speaker, c.num_samples) for c in cuts]
    assert [one[:4] for one in utterance_infos(split)] == [one[:4] for one in utterance_infos(cuts)] == expected
    assert list(utterance_infos(split)) == list(utterance_infos(split.to_eager())) and all(
        isinstance(one, UtteranceInfo) for one in utterance_infos(split)
    )


def test_what_is_dropped_is_gone(cuts, split):
    for some in (split, split.to_eager()):
        left = exclude(exclude(some, frozenset({"u1"})), frozenset({"talk", "u3"}))
        assert [cut.id for cut in left] == [one.id for one in utterance_infos(left)] == ["u0", "u2", "talk-1", "talk-3"]
        assert len(left) == 4 and len(some) == len(cuts)


def test_no_cut_is_made_to_know_what_is_said(split, monkeypatch):
    monkeypatch.setattr(Line, "cut", None)
    assert len(list(utterance_infos(exclude(split, frozenset({"u0"}))))) == len(split) - 1


def test_a_line_is_json(cuts, split):
    (path, _) = split.cuts.paths
    lines = path.read_bytes().decode().split("\n")
    assert [json.loads(line)[0] for line in lines[:-1]] == ["u0", "u1", "u2"] and lines[-1] == ""
    assert Path(json.loads(lines[0])[5]).is_file()
