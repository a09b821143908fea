"""Beam search over what an attention decoder, CTC and a language model make of an utterance together."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lth.decoding.options import check
from lth.decoding.prefix import CTCPrefixes
from lth.models.attention import KeyValue
from lth.models.transformer import Transformer
from lth.speech.tokens import Tokens


@dataclass(frozen=True)
class Hypothesis:
    """A text that the search may continue.

    ``attention`` and ``ctc`` are log probabilities: of the decoder for these tokens, and that CTC hears a text that
    begins with them. ``words`` is what the language model and the bonus per word give its complete words; the word
    that is being spelled begins at ``word``.
    """

    tokens: tuple[int, ...] = ()
    attention: float = 0.0
    ctc: float = 0.0
    words: float = 0.0
    word: int = 0
    state: Any = None  # of the language model


class AttentionBeam:
    """Joint one-pass decoding by attention and CTC, ``decoder=attention_beam`` (Watanabe et al. 2017, algorithm 1; Hori
    et al. 2017).

    A text is worth ``(1 - ctc_weight) log p_attention + ctc_weight log p_CTC``, and ``alpha log p(word) + beta`` for
    each of its words; an unfinished one by its CTC prefix score. Token by token the ``width`` best ones go on. It ends
    when none of them can overtake the best finished one, or when there are as many tokens as frames.

    Args:
        tokens: of the model's output.
        family: the kind of model.
        width: texts that go on from one token to the next.
        ctc_weight: 0 is attention alone, 1 is CTC alone (the tokens tried are still those that attention proposes).
        candidates: the likeliest next tokens of each text, by attention, that are tried; None: one and a half times
            ``width``.
        lm: path of an n-gram model in ARPA or KenLM's binary form, or None.
        alpha, beta: of the language model, and of each word (a bonus where it is positive).

    Raises:
        ValueError: an option makes no sense.
    """

    families: tuple[str, ...] = ("attention",)

    def __init__(
        self,
        tokens: Tokens,
        family: str,
        *,
        width: int = 10,
        ctc_weight: float = 0.3,
        candidates: int | None = None,
        lm: str | None = None,
        alpha: float = 0.5,
        beta: float = 0.0,
    ):
        check(width=width, ctc_weight=ctc_weight, candidates=candidates, lm=lm, alpha=alpha, beta=beta)
        self.tokens, self.width, self.ctc_weight = tokens, width, ctc_weight
        self.candidates = min(len(tokens) - 1, candidates or width + (width + 1) // 2)
        self.alpha, self.beta, self.lm = alpha, beta, None
        if lm is not None:
            from lth.decoding.language import model_for

            self.lm = model_for(lm, tokens)

    @torch.no_grad()
    def __call__(self, model: Transformer, encoded: Tensor, lengths: Tensor) -> list[str]:
        """Return the texts of B utterances from what ``model`` returned: (B, T', units) and (B,) lengths."""
        return [
            self.tokens.decode(self.search(model, frames[None, :length]) if length else ())
            for frames, length in zip(encoded, lengths.tolist(), strict=True)
        ]

    def search(self, model: Transformer, encoded: Tensor) -> tuple[int, ...]:
        """Return the best tokens for the (1, T', units) that the encoder made of one utterance."""
        prefixes = CTCPrefixes(model.ctc(encoded)[0].float().log_softmax(-1).cpu())
        speech = model.decoder.key_values(encoded)
        live, states, kv_cache = [Hypothesis(state=self.lm.start if self.lm else None)], prefixes.start, None
        best, best_tokens = -torch.inf, ()
        for tokens_left in range(encoded.shape[1], -1, -1):
            scores, kv_cache = self._attend(model, live, speech, kv_cache)
            completed = [self._completed(h) for h in live]
            ended = prefixes.end(states).tolist()
            for h, done, next_scores, ctc in zip(live, completed, scores.tolist(), ended, strict=True):
                end = self.alpha * self.lm.end(done.state) if self.lm else 0.0
                total = self._total(h.attention + next_scores[0], ctc, done.words + end)
                if total > best:
                    best, best_tokens = total, h.tokens
            if not tokens_left:
                break
            live, states, parents = self._extend(live, completed, scores, prefixes, states)
            kv_cache = [(keys[parents], values[parents]) for keys, values in kv_cache]
            # what is to come costs, but for a bonus on every word; one may be about to be completed
            hope = max((self._value(h) for h in live), default=-torch.inf)
            if best >= hope + max(0.0, self.beta) * tokens_left:
                break
        return best_tokens

    def _attend(
        self, model: Transformer, live: list[Hypothesis], speech: list[KeyValue], kv_cache: list[KeyValue] | None
    ) -> tuple[Tensor, list[KeyValue]]:
        """Return (H, tokens) log probabilities of what comes next, and the decoder's keys and values."""
        last = torch.tensor([[h.tokens[-1] if h.tokens else 0] for h in live], device=speech[0][0].device)
        shape = (len(live), -1, -1, -1)
        speech = [(keys.expand(shape), values.expand(shape)) for keys, values in speech]
        logits, key_values = model.decoder(last, torch.ones_like(last[:, 0]), speech, None, kv_cache)
        return logits[:, -1].float().log_softmax(-1).cpu().double(), key_values

    def _extend(
        self, live: list[Hypothesis], completed: list[Hypothesis], scores: Tensor, prefixes: CTCPrefixes, states: Tensor
    ) -> tuple[list[Hypothesis], Tensor, Tensor]:
        """Return the best hypotheses with one token more, their CTC states and the places of those they come from."""
        token_scores, tokens = scores[:, 1:].topk(self.candidates)
        tokens = tokens.flatten() + 1
        parents = torch.arange(len(live)).repeat_interleave(self.candidates)
        last = torch.tensor([h.tokens[-1] if h.tokens else 0 for h in live])
        ctc, states = prefixes.extend(states[:, parents], last[parents], tokens)
        extended = []
        for parent, token, attention, ctc_score in zip(
            parents.tolist(), tokens.tolist(), token_scores.flatten().tolist(), ctc.tolist(), strict=True
        ):
            h = live[parent]
            new = {"tokens": (*h.tokens, token), "attention": h.attention + attention, "ctc": ctc_score}
            if self.tokens.begins_word(token):
                done = completed[parent]
                extended.append(Hypothesis(**new, words=done.words, word=len(h.tokens), state=done.state))
            else:
                extended.append(Hypothesis(**new, words=h.words, word=h.word, state=h.state))
        values = torch.tensor([self._value(h) for h in extended], dtype=torch.float64)
        kept = [n for n in values.topk(min(self.width, len(extended))).indices.tolist() if values[n] > -torch.inf]
        return [extended[n] for n in kept], states[:, kept], parents[kept]

    def _completed(self, h: Hypothesis) -> Hypothesis:
        """Return the hypothesis with the word that is being spelled counted as complete."""
        word = self.tokens.decode(h.tokens[h.word :])
        if not word:
            return h
        score, state = self.lm.word(h.state, word) if self.lm else (0.0, None)
        words = h.words + self.alpha * score + self.beta
        return Hypothesis(h.tokens, h.attention, h.ctc, words, len(h.tokens), state)

    def _value(self, h: Hypothesis) -> float:
        return self._total(h.attention, h.ctc, h.words)

    def _total(self, attention: float, ctc: float, words: float) -> float:
        weighted = self.ctc_weight * ctc if self.ctc_weight else 0.0  # 0 x -inf is not a number
        return (1 - self.ctc_weight) * attention + weighted + words
