"""Words lost and won, worked by hand."""

import pytest

from lth.analysis.mistakes import heard, lost_words, mcnemar


def test_heard_aligns_every_word_of_the_reference():
    assert heard("one two three", "one too") == ["one", "too", ""]
    assert heard("one two", "well one two") == ["one", "two"]


def test_mcnemar_is_the_binomials_two_tails():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(1, 4) == pytest.approx(2 * (1 + 5) / 32)
    assert mcnemar(3, 3) == 1.0


def test_words_lost_and_won():
    before = {"a": ("go left", "go left"), "b": ("go right", "go right"), "c": ("stop", "top")}
    after = {"a": ("go left", "so left"), "b": ("go right", "so"), "c": ("stop", "stop")}
    rows = {row[0]: row[1:] for row in lost_words(before, after)}
    assert rows["go"][:4] == (2, 2, 0, "so")
    assert rows["right"][:4] == (1, 1, 0, "(nothing)")
    assert rows["stop"][:3] == (1, 0, 1)
    assert "left" not in rows
    assert [row[0] for row in lost_words(before, after)] == ["go", "right", "stop"]
    # p by hand: go 2 lost of 2 is 2 * 1/4, the others 1; Holm over three
    assert rows["go"][4] == 1.0
