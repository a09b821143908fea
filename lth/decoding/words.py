"""A language model that favours some words."""

import math
from collections.abc import Collection, Sequence

from torchaudio.models.decoder import CTCDecoderLM, CTCDecoderLMState

from lth.decoding.language import LanguageModel


class HotWords(CTCDecoderLM):
    """A language model for flashlight that gives ``alpha log p(word)``, and ``boost`` for each of the favoured words.

    Args:
        words: in the order in which the search has numbered them; what has a higher number can never be said.
    """

    def __init__(
        self, model: LanguageModel, words: Sequence[str], alpha: float, favoured: Collection[str], boost: float
    ):
        CTCDecoderLM.__init__(self)
        self.model, self.words, self.alpha, self.boost = model, words, alpha, boost
        self.favoured = frozenset(favoured)
        self.states: dict[CTCDecoderLMState, object] = {}

    def start(self, start_with_nothing: bool) -> CTCDecoderLMState:
        """Return the state before the first word."""
        state = CTCDecoderLMState()
        self.states = {state: self.model.start}
        return state

    def score(self, state: CTCDecoderLMState, number: int) -> tuple[CTCDecoderLMState, float]:
        """Return the state after the word of this number, and what the word is worth."""
        after, word = state.child(number), self.words[number] if number < len(self.words) else None
        if word is None:
            return after, -math.inf
        score, self.states[after] = self.model.word(self.states[state], word)
        return after, self.alpha * score + (self.boost if word in self.favoured else 0.0)

    def finish(self, state: CTCDecoderLMState) -> tuple[CTCDecoderLMState, float]:
        """Return the state, and what the end of the sentence is worth."""
        return state, self.alpha * self.model.end(self.states[state])
