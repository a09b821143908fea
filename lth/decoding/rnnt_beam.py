"""Beam search over what a transducer and a language model make of an utterance."""

from dataclasses import dataclass, replace
from math import inf
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from lth.decoding.options import check
from lth.models.transducer import State, Transducer
from lth.speech.tokens import Tokens


@dataclass(frozen=True)
class Hypothesis:
    """A text that the search may continue.

    ``score`` is the log probability of all alignments so far. ``words`` is what the language model and the
    bonus per word give its complete words; the word that is being spelled begins at ``word``. ``predicted``
    is the predictor's part of the joint, (units,), and ``predictor_state`` its state after the last token.
    """

    tokens: tuple[int, ...] = ()
    score: float = 0.0
    words: float = 0.0
    word: int = 0
    state: Any = None  # of the language model
    predicted: Tensor | None = None
    predictor_state: State | None = None

    @property
    def value(self) -> float:
        """Return what the text is worth: its log probability and what its complete words add."""
        return self.score + self.words


class RNNTBeam:
    """Beam search over a transducer, frame by frame, ``decoder=rnnt_beam`` (Saon, Tueske and Audhkhasi 2020,
    algorithm 1).

    In a frame every text says blank and goes on to the next, and the best ones are also followed by one more token,
    up to ``most`` times; alignments of one text are added up. A text is worth its log probability and
    ``alpha log p(word) + beta`` for each of its complete words.

    Args:
        tokens: of the model's output.
        family: the kind of model.
        width: texts that go on from one frame to the next.
        most: tokens that may come of one frame.
        lm: path of an n-gram model in ARPA or KenLM's binary form, or None.
        alpha, beta: of the language model, and of each word (a bonus where it is positive).

    Raises:
        ValueError: an option makes no sense.
    """

    families: tuple[str, ...] = ("transducer",)

    def __init__(
        self,
        tokens: Tokens,
        family: str,
        *,
        width: int = 8,
        most: int = 3,
        lm: str | None = None,
        alpha: float = 0.5,
        beta: float = 0.0,
    ):
        check(width=width, most=most, lm=lm, alpha=alpha, beta=beta)
        self.tokens, self.width, self.most = tokens, width, most
        self.alpha, self.beta, self.lm = alpha, beta, None
        if lm is not None:
            from lth.decoding.language import model_for

            self.lm = model_for(lm, tokens)

    @torch.no_grad()
    def __call__(self, model: Transducer, encoded: Tensor, lengths: Tensor) -> list[str]:
        """Return the texts of B utterances from what ``model`` returned: (B, T', units) and (B,) lengths."""
        heard = model.joint.heard(encoded)
        return [
            self.tokens.decode(self.search(model, frames[:length]))
            for frames, length in zip(heard, lengths.tolist(), strict=True)
        ]

    @torch.no_grad()
    def search(self, model: Transducer, heard: Tensor) -> tuple[int, ...]:
        """Return the best tokens for (T', units) frames, the encoder's part of the joint."""
        beam = self._predicted(model, [Hypothesis(state=self.lm.start if self.lm else None)], [0], None)
        for frame in heard:
            beam = self._frame(model, frame, beam)
        return max(beam, key=self._final).tokens

    def _frame(self, model: Transducer, heard: Tensor, live: list[Hypothesis]) -> list[Hypothesis]:
        """Return the best texts after one more frame, the best first."""
        done: dict[tuple[int, ...], Hypothesis] = {}
        for spoken in range(self.most + 1):
            logits = model.joint(heard + torch.stack([cast(Tensor, h.predicted) for h in live]))
            scores = logits.float().log_softmax(-1).cpu().double().numpy()
            for h, blank in zip(live, scores[:, 0].tolist(), strict=True):
                _add(done, replace(h, score=h.score + blank))
            if spoken == self.most or not (live := self._extended(model, live, scores, self._bar(done))):
                break
        return self._best(done)

    def _bar(self, done: dict) -> float:
        """Return what a text must be worth to be among the best of a frame; one may be about to complete a word."""
        return self._best(done)[-1].value - max(0.0, self.beta) if len(done) >= self.width else -inf

    def _best(self, hypotheses: dict) -> list[Hypothesis]:
        return sorted(hypotheses.values(), key=lambda h: -h.value)[: self.width]

    def _extended(self, model: Transducer, live: list[Hypothesis], scores: np.ndarray, bar: float) -> list[Hypothesis]:
        """Return the best texts with one token more."""
        completed = [self._completed(h) for h in live]
        extended: dict[tuple[int, ...], Hypothesis] = {}
        for h, done, row in zip(live, completed, scores, strict=True):
            for token in np.argsort(-row[1:], kind="stable")[: 2 * self.width] + 1:
                token = int(token)
                begins = self.tokens.begins_word(token)
                new = replace(done, word=len(h.tokens)) if begins else h
                new = replace(new, tokens=(*h.tokens, token), score=h.score + float(row[token]))
                if new.value > bar:
                    _add(extended, new)
        best = self._best(extended)
        return (
            self._predicted(model, best, [h.tokens[-1] for h in best], [cast(State, h.predictor_state) for h in best])
            if best
            else []
        )

    def _predicted(
        self, model: Transducer, texts: list[Hypothesis], last: list[int], states: list[State] | None
    ) -> list[Hypothesis]:
        """Return the texts with what the predictor makes of their ``last`` tokens."""
        token = torch.tensor(last, device=model.predictor.output.weight.device)[:, None]
        state = None
        if states is not None:
            hidden, cells = zip(*states, strict=True)
            state = (torch.cat(hidden, 1), torch.cat(cells, 1))
        predicted, (h, c) = model.predictor(token, torch.ones_like(token[:, 0]), state)
        return [
            replace(text, predicted=predicted[n, 0], predictor_state=(h[:, n : n + 1], c[:, n : n + 1]))
            for n, text in enumerate(texts)
        ]

    def _completed(self, h: Hypothesis) -> Hypothesis:
        """Return the hypothesis with the word that is being spelled counted as complete."""
        word = self.tokens.decode(h.tokens[h.word :])
        if not word:
            return h
        score, state = self.lm.word(h.state, word) if self.lm else (0.0, None)
        return replace(h, words=h.words + self.alpha * score + self.beta, word=len(h.tokens), state=state)

    def _final(self, h: Hypothesis) -> float:
        done = self._completed(h)
        return done.value + (self.alpha * self.lm.end(done.state) if self.lm else 0.0)


def _add(hypotheses: dict[tuple[int, ...], Hypothesis], h: Hypothesis) -> None:
    """Add the probability of another alignment to that of its text."""
    old = hypotheses.get(h.tokens)
    hypotheses[h.tokens] = h if old is None else replace(old, score=float(np.logaddexp(old.score, h.score)))
