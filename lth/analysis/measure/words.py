"""What two networks heard of every word of the references, and which words change most."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jiwer

from lth.analysis.measure.statistics import holm, mcnemar

Texts = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Heard:
    """One set as a round transcribed it, aligned once.

    ``words``: utterance id -> for every word of the reference, (the word, what was heard of it; "" for nothing).
    ``kinds``: wrong words by what is wrong with them.
    """

    words: Mapping[str, Sequence[tuple[str, str]]]
    kinds: Mapping[str, int]
    said: int  # reference words

    def right(self) -> Counter:
        """Return how often each word was heard as it was said."""
        return Counter(word for pairs in self.words.values() for word, heard in pairs if word == heard)

    def times(self) -> Counter:
        """Return how often each word was said."""
        return Counter(word for pairs in self.words.values() for word, _ in pairs)


def heard(texts: Texts) -> Heard:
    """Align all utterances of a set (Levenshtein, by jiwer, as for the WER); there is at least one."""
    aligned = jiwer.process_words([said for said, _ in texts.values()], [heard for _, heard in texts.values()])
    words = {}
    parts = zip(texts, aligned.references, aligned.hypotheses, aligned.alignments, strict=True)
    for id, reference, hypothesis, chunks in parts:
        found = [""] * len(reference)
        for chunk in chunks:
            if chunk.type in ("equal", "substitute"):
                said = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
                found[chunk.ref_start_idx : chunk.ref_end_idx] = said
        words[id] = list(zip(reference, found, strict=True))
    kinds = {kind: getattr(aligned, kind) for kind in ("substitutions", "deletions", "insertions")}
    return Heard(words, kinds, aligned.hits + aligned.substitutions + aligned.deletions)


class Change(NamedTuple):
    """What became of one word of the references, from one network to another.

    ``p`` is exact McNemar's, two-sided, over the word's occurrences, Holm-corrected over all words that changed.
    ``instead`` is what the second hears most often where it is wrong.
    """

    word: str
    said: int
    before: int
    after: int
    instead: str
    p: float


def changes(before: Heard, after: Heard) -> list[Change]:
    """Return the change of every word that changed anywhere, those lost most first."""
    said, right_before, right_after = Counter(), Counter(), Counter()
    lost, won, instead = Counter(), Counter(), defaultdict(Counter)
    for id in before.words.keys() & after.words.keys():
        for (word, old), (_, new) in zip(before.words[id], after.words[id], strict=True):
            said[word] += 1
            right_before[word] += old == word
            right_after[word] += new == word
            lost[word] += old == word != new
            won[word] += new == word != old
            if new != word:
                instead[word][new or "(nothing)"] += 1
    changed = sorted(word for word in said if lost[word] or won[word])
    corrected = holm([mcnemar(lost[word], won[word]) for word in changed])
    rows = [
        Change(word, said[word], right_before[word], right_after[word], _most(instead[word]), p)
        for word, p in zip(changed, corrected, strict=True)
    ]
    return sorted(rows, key=lambda row: (row.after - row.before, -row.said, row.word))


def _most(counts: Counter) -> str:
    return min(counts, key=lambda word: (-counts[word], word)) if counts else ""
