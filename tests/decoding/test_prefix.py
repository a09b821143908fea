import math
from itertools import product

import pytest
import torch

from lth.decoding.prefix import CTCPrefixes

FRAMES, TOKENS = 5, 3


def spelled(path):
    merged = [token for n, token in enumerate(path) if n == 0 or token != path[n - 1]]
    return tuple(token for token in merged if token)


@pytest.fixture(scope="module")
def heard():
    """Scores of a few frames, and the probability of every text by adding up all paths."""
    scores = torch.randn(FRAMES, TOKENS, generator=torch.Generator().manual_seed(0), dtype=torch.float64).log_softmax(
        -1
    )
    texts = {}
    for path in product(range(TOKENS), repeat=FRAMES):
        probability = float(scores[range(FRAMES), list(path)].sum().exp())
        texts[spelled(path)] = texts.get(spelled(path), 0.0) + probability
    return scores, texts


def test_every_prefix_as_the_sum_over_all_paths(heard):
    scores, texts = heard
    prefixes = CTCPrefixes(scores)
    known = {(): (0.0, prefixes.start)}
    for length in range(1, 4):
        for text in product(range(1, TOKENS), repeat=length):
            last = text[-2] if length > 1 else 0
            state = known[text[:-1]][1]
            score, state = prefixes.extend(state, torch.tensor([last]), torch.tensor([text[-1]]))
            known[text] = (float(score), state)
    for text, (score, state) in known.items():
        begins = sum(p for whole, p in texts.items() if whole[: len(text)] == text)
        assert math.exp(score) == pytest.approx(begins, abs=1e-12)
        assert prefixes.end(state).exp().item() == pytest.approx(texts.get(text, 0.0), abs=1e-12)


def test_many_prefixes_at_once_as_one_by_one(heard):
    prefixes = CTCPrefixes(heard[0])
    start = prefixes.start.expand(-1, 2, -1)
    _, state = prefixes.extend(start, torch.tensor([0, 0]), torch.tensor([1, 2]))
    both, states = prefixes.extend(state, torch.tensor([1, 2]), torch.tensor([1, 1]))
    for n in range(2):
        one, alone = prefixes.extend(state[:, n : n + 1], torch.tensor([n + 1]), torch.tensor([1]))
        torch.testing.assert_close(both[n : n + 1], one)
        torch.testing.assert_close(states[:, n : n + 1], alone)


def test_a_long_utterance_of_sure_frames():
    scores = torch.full((2000, 3), -60.0)
    scores[:, 0] = 0.0
    scores[1000] = torch.tensor([-60.0, 0.0, -60.0])
    prefixes = CTCPrefixes(scores.log_softmax(-1))
    score, state = prefixes.extend(prefixes.start, torch.tensor([0]), torch.tensor([1]))
    assert score.item() == pytest.approx(0.0, abs=1e-6)
    assert prefixes.end(state).item() == pytest.approx(0.0, abs=1e-6)
