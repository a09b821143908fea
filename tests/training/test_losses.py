"""CTC against the sum over all alignments; warp-ctc through a stand-in that has its interface."""

import itertools
import sys
import types

import pytest
import torch

from lth.errors import UserError
from lth.lottery.setup.setting import prepare
from lth.training.losses import ctc, ctc_utterance, warpctc
from tests.configs import TINY, compose

LENGTHS, TOKENS, SIZES = torch.tensor([4, 3]), torch.tensor([[1, 2, 1], [2, 2, 0]]), torch.tensor([3, 2])


def by_hand_of(logits, length, tokens):
    """-log of the probability of every alignment of one text."""
    x, total = logits.double().softmax(-1), 0.0
    for path in itertools.product(range(x.shape[1]), repeat=length):
        if [token for token, _ in itertools.groupby(path) if token] == tokens.tolist():
            total += float(torch.stack([x[t, token] for t, token in enumerate(path)]).prod())
    return -torch.tensor(total).log()


def by_hand(logits):
    """Per token, averaged over utterances."""
    losses = [
        by_hand_of(x, int(length), tokens[:size]) / int(size)
        for x, length, tokens, size in zip(logits, LENGTHS, TOKENS, SIZES, strict=True)
    ]
    return torch.stack(losses).mean()


def test_per_utterance_it_is_the_sum_over_a_batch_by_the_number_of_its_utterances():
    """Each utterance alone is the loss per token times its tokens; gradients of like texts differ by their length."""
    logits = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    alone = [by_hand_of(x, int(length), tokens[:size]) for x, length, tokens, size in zip(
        logits.detach(), LENGTHS, TOKENS, SIZES, strict=True)]  # fmt: skip
    loss = ctc_utterance(logits, LENGTHS, TOKENS, SIZES)
    assert loss.item() == pytest.approx(float(sum(alone)) / 2, rel=1e-5)
    first = (logits[:1], LENGTHS[:1], TOKENS[:1], SIZES[:1])
    (large,) = torch.autograd.grad(ctc_utterance(*first), logits)
    (small,) = torch.autograd.grad(ctc(*first), logits)
    torch.testing.assert_close(large, 3 * small)


def test_per_utterance_an_impossible_text_counts_as_nothing():
    logits, lengths = torch.zeros(2, 4, 3), torch.tensor([4, 1])
    whole = ctc_utterance(logits[:1], lengths[:1], TOKENS[:1], SIZES[:1])
    assert torch.isinf(ctc_utterance(logits, lengths, TOKENS, SIZES))
    torch.testing.assert_close(ctc_utterance(logits, lengths, TOKENS, SIZES, zero_infinity=True), whole / 2)


def stand_in():
    """The interface of warpctc_pytorch.CTCLoss: (T, B, C) activations, targets in a row, lengths on the CPU."""

    class CTCLoss:
        def __init__(self, blank=0, reduction="mean"):
            assert (blank, reduction) == (0, "none")

        def __call__(self, activations, targets, lengths, sizes):
            assert targets.dtype == lengths.dtype == sizes.dtype == torch.int32 and targets.dim() == 1
            x = activations.log_softmax(-1)
            return torch.nn.functional.ctc_loss(x, targets, lengths, sizes, reduction="none")

    return types.SimpleNamespace(CTCLoss=CTCLoss)


def test_both_are_the_mean_of_the_loss_per_token(monkeypatch):
    monkeypatch.setitem(sys.modules, "warpctc_pytorch", stand_in())
    logits = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    for loss in (ctc, warpctc):
        torch.testing.assert_close(loss(logits, LENGTHS, TOKENS, SIZES), by_hand(logits).float())


@pytest.mark.parametrize("loss", [ctc, warpctc])
def test_a_text_that_does_not_fit_is_nothing_where_that_is_wanted(loss, monkeypatch):
    monkeypatch.setitem(sys.modules, "warpctc_pytorch", stand_in())
    logits = torch.zeros(2, 4, 3)
    assert torch.isinf(loss(logits, torch.tensor([4, 2]), TOKENS, SIZES))
    alone = loss(logits[:1], torch.tensor([4]), TOKENS[:1], SIZES[:1])
    torch.testing.assert_close(loss(logits, torch.tensor([4, 2]), TOKENS, SIZES, zero_infinity=True), alone / 2)


@pytest.mark.parametrize(
    "words, package", [(["loss=warpctc"], "warpctc-pytorch"), (["decoder=ctcdecode"], "ctcdecode")]
)
def test_a_missing_package_is_named_before_training(words, package, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "warpctc_pytorch", None)
    monkeypatch.setitem(sys.modules, "ctcdecode", None)
    with pytest.raises(UserError, match=f"needs the package {package}, which is not installed"):
        prepare(compose(*TINY, *words, f"corpus.cache={cache}"))
