import math

import pytest
import torch

from lth.models.attention import Attention, Positions, key_mask


def pair(units=12, heads=3):
    """Ours and torch's with the same weights."""
    torch.manual_seed(0)
    ours = Attention(units, heads, 0.0)
    theirs = torch.nn.MultiheadAttention(units, heads, batch_first=True)
    with torch.no_grad():
        for n, linear in enumerate((ours.q, ours.k, ours.v)):
            rows = slice(n * units, (n + 1) * units)
            theirs.in_proj_weight[rows] = linear.weight
            # the bias of a key changes nothing, so any will do
            theirs.in_proj_bias[rows] = torch.randn(units) if linear.bias is None else linear.bias
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    return ours, theirs


def test_across_a_padded_batch_as_torch_computes_it():
    ours, theirs = pair()
    queries, keys, lengths = torch.randn(2, 4, 12), torch.randn(2, 6, 12), torch.tensor([6, 3])
    mask = key_mask(lengths, 6)
    expected, _ = theirs(queries, keys, keys, key_padding_mask=~mask[:, 0, 0])
    torch.testing.assert_close(ours(queries, ours.key_value(keys), mask), expected)


def test_causal_as_torch_computes_it():
    ours, theirs = pair()
    x = torch.randn(2, 5, 12)
    future = torch.ones(5, 5).triu(1).bool()
    expected, _ = theirs(x, x, x, attn_mask=future)
    torch.testing.assert_close(ours(x, ours.key_value(x), causal=True), expected)


def test_heads_divide_the_units():
    with pytest.raises(ValueError, match=r"units=10 .* heads=4"):
        Attention(10, 4, 0.0)


def test_positions_are_those_of_the_paper():
    x = torch.zeros(1, 7, 6)
    found = Positions(0.0)(x, 2)[0]
    for n in range(7):
        for i in range(3):
            angle = (n + 2) / 10_000 ** (2 * i / 6)
            assert found[n, 2 * i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert found[n, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-5)
    torch.testing.assert_close(Positions(0.0)(x + 1)[0] - Positions(0.0)(x)[0], torch.full((7, 6), math.sqrt(6)))
