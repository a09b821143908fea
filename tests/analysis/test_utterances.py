"""Transcripts of two rounds compared, on utterances short enough to align by hand."""

import pytest

from lth.analysis.utterances import examples, marked, transcripts
from lth.store.store import StoredRound
from tests.analysis.folders import write_experiment


@pytest.fixture
def rounds(tmp_path):
    folder = write_experiment(tmp_path)
    return [transcripts(StoredRound(folder / "rounds" / f"round-0{n}")) for n in range(3)]


def test_marked_words():
    found = marked("one two three", "one too three four")
    assert found.words == (("one", "equal"), ("too", "substitute"), ("three", "equal"), ("four", "insert"))
    assert str(found) == "one [too] three +four"
    assert marked("one two", "two").words == (("one", "delete"), ("two", "equal"))
    assert str(marked("one two", "")) == "-one -two"


def test_primary_test_set_is_called_test(tmp_path):
    lines = [
        '{"set": "dev", "id": "a", "reference": "x", "hypothesis": "x"}',
        '{"set": "clean", "id": "b", "reference": "y", "hypothesis": ""}',
        '{"set": "test", "id": "c", "reference": "z", "hypothesis": "z"}',
    ]
    (tmp_path / "hypotheses.jsonl").write_text("\n".join(lines))
    found = transcripts(StoredRound(tmp_path))
    assert found == {"dev": {"a": ("x", "x")}, "test": {"b": ("y", "")}, "test-2": {"c": ("z", "z")}}
    assert transcripts(StoredRound(tmp_path / "gone")) == {}


def test_examples_change_most_worse_first(rounds):
    found = examples(rounds[0], rounds[1])
    assert [(e.id, e.change) for e in found] == [("t1", 2), ("t2", -1)]
    assert found[0].ticket.words == (("oh", "insert"), ("yes", "equal"), ("so", "substitute"))
    assert found[1].dense.words == (("go", "equal"), ("left", "equal"), ("left", "insert"))
    assert [e.id for e in examples(rounds[0], rounds[2], each_way=1)] == ["t1"]
    assert examples(rounds[0], rounds[0]) == []
    assert examples({}, rounds[1]) == []
