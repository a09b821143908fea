"""Beam search over what a transducer and a language model make of an utterance."""

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lth.models.transducer import State
from lth.speech.tokens import Tokens


@dataclass(frozen=True)
class Hypothesis:
    """A text that may go on.

    ``score`` is the log probability of all its alignments found so far. ``words`` is what the language model and the
    bonus per word give its complete words; the word that is being spelled begins at ``word``. ``said`` is the
    predictor's part of the joint, (units,), and ``memory`` the predictor's state after the last token.
    """

    tokens: tuple[int, ...] = ()
    score: float = 0.0
    words: float = 0.0
    word: int = 0
    state: Any = None  # of the language model
    said: Tensor | None = None
    memory: State | None = None

    @property
    def value(self) -> float:
        return self.score + self.words


class RNNTBeam:
    """``decoder=rnnt_beam``: frame by frame (Saon, Tueske and Audhkhasi 2020, algorithm 1).

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
        ValueError: no width, no token of a frame, a negative alpha.
    """

    families = ("transducer",)

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
        if width < 1 or most < 1 or alpha < 0:
            raise ValueError(f"width={width} and most={most} are at least 1, alpha={alpha} is not negative")
        self.tokens, self.width, self.most = tokens, width, most
        self.alpha, self.beta, self.lm = alpha, beta, None
        if lm is not None:
            from lth.decoding.language import LanguageModel

            self.lm = LanguageModel(lm)

    @torch.no_grad()
    def __call__(self, model: nn.Module, encoded: Tensor, lengths: Tensor) -> list[str]:
        """What ``model`` returned for B utterances to their texts."""
        heard = model.joint.heard(encoded)
        return [
            self.tokens.decode(self.search(model, frames[:length]))
            for frames, length in zip(heard, lengths.tolist(), strict=True)
        ]

    @torch.no_grad()
    def search(self, model: nn.Module, heard: Tensor) -> tuple[int, ...]:
        """The best tokens for (T', units) frames, the encoder's part of the joint."""
        beam = self._predicted(model, [Hypothesis(state=self.lm.start if self.lm else None)], [0], None)
        for frame in heard:
            beam = self._frame(model, frame, beam)
        return max(beam, key=self._final).tokens

    def _frame(self, model: nn.Module, heard: Tensor, live: list[Hypothesis]) -> list[Hypothesis]:
        """The best texts after one more frame, the best first."""
        done: dict[tuple[int, ...], Hypothesis] = {}
        for spoken in range(self.most + 1):
            logits = model.joint(heard + torch.stack([h.said for h in live]))
            scores = logits.float().log_softmax(-1).cpu().double().numpy()
            for h, blank in zip(live, scores[:, 0].tolist(), strict=True):
                _add(done, replace(h, score=h.score + blank))
            if spoken == self.most or not (live := self._extended(model, live, scores, self._bar(done))):
                break
        return self._best(done)

    def _bar(self, done: dict) -> float:
        """What a text must be worth to be among the best of a frame; one may be about to complete a word."""
        return self._best(done)[-1].value - max(0.0, self.beta) if len(done) >= self.width else -inf

    def _best(self, found: dict) -> list[Hypothesis]:
        return sorted(found.values(), key=lambda h: -h.value)[: self.width]

    def _extended(self, model: nn.Module, live: list[Hypothesis], scores: np.ndarray, bar: float) -> list[Hypothesis]:
        """The best texts with one token more."""
        whole = [self._completed(h) for h in live]
        made: dict[tuple[int, ...], Hypothesis] = {}
        for h, done, row in zip(live, whole, scores, strict=True):
            for token in np.argsort(-row[1:], kind="stable")[: 2 * self.width] + 1:
                token = int(token)
                begins = self.tokens.begins_word(token)
                new = replace(done, word=len(h.tokens)) if begins else h
                new = replace(new, tokens=(*h.tokens, token), score=h.score + float(row[token]))
                if new.value > bar:
                    _add(made, new)
        best = self._best(made)
        return self._predicted(model, best, [h.tokens[-1] for h in best], [h.memory for h in best]) if best else []

    def _predicted(
        self, model: nn.Module, texts: list[Hypothesis], last: list[int], memory: list[State] | None
    ) -> list[Hypothesis]:
        """The texts with what the predictor makes of their ``last`` tokens."""
        token = torch.tensor(last, device=model.predictor.output.weight.device)[:, None]
        if memory is not None:
            memory = tuple(torch.cat(part, 1) for part in zip(*memory, strict=True))
        said, (h, c) = model.predictor(token, torch.ones_like(token[:, 0]), memory)
        return [
            replace(text, said=said[n, 0], memory=(h[:, n : n + 1], c[:, n : n + 1])) for n, text in enumerate(texts)
        ]

    def _completed(self, h: Hypothesis) -> Hypothesis:
        """With the word that is being spelled counted as complete."""
        word = self.tokens.decode(h.tokens[h.word :])
        if not word:
            return h
        score, state = self.lm.word(h.state, word) if self.lm else (0.0, None)
        return replace(h, words=h.words + self.alpha * score + self.beta, word=len(h.tokens), state=state)

    def _final(self, h: Hypothesis) -> float:
        done = self._completed(h)
        return done.value + (self.alpha * self.lm.end(done.state) if self.lm else 0.0)


def _add(found: dict[tuple[int, ...], Hypothesis], h: Hypothesis) -> None:
    """Another alignment of a text adds to its probability."""
    old = found.get(h.tokens)
    found[h.tokens] = h if old is None else replace(old, score=float(np.logaddexp(old.score, h.score)))
