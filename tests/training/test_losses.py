"""CTC against the sum over all alignments; warp-ctc through a stand-in that has its interface."""

import itertools
import sys
import types

import pytest
import torch

from lth.errors import UserError
from lth.lottery.setup.setting import prepare
from lth.training.losses import ctc, warpctc
from tests.configs import TINY, compose

LENGTHS, TOKENS, SIZES = torch.tensor([4, 3]), torch.tensor([[1, 2, 1], [2, 2, 0]]), torch.tensor([3, 2])


def by_hand(logits):
    """-log of the probability of every alignment of the text, per token, averaged over utterances."""
    losses = []
    for x, length, tokens, size in zip(logits.double().softmax(-1), LENGTHS, TOKENS, SIZES, strict=True):
        total = 0.0
        for path in itertools.product(range(x.shape[1]), repeat=int(length)):
            if [token for token, _ in itertools.groupby(path) if token] == tokens[:size].tolist():
                total += float(torch.stack([x[t, token] for t, token in enumerate(path)]).prod())
        losses.append(-torch.tensor(total).log() / int(size))
    return torch.stack(losses).mean()


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
