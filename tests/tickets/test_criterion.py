"""Scores by hand, and what a criterion says of what it wants."""

import pytest
import torch

from lth.tickets.criterion import Magnitude, Saliency, Snip, SynFlow, Wanda

WEIGHT = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
EVIDENCE = {"w": torch.tensor([[5.0, 1.0], [9.0, -1.0]])}


@pytest.mark.parametrize("criterion", [Saliency(), Snip(), SynFlow()], ids=str)
def test_weight_times_gradient(criterion):
    assert criterion("w", WEIGHT, None, EVIDENCE).tolist() == [[5, 2], [0, 3]]


def test_wanda_spreads_a_norm_per_feature_over_the_rows():
    assert Wanda()("w", WEIGHT, None, {"w": torch.tensor([[10.0, 1.0]])}).tolist() == [[10, 2], [0, 3]]
    conv = torch.ones(4, 2, 3, 3)
    norms = torch.rand(1, 2, 3, 3)
    assert torch.equal(Wanda()("w", conv, None, {"w": norms})[3], norms[0])


def test_what_is_scored_when_and_with_what():
    assert [(c.needs, c.scored_at, c.steps) for c in (Magnitude(), Saliency(), Snip(), SynFlow(7), Wanda())] == [
        (None, "trained", 1),
        ("gradients", "trained", 1),
        ("gradients", "init", 1),
        ("flow", "init", 7),
        ("norms", "trained", 1),
    ]


@pytest.mark.parametrize("criterion", [Saliency(), SynFlow(), Wanda()], ids=str)
@pytest.mark.parametrize("evidence", [None, {}, {"other": WEIGHT}])
def test_without_evidence_there_is_no_score(criterion, evidence):
    with pytest.raises(ValueError, match=f"no evidence on w, and {type(criterion).__name__} cannot"):
        criterion("w", WEIGHT, None, evidence)


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_bad_counts(value):
    for make in (Saliency, Snip, Wanda):
        with pytest.raises(ValueError, match="utterances is a whole number of at least 1"):
            make(utterances=value)
    for make in (Snip, SynFlow):
        with pytest.raises(ValueError, match="steps is a whole number of at least 1"):
            make(steps=value)
