import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lth.models.lengths import valid_frames
from lth.models.residual import NormedRecurrent, ResidualConvs, ResidualDeepSpeech2


def test_a_block_is_two_convolutions_beside_the_identity():
    torch.manual_seed(0)
    block, x = ResidualConvs(3, 10, 0.0), torch.randn(2, 3, 9, 10)
    y = x.transpose(2, 3)  # (B, C, F, T), as torch has images
    for norm, conv in zip(block.norms, block.convs, strict=True):
        y = F.gelu(F.layer_norm(y.transpose(2, 3), (10,), norm.weight, norm.bias)).transpose(2, 3)
        y = F.conv2d(y, conv.weight, conv.bias, padding=1)
    found = block(x, torch.ones(2, 9, dtype=torch.bool))
    torch.testing.assert_close(found, x + y.transpose(2, 3))


def test_both_directions_are_those_of_a_packed_gru():
    torch.manual_seed(0)
    layer, lengths = NormedRecurrent("gru", 6, 5, bidirectional=True, dropout=0.0), torch.tensor([9, 4, 7])
    packed = nn.GRU(6, 5, batch_first=True, bidirectional=True)
    for suffix, module in (("", layer.forwards), ("_reverse", layer.backwards)):
        for name, weight in module.named_parameters():
            getattr(packed, name + suffix).data.copy_(weight)
    x = torch.randn(3, 9, 6)
    y = pack_padded_sequence(F.gelu(layer.norm(x)), lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(packed(y)[0], batch_first=True)
    valid = valid_frames(lengths, 9)[..., None]
    torch.testing.assert_close(layer(x, lengths) * valid, expected * valid)


@pytest.mark.parametrize("directions", [1, 2])
def test_its_size_by_hand(directions):
    """80 bands halve to 40; minGRUs have two matrices and biases a direction."""
    model = ResidualDeepSpeech2(80, 29, channels=32, blocks=2, layers=3, units=512, bidirectional=directions == 2)
    wide = 512 * directions
    convs = (9 + 1) * 32 + 2 * 2 * ((9 * 32 + 1) * 32 + 2 * 40)
    rnns = [2 * inputs + directions * 2 * (inputs + 1) * 512 for inputs in (512, wide, wide)]
    expected = convs + (32 * 40 + 1) * 512 + sum(rnns) + (wide + 1) * 29
    assert sum(p.numel() for p in model.parameters()) == expected
    assert list(model.prunable()) == ["conv", "blocks.0", "blocks.1", "linear", "rnns.0", "rnns.1", "rnns.2", "output"]


def test_sizes_that_make_no_model():
    for options in ({"rnn": "elman"}, {"layers": 0}, {"blocks": -1}):
        with pytest.raises(ValueError, match="blocks not negative"):
            ResidualDeepSpeech2(80, 29, **options)
