"""The conformer against torchaudio's, on one utterance without padding, where that one is right."""

import math

import pytest
import torch
from torchaudio.models.conformer import ConformerLayer

from lth.lottery.setup.build import build
from lth.models.conformer import Block, Conformer, Convolution
from lth.models.deepspeech2 import parameters
from tests.configs import compose

UNITS, HEADS, HIDDEN, KERNEL = 12, 3, 20, 5


def pair():
    """Ours and torchaudio's with the same weights."""
    torch.manual_seed(0)
    ours = Block(UNITS, HEADS, HIDDEN, KERNEL, 0.0)
    theirs = ConformerLayer(UNITS, HIDDEN, HEADS, KERNEL)
    half = {"norm": 0, "up": 1, "down": 4}
    convolution = theirs.conv_module.sequential
    twins = [
        *((getattr(ours.before, name), theirs.ffn1.sequential[n]) for name, n in half.items()),
        *((getattr(ours.after, name), theirs.ffn2.sequential[n]) for name, n in half.items()),
        (ours.attention_norm, theirs.self_attn_layer_norm),
        (ours.attention.out, theirs.self_attn.out_proj),
        (ours.convolution.norm, theirs.conv_module.layer_norm),
        (ours.convolution.gated, convolution[0]),
        (ours.convolution.depthwise, convolution[2]),
        (ours.convolution.frame_norm, convolution[3]),
        (ours.convolution.out, convolution[5]),
        (ours.norm, theirs.final_layer_norm),
    ]
    with torch.no_grad():
        for mine, twin in twins:
            for name, value in mine.state_dict().items():
                own = twin.state_dict()[name]
                own.copy_(torch.rand(own.shape) + 0.1 if value.is_floating_point() else value)
                if own.is_floating_point() and own.dim() > 1:
                    own.mul_(0.3)
                value.copy_(own.view(value.shape))
        if convolution[2].bias is not None:
            convolution[2].bias.zero_()
        for n, part in enumerate((ours.attention.q, ours.attention.k, ours.attention.v)):
            rows = slice(n * UNITS, (n + 1) * UNITS)
            theirs.self_attn.in_proj_weight[rows] = part.weight
            theirs.self_attn.in_proj_bias[rows] = 0.0 if part.bias is None else part.bias
    return ours, theirs


@pytest.mark.parametrize("training", [True, False])
def test_a_block_is_torchaudios(training):
    ours, theirs = pair()
    x = torch.randn(1, 9, UNITS)
    valid = torch.ones(1, 9, dtype=torch.bool)
    expected = theirs.train(training)(x.transpose(0, 1), None).transpose(0, 1)
    torch.testing.assert_close(ours.train(training)(x, valid, valid[:, None, None]), expected, rtol=1e-4, atol=1e-5)


def test_the_paper_has_its_size():
    with torch.device("meta"):
        model = build(compose("model=conformer_paper"), "model", features=80, tokens=29)
    assert len(model.blocks) == 17
    assert parameters(model) == pytest.approx(65.8e6, rel=0.01)
    assert parameters(model) == 65_511_469


def test_what_is_prunable():
    options = {"channels": 3, "layers": 2, "units": 8, "heads": 2, "feed_forward": 12, "kernel": 3}
    linear = Conformer(20, 5, **options).prunable()
    blocks = [f"blocks.{n}.{part}" for n in range(2) for part in ("before", "attention", "after")]
    assert list(linear) == ["subsampling.linear", *blocks, "output"]
    assert linear["blocks.1.attention"] == [f"blocks.1.attention.{part}.weight" for part in ("q", "k", "v", "out")]
    every = Conformer(20, 5, **options, prunable="all").prunable()
    assert every.keys() - linear.keys() == {
        "subsampling.conv1", "subsampling.conv2", "blocks.0.convolution", "blocks.1.convolution"
    }  # fmt: skip
    assert every["blocks.0.convolution"] == ["blocks.0.convolution.gated.weight", "blocks.0.convolution.out.weight"]


@pytest.mark.parametrize("wrong", [{"kernel": 4}, {"layers": 0}, {"heads": 5}, {"prunable": "some"}], ids=str)
def test_what_will_not_do_is_said(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong)))):
        Conformer(80, 5, **wrong)


def test_a_strided_convolution_is_every_other_frame_of_one_without_stride():
    torch.manual_seed(0)
    strided, plain = (Convolution(6, 5, 0.0, outputs=8, stride=stride).eval() for stride in (2, 1))
    plain.load_state_dict(strided.state_dict())
    for length in (8, 9):
        x, valid = torch.randn(1, 9, 6), torch.arange(9)[None] < length
        torch.testing.assert_close(strided(x, valid), plain(x, valid)[:, ::2])


def test_stages_by_hand():
    """A half, a quarter and an eighth of the frames: the last block of a stage halves them and widens."""
    model = build(compose("model=conformer_efficient_paper"), "model", features=80, tokens=256).eval()
    assert [block.convolution.stride for block in model.blocks] == [1] * 4 + [2] + [1] * 5 + [2] + [1] * 5
    widths = [block.norm.normalized_shape[0] for block in model.blocks]
    assert widths == [256] * 4 + [384] * 6 + [512] * 6
    first = (100 - 3) // 2 + 1
    assert model.out_length(100) == math.ceil(math.ceil(first / 2) / 2) == 13
    assert isinstance(model.blocks[0].convolution.beside, torch.nn.Identity)
    with pytest.raises(ValueError, match="same number of stages"):
        Conformer(80, 5, layers=[1, 2], units=[8, 8])
    for wrong in ("wide", [8.5], [True]):
        with pytest.raises(ValueError, match="whole numbers"):
            Conformer(80, 5, units=wrong)
