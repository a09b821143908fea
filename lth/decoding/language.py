"""A word n-gram model in ARPA or KenLM's binary form, read by KenLM (Heafield 2011)."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lth.errors import UserError, needs
from lth.speech.tokens import Tokens

if TYPE_CHECKING:
    import kenlm

TO_NATURAL = math.log(10)
REMEDY = "give an ARPA file or a binary of KenLM; `python -m lth ngram` makes one from transcripts"


class LanguageModel:
    """An n-gram model that gives log probabilities of words after words.

    Args:
        path: of the model.
        key: what the user called it, for messages.

    Raises:
        UserError: KenLM is not installed, or there is no such file, or it is damaged or something else.
    """

    def __init__(self, path: str | Path, key: str = "decoder.lm"):
        path = Path(path).expanduser()
        if not path.is_file():
            raise UserError(f"{key}={path} is no file: {REMEDY}")
        with needs("lm", f"{key}={path}"):
            import kenlm  # an extra, which many do without
        self._state = kenlm.State
        config = kenlm.Config()
        config.show_progress = False
        config.arpa_complain = kenlm.ARPALoadComplain.NONE
        try:
            self._model = kenlm.Model(str(path), config)
        except (OSError, RuntimeError) as error:  # KenLM names its source files; the cause comes after them
            cause = " ".join(str(error).split()).rpartition("Exception. ")[2][:120].rstrip(" .)")
            raise UserError(f"{key}={path} is damaged or no language model ({cause}): {REMEDY}") from None
        self.path = path
        self.start = kenlm.State()
        self._model.BeginSentenceWrite(self.start)

    def word(self, state: "kenlm.State", word: str) -> "tuple[float, kenlm.State]":
        """Return the natural log probability of ``word`` after ``state``, and the state after it; an unknown word has
        the probability of ``<unk>``."""
        after = self._state()
        return self._model.BaseScore(state, word, after) * TO_NATURAL, after

    def end(self, state: "kenlm.State") -> float:
        """Return the natural log probability that the sentence ends after ``state``."""
        return self._model.BaseScore(state, "</s>", self._state()) * TO_NATURAL

    def knows(self, word: str) -> bool:
        """Tell whether the word is in the model's vocabulary."""
        return word in self._model

    def unknown(self, words: Iterable[str]) -> float:
        """Return the share of these words that the model does not know; 0 where there are no words."""
        words = list(words)
        return sum(not self.knows(word) for word in words) / len(words) if words else 0.0

    def perplexity(self, sentences: Iterable[str]) -> float:
        """Return the perplexity: exp of the mean negative log probability of every word and end of sentence."""
        total, count = 0.0, 0
        for sentence in sentences:
            state = self.start
            for word in sentence.split():
                score, state = self.word(state, word)
                total, count = total + score, count + 1
            total, count = total + self.end(state), count + 1
        return math.exp(-total / count) if count else math.nan


def model_for(path: str, tokens: Tokens) -> LanguageModel:
    """Return the model of a search that completes words as ``tokens.begins_word`` says.

    Raises:
        UserError: as `LanguageModel`; or the tokens are characters without a space, each of which counts as a word,
            and the model is one of other words.
    """
    model = LanguageModel(path)
    if " " not in tokens.characters and not any(map(model.knows, tokens.symbols)):
        raise UserError(
            f"decoder.lm={path} knows none of the model's characters as words, which they are where texts have no "
            "spaces: `python -m lth ngram units=character` makes a model of them"
        )
    return model
