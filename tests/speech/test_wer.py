"""Error rates against hand-worked counts, an edit distance and the binomial the bootstrap must follow."""

import random

import numpy as np
import pytest

from lth.speech.wer import bootstrap_difference, bootstrap_interval, score, word_errors


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (x != y)))
    return row[-1]


def test_hand_worked_corpus():
    references = ["the cat sat", "go", "one two three four"]
    hypotheses = ["the hat sat down", "", "one three four"]
    # words: 1 substitution + 1 insertion; 1 deletion; 1 deletion -> 4 of 8
    # characters: 1 + 5 (" down"); 2; 4 ("two ") -> 12 of 11 + 2 + 18
    scores = score(references, hypotheses)
    assert (scores.substitutions, scores.insertions, scores.deletions) == (1, 1, 2)
    assert (scores.errors, scores.words, scores.utterances) == (4, 8, 3)
    assert scores.wer == 0.5
    assert (scores.character_errors, scores.characters) == (12, 31)
    assert scores.cer == pytest.approx(12 / 31)


def test_corpus_rate_is_not_the_mean_of_utterance_rates():
    scores = score(["a", "b c d e f g h i j"], ["x", "b c d e f g h i j"])
    assert scores.wer == pytest.approx(0.1)  # the mean of the two rates would be 0.5


def test_insertions_take_the_rate_above_one():
    assert score(["yes"], ["oh no not yes"]).wer == 3.0


def test_perfect_and_silent():
    assert score(["a b", "c"], ["a b", "c"]).wer == 0.0
    silent = score(["a b", "c"], ["", "  "])
    assert (silent.wer, silent.cer, silent.deletions) == (1.0, 1.0, 3)


def test_white_space_does_not_count():
    scores = score([" one  two "], ["one\ttwo\n"])
    assert (scores.wer, scores.cer, scores.words, scores.characters) == (0.0, 0.0, 2, 7)


def test_against_a_textbook_edit_distance():
    draw = random.Random(3)
    texts = [" ".join(draw.choices(["ab", "a", "b", "ba"], k=draw.randint(1, 7))) for _ in range(200)]
    guesses = [" ".join(draw.choices(["ab", "a", "b", "ba"], k=draw.randint(0, 7))) for _ in range(200)]
    by_word = [edit_distance(t.split(), g.split()) for t, g in zip(texts, guesses, strict=True)]
    by_character = [edit_distance(t, g) for t, g in zip(texts, guesses, strict=True)]
    errors, words = word_errors(texts, guesses)
    assert errors.tolist() == by_word
    assert words.tolist() == [len(t.split()) for t in texts]
    scores = score(texts, guesses)
    assert (scores.errors, scores.character_errors) == (sum(by_word), sum(by_character))


@pytest.mark.parametrize(
    ("references", "hypotheses", "said"),
    [
        ([], [], "nothing to score"),
        (["a", " "], ["a", "b"], "reference 1 "),
        (["a"], ["a", "b"], "1 references but 2"),
    ],
)
def test_refused(references, hypotheses, said):
    for function in (score, word_errors, bootstrap_interval):
        with pytest.raises(ValueError, match=said):
            function(references, hypotheses)


def test_interval_follows_the_binomial():
    """One word an utterance: the resampled WER is Binomial(n, p) / n, with the known standard deviation."""
    n, wrong = 400, 80
    low, high = bootstrap_interval(["a"] * n, ["b"] * wrong + ["a"] * (n - wrong), resamples=4000)
    half = 1.96 * np.sqrt(0.2 * 0.8 / n)
    assert low == pytest.approx(0.2 - half, abs=0.004)
    assert high == pytest.approx(0.2 + half, abs=0.004)


def test_interval_is_repeatable_and_exact_without_variation():
    pair = (["a b", "c d e", "f"], ["a", "c x e", "f g"])
    assert bootstrap_interval(*pair, seed=1) == bootstrap_interval(*pair, seed=1)
    assert bootstrap_interval(["a b"] * 9, ["a x"] * 9) == (0.5, 0.5)


def test_paired_difference_is_narrower_than_the_intervals():
    references = ["a b"] * 100
    first = ["x y"] * 50 + ["a b"] * 50
    second = ["x y"] * 50 + ["a x"] * 4 + ["a b"] * 46  # 4 further errors in 200 words
    low, high = bootstrap_difference(references, first, second)
    assert 0 < low < 0.02 < high < 0.05
    assert bootstrap_difference(references, first, first) == (0.0, 0.0)
    wide = bootstrap_interval(references, first)
    assert high - low < (wide[1] - wide[0]) / 3


def test_interval_weighs_utterances_by_their_words():
    references = ["a"] * 200 + ["b c d e f g h i j"] * 200
    hypotheses = ["x"] * 200 + ["b c d e f g h i j"] * 200  # 200 of 2000 words; the mean of the rates is 0.5
    low, high = bootstrap_interval(references, hypotheses)
    assert 0.07 < low < 0.1 < high < 0.13
