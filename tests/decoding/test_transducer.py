"""Greedy and beam decoding of transducers against searches that try everything."""

import math
from functools import partial
from itertools import product

import pytest
import torch

from lth.decoding.rnnt_beam import RNNTBeam
from lth.decoding.transducer import best_tokens
from lth.models.deepspeech2 import DeepSpeech2
from lth.models.transducer import Transducer
from lth.speech.tokens import CharacterTokens

CONV = [{"channels": 2, "kernel": [5, 3], "stride": [4, 2]}]


def model(tokens, seed=0):
    torch.manual_seed(seed)
    encoder = partial(DeepSpeech2, conv=CONV, layers=1, units=6)
    made = Transducer(20, tokens, encoder=encoder, predictor=5, joint=7).eval()
    with torch.no_grad():
        for p in (*made.predictor.parameters(), *made.joint.parameters()):
            p.mul_(3)  # so that what was said matters
    return made


@torch.no_grad()
def after(made, frame, tokens):
    """Log probabilities of what comes after these tokens in this frame, nothing remembered."""
    said, _ = made.predictor(torch.tensor([[0, *tokens]]), torch.tensor([len(tokens) + 1]))
    hidden = torch.tanh(made.joint.heard(frame) + said[0, -1])
    return made.joint.output(hidden).double().log_softmax(-1)


def test_greedy_takes_the_likeliest_token_at_every_step_and_alone_as_in_a_batch():
    made, most, lengths = model(5), 3, torch.tensor([7, 3, 5, 1])
    encoded = 2 * torch.randn(4, 7, 6)
    expected = []
    for frames, length in zip(encoded, lengths, strict=True):
        text = []
        for frame in frames[:length]:
            for _ in range(most):
                token = int(after(made, frame, text).argmax())
                if not token:
                    break
                text.append(token)
        expected.append(text)
    assert len({tuple(text) for text in expected}) == 4
    assert best_tokens(made, encoded, lengths, most) == expected
    alone = [
        best_tokens(made, frames[None, :n], torch.tensor([n]), most)[0]
        for frames, n in zip(encoded, lengths.tolist(), strict=True)
    ]
    assert alone == expected


def everything(made, frames, most):
    """Log probability of every text of at most ``most`` tokens a frame, summed over its alignments."""
    found = {(): 0.0}
    for frame in frames:
        ways: dict[tuple, list[float]] = {}
        for text, score in found.items():
            for count in range(most + 1):
                for spoken in product((1, 2), repeat=count):
                    total, said = score, list(text)
                    for token in spoken:
                        total += float(after(made, frame, said)[token])
                        said.append(token)
                    ways.setdefault(tuple(said), []).append(total + float(after(made, frame, said)[0]))
        found = {text: float(torch.tensor(scores, dtype=torch.float64).logsumexp(0)) for text, scores in ways.items()}
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_wide_beam_finds_the_likeliest_text(seed):
    made = model(3, seed)
    frames = 2 * torch.randn(3, 6)
    scores = everything(made, frames, 2)
    beam = RNNTBeam(CharacterTokens("a "), "transducer", width=200, most=2)
    assert beam.search(made, made.joint.heard(frames)) == max(scores, key=scores.get)


class Words:
    """A language model of one word that may or may not come after itself."""

    start = "none"

    def word(self, state, word):
        return (-1.0 if state == "none" else -2.5) - 0.7 * len(word), "some"

    def end(self, state):
        return -0.2 if state == "some" else -4.0


@pytest.mark.parametrize("characters", ["a ", "ab"], ids=["with spaces", "every character a word"])
def test_a_wide_beam_with_a_language_model_finds_the_best_text(characters):
    made, tokens, alpha, beta = model(3), CharacterTokens(characters), 0.8, 1.5
    frames = 2 * torch.randn(3, 6)
    lm, scores = Words(), everything(made, frames, 2)
    for text in scores:
        state = lm.start
        for word in tokens.decode(text).split() if " " in characters else tokens.decode(text):
            score, state = lm.word(state, word)
            scores[text] += alpha * score + beta
        scores[text] += alpha * lm.end(state)
    beam = RNNTBeam(tokens, "transducer", width=200, most=2, alpha=alpha, beta=beta)
    beam.lm = lm
    assert beam.search(made, made.joint.heard(frames)) == max(scores, key=scores.get)


def test_a_beam_hears_an_utterance_alone_as_in_a_batch():
    made, lengths = model(3), torch.tensor([6, 2, 4])
    encoded = 2 * torch.randn(3, 6, 6)
    beam = RNNTBeam(CharacterTokens("ab"), "transducer", width=3)
    together = beam(made, encoded, lengths)
    assert together == [beam(made, x[None, :n], torch.tensor([n]))[0] for x, n in zip(encoded, lengths, strict=True)]
    assert any(together)


def test_options_that_will_not_do():
    for name, value in (("width", 0), ("most", 0), ("alpha", -math.inf)):
        with pytest.raises(ValueError, match=f"^{name}={value} is not a"):
            RNNTBeam(CharacterTokens("ab"), "transducer", **{name: value})
