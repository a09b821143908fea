"""Words lost and won, worked by hand; lengths, speakers and kinds of errors by counting."""

import json
import math

import pytest

from lth.analysis.experiments import gather
from lth.analysis.inputs import Analysis
from lth.analysis.measure.statistics import mcnemar
from lth.analysis.measure.words import changes, heard
from lth.analysis.sections.mistakes import _lengths, section
from lth.speech.wer import score
from tests.analysis.folders import HEARD, REFERENCES, write_experiment


def test_heard_aligns_every_word_of_the_reference():
    found = heard({"a": ("one two three", "one too"), "b": ("one two", "well one two"), "c": ("go", "")})
    assert found.words["a"] == [("one", "one"), ("two", "too"), ("three", "")]
    assert found.words["b"] == [("one", "one"), ("two", "two")]
    assert found.words["c"] == [("go", "")]
    assert (found.kinds, found.said) == ({"substitutions": 1, "deletions": 2, "insertions": 1}, 6)
    assert found.right() == {"one": 2, "two": 1} and found.times() == {"one": 2, "two": 2, "three": 1, "go": 1}


def test_mcnemar_is_the_binomials_two_tails():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(1, 4) == pytest.approx(2 * (1 + 5) / 32)
    assert mcnemar(3, 3) == 1.0
    for lost, won in ((7, 2), (0, 3), (10, 11)):  # every way that n coins can fall, counted by brute force
        n = lost + won
        falls = [bin(way).count("1") for way in range(2**n)] if n < 12 else None
        ways = [falls.count(k) for k in range(n + 1)] if falls else [math.comb(n, k) for k in range(n + 1)]
        far = sum(ways[k] for k in range(n + 1) if abs(k - n / 2) >= abs(lost - n / 2))
        assert mcnemar(lost, won) == pytest.approx(far / 2**n)


def test_words_lost_and_won():
    before = heard({"a": ("go left", "go left"), "b": ("go right", "go right"), "c": ("stop", "top")})
    after = heard({"a": ("go left", "so left"), "b": ("go right", "so"), "c": ("stop", "stop")})
    found = changes(before, after)
    assert [row.word for row in found] == ["go", "right", "stop"]
    assert found[0][1:5] == (2, 2, 0, "so")
    assert found[1][1:5] == (1, 1, 0, "(nothing)")
    assert found[2][1:4] == (1, 0, 1)
    assert found[0].p == 1.0  # go: 2 lost of 2 is 2 * 1/4; times 3 by Holm


def test_lengths_are_terciles():
    texts = {f"u{n}": (" ".join("word" for _ in range(n)), "") for n in range(1, 10)}
    assert list(_lengths(texts).values()) == ["under 4 words"] * 3 + ["4 to 7 words"] * 4 + ["over 7 words"] * 2
    assert set(_lengths({"a": ("one", ""), "b": ("two", "")}).values()) == {"1 to 1 words"}


def tables(outputs):
    said = section(Analysis(gather(outputs)[0], resamples=200))
    return said, {table.name: [list(row) for row in table.rows] for table in said.tables}


def test_the_section_by_hand(tmp_path):
    """Round 1 wins; round 2, the sparsest, hears nothing of test."""
    write_experiment(tmp_path)
    said, found = tables(tmp_path)
    assert [row[:6] for row in found["words"]] == [
        ["no", 1, 1, 0, -1, "so"],  # "yes no" heard as "oh yes so"
    ]
    assert {row[0]: row[1:6] for row in found["words_sparsest"]} == {
        word: [1, 1, 0, -1, "(nothing)"] for word in ["yes", "no", "go", "left", "five", "six"]
    }
    # every utterance of test has two words; round 0 inserts one, round 1 has two errors, round 2 six
    assert found["lengths"] == [["2 to 2 words", 3, 6, 1 / 6, 2 / 6, 1 / 6]]
    assert found["lengths_sparsest"] == [["2 to 2 words", 3, 6, 1 / 6, 1, 5 / 6]]
    assert "speakers" not in found and "Who says what is not known" in " ".join(said.text)
    kinds, first = said.charts
    for number, series in enumerate(zip(*(line.y for line in kinds.series), strict=True)):
        texts = REFERENCES["test"]
        by_score = score(list(texts.values()), [HEARD[number][id] for id in texts])
        assert series == pytest.approx(
            [n / 6 for n in (by_score.substitutions, by_score.deletions, by_score.insertions)]
        )
    assert {line.label: list(line.y) for line in first.series}["no (1)"] == [1, 0, 0]


def test_speakers_are_those_noted_with_the_transcripts(tmp_path):
    write_experiment(tmp_path)
    for stored in (tmp_path / "store/rounds").iterdir():
        rows = [json.loads(line) for line in (stored / "hypotheses.jsonl").read_text().splitlines()]
        noted = [row | {"speaker": "ann" if row["id"] == "t1" else "bob"} for row in rows]
        (stored / "hypotheses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in noted))
    _, found = tables(tmp_path)
    # round 0: one wrong of ann's none and bob's one; round 1: both of ann's two words... and one more put in
    assert found["speakers"] == [["ann", 1, 2, 0, 1, 1], ["bob", 2, 4, 1 / 4, 0, -1 / 4]]


def test_gone_transcripts_are_said(tmp_path):
    folder = write_experiment(tmp_path)
    (folder / "rounds/round-01/hypotheses.jsonl").unlink()
    said, found = tables(tmp_path)
    assert "50.0 % of the weights: transcripts of it or of its dense network are gone" in " ".join(said.text)
    assert set(found) == {"words_sparsest", "lengths_sparsest"}
