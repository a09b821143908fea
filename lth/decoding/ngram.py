"""Modified Kneser-Ney smoothing (Chen and Goodman 1998, section 4.3), interpolated, as an ARPA file.

The estimator of Heafield et al. (2013, section 2): counts of the highest order are those of the text; of a lower
order they are numbers of different words before the n-gram, except where it begins a sentence. The lowest order is
interpolated with the uniform distribution, which is where an unknown word gets its share.
"""

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lth.errors import UserError
from lth.files import replacing

log = logging.getLogger(__name__)

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
#: For a count of one, of two and of more, where the text is too small or too regular to tell.
FALLBACK = (0.5, 1.0, 1.5)

NGram = tuple[str, ...]


@dataclass(frozen=True)
class NGrams:
    """An n-gram model: by order, n-gram to its probability; and context to the weight of the order below."""

    probabilities: list[dict[NGram, float]]
    backoffs: dict[NGram, float]
    discounts: list[tuple[float, float, float]]

    @property
    def order(self) -> int:
        return len(self.probabilities)

    def probability(self, word: str, context: NGram = ()) -> float:
        """Return p(``word``) after the last words of ``context``; that of ``<unk>`` where the word is not known."""
        if (word,) not in self.probabilities[0]:
            word = UNKNOWN
        context = context[-(self.order - 1) :] if self.order > 1 else ()
        weight = 1.0
        while (probability := self.probabilities[len(context)].get((*context, word))) is None:
            weight *= self.backoffs.get(context, 1.0)
            context = context[1:]
        return weight * probability


def estimate(sentences: Iterable[str], order: int, prune: int = 0) -> NGrams:
    """Estimate the n-gram model of a text.

    Args:
        sentences: words with spaces between them.
        order: of the longest n-grams, at least 2.
        prune: n-grams of order 3 and above that the text has at most so often are left out, and what they had goes
            to the order below.

    Raises:
        UserError: there are no words, or a sentence contains one of ``<s>``, ``</s>`` and ``<unk>``.
    """
    if order < 2:
        raise UserError(f"order={order} is too small: give a whole number of at least 2")
    raw = _counts(sentences, order)
    probabilities: list[dict[NGram, float]] = []
    backoffs: dict[NGram, float] = {}
    discounts = []
    for n in range(1, order + 1):
        counts = raw[n - 1] if n == order else _continuations(raw[n - 1], raw[n])
        discounts.append(_discounts(counts, n))
        kept = {gram for gram in counts if n < 3 or raw[n - 1][gram] > prune}
        totals, left = defaultdict(int), defaultdict(float)
        for gram, count in counts.items():
            totals[gram[:-1]] += count
            left[gram[:-1]] += _discount(discounts[-1], count) if gram in kept else count
        weights = {context: left[context] / total for context, total in totals.items()}
        backoffs |= {context: weight for context, weight in weights.items() if context}
        below = probabilities[-1] if probabilities else {}
        even = 1 / (len(counts) + 1)  # with the unknown word
        interpolated = {}
        for gram, count in counts.items():
            if gram in kept:
                context = gram[:-1]
                share = (count - _discount(discounts[-1], count)) / totals[context]
                interpolated[gram] = share + weights[context] * (below[gram[1:]] if n > 1 else even)
        if n == 1:
            interpolated[(UNKNOWN,)] = weights[()] * even
        probabilities.append(interpolated)
    return NGrams(probabilities, backoffs, discounts)


def in_units(sentences: Sequence[str], unit: str | None) -> tuple[Sequence[str], str, str]:
    """Write sentences with a space between the units that a model counts.

    Args:
        unit: "word", "character", or None: words where any sentence has a space, characters where none has.

    Returns:
        The sentences, the unit, and a remark for the user, which may be empty.

    Raises:
        UserError: characters of sentences with spaces, of which a search would not know where words end.
    """
    spaced = sum(len(sentence.split()) > 1 for sentence in sentences)
    if unit not in (None, "word", "character"):
        raise UserError(f"units={unit} is unknown: give word, character, or null")
    if unit == "character" and spaced:
        raise UserError(
            f"units=character is for texts without spaces, and {spaced:,} of these have some: give units=word"
        )
    if not spaced and unit != "word" and any(len(sentence.strip()) > 1 for sentence in sentences):
        said = (
            "" if unit else "no sentence has a space: each character counts as a word (units=word for whole sentences)"
        )
        return [" ".join(sentence.strip()) for sentence in sentences], "character", said
    alone = len(sentences) - spaced
    said = (
        f"{alone:,} of {len(sentences):,} sentences have no space, and each counts as one word"
        if alone > spaced
        else ""
    )
    return sentences, "word", said


def write_arpa(model: NGrams, path: Path) -> None:
    """Write the model as a file in ARPA format, for KenLM or any other reader of it."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        sizes = [len(grams) + (n == 0) for n, grams in enumerate(model.probabilities)]  # and the start of a sentence
        file.write("\\data\\\n" + "".join(f"ngram {n}={size}\n" for n, size in enumerate(sizes, 1)))
        for n, grams in enumerate(model.probabilities, 1):
            file.write(f"\n\\{n}-grams:\n")
            if n == 1:
                file.write(f"-99\t{START}\t{_log(model.backoffs.get((START,), 1.0))}\n")
            for gram in sorted(grams):
                backoff = f"\t{_log(model.backoffs.get(gram, 1.0))}" if n < model.order else ""
                file.write(f"{_log(grams[gram])}\t{' '.join(gram)}{backoff}\n")
        file.write("\n\\end\\\n")


def _log(value: float) -> str:
    return f"{math.log10(value):.7g}" if value > 0 else "-99"


def _counts(sentences: Iterable[str], order: int) -> list[Counter]:
    """Count each n-gram of a text, by order; one start and one end a sentence."""
    raw: list[Counter] = [Counter() for _ in range(order)]
    for number, sentence in enumerate(sentences, 1):
        words = sentence.split()
        if bad := next((word for word in words if word in (START, END, UNKNOWN)), None):
            raise UserError(f"text line {number}: {bad} is no word of a sentence; leave it out")
        words = [START, *words, END]
        for n in range(1, order + 1):
            raw[n - 1].update(zip(*(words[i:] for i in range(n)), strict=False))
    raw[0].pop((START,), None)  # it is given, never predicted
    if len(raw[0]) < 2:
        raise UserError("the text has no words: give one with a sentence a line")
    return raw


def _continuations(text_counts: Mapping[NGram, int], longer: Mapping[NGram, int]) -> Counter:
    """Count the different words before each n-gram; of one that begins a sentence, how often the text has it."""
    counts = Counter(gram[1:] for gram in longer)
    counts.update({gram: count for gram, count in text_counts.items() if gram[0] == START})
    return counts


def _discounts(counts: Mapping[NGram, int], order: int) -> tuple[float, float, float]:
    """Estimate D_1, D_2 and D_3+ from the numbers of n-grams with a count of 1 to 4 (Chen and Goodman 1998, eq. 17)."""
    n = Counter(count for count in counts.values() if count <= 4)
    if all(n[count] for count in (1, 2, 3, 4)):
        y = n[1] / (n[1] + 2 * n[2])
        one, two, more = (k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))
        if 0 <= one <= 1 and 0 <= two <= 2 and 0 <= more <= 3:
            return one, two, more
    log.warning("%d-grams: too few counts to estimate discounts, %s are taken", order, FALLBACK)
    return FALLBACK


def _discount(discounts: tuple[float, float, float], count: int) -> float:
    return discounts[min(count, 3) - 1]
