"""Word and character error rates over a whole corpus, and how far to trust them.

The rate of a corpus is the sum of its errors over the sum of its words (Levenshtein, by jiwer), never a mean
of the rates of utterances or batches. Rates are fractions: 0.054 is 5.4 %; insertions can take them above 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
from rapidfuzz.distance import Levenshtein

from lth.speech.bootstrap import Bootstrap


@dataclass(frozen=True)
class Scores:
    """The scores of one corpus. `substitutions`, `insertions` and `deletions` count words."""

    wer: float
    cer: float
    utterances: int
    words: int
    characters: int
    substitutions: int
    insertions: int
    deletions: int
    character_errors: int

    @property
    def errors(self) -> int:
        """Return the wrong words: substitutions, insertions and deletions together."""
        return self.substitutions + self.insertions + self.deletions


def score(references: Sequence[str], hypotheses: Sequence[str]) -> Scores:
    """Score hypotheses against references, matched by position, by the corpus's WER and CER.

    An empty hypothesis is fine: all its words are deletions. A run of white space counts as one space; a
    space is a character like any other for the CER. Case and punctuation are left alone.

    Raises:
        ValueError: lists that are empty or of unequal length, or an empty reference.
    """
    references, hypotheses = _clean(references, hypotheses)
    words = jiwer.process_words(references, hypotheses)
    characters = jiwer.process_characters(references, hypotheses)
    return Scores(
        wer=words.wer,
        cer=characters.cer,
        utterances=len(references),
        words=words.hits + words.substitutions + words.deletions,
        characters=characters.hits + characters.substitutions + characters.deletions,
        substitutions=words.substitutions,
        insertions=words.insertions,
        deletions=words.deletions,
        character_errors=characters.substitutions + characters.insertions + characters.deletions,
    )


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Count wrong words and reference words of each utterance: two int64 arrays of shape (utterances,).

    Raises:
        ValueError: as `score`.
    """
    references, hypotheses = _clean(references, hypotheses)
    reference_words = [text.split() for text in references]
    errors = [Levenshtein.distance(r, h.split()) for r, h in zip(reference_words, hypotheses, strict=True)]
    return np.array(errors, dtype=np.int64), np.array([len(r) for r in reference_words], dtype=np.int64)


def bootstrap_interval(
    references: Sequence[str], hypotheses: Sequence[str], resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the corpus WER, resampling whole utterances with replacement.

    Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004.
    The same arguments give the same interval.

    Raises:
        ValueError: as `score`.
    """
    errors, words = word_errors(references, hypotheses)
    return _percentiles(errors, words, resamples, seed)


def bootstrap_difference(
    references: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % interval of WER(second) - WER(first), both scored on the same resampled utterances.

    Pairing takes out the difficulty the two share, so the interval is much narrower than two separate ones
    would suggest; it contains 0 when the difference may be chance (Bisani and Ney 2004, as above).

    Raises:
        ValueError: as `score`.
    """
    errors_first, words = word_errors(references, first)
    errors_second, _ = word_errors(references, second)
    return _percentiles(errors_second - errors_first, words, resamples, seed)


def _percentiles(errors: np.ndarray, words: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    if len(words) == 1:  # the one utterance is all there is to draw
        rate = float(errors[0] / words[0])
        return rate, rate
    low, high = Bootstrap(words, resamples, seed).intervals(errors[:, None])[0]
    return float(low), float(high)


def _clean(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[list[str], list[str]]:
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references but {len(hypotheses)} hypotheses: give one for each")
    if not references:
        raise ValueError("there is nothing to score: no references")
    references = [" ".join(text.split()) for text in references]
    if "" in references:
        raise ValueError(f"reference {references.index('')} (counted from 0) is empty: its WER is undefined")
    return references, [" ".join(text.split()) for text in hypotheses]
