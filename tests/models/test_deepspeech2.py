import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lth.lottery.setup.build import build
from lth.models.deepspeech2 import DeepSpeech2, Lookahead, RecurrentBlock
from lth.models.lengths import FrameBatchNorm, reverse_within, valid_frames
from tests.configs import compose

CONV = [{"channels": 4, "kernel": (11, 5), "stride": (2, 2)}, {"channels": 4, "kernel": (7, 5), "stride": (2, 1)}]
VARIANTS = [
    {"rnn": "lstm", "bidirectional": True},
    {"rnn": "gru", "bidirectional": True},
    {"rnn": "lstm", "bidirectional": False, "lookahead": 3},
    {"rnn": "gru", "bidirectional": False},
]


def small(**options) -> DeepSpeech2:
    torch.manual_seed(0)
    return DeepSpeech2(20, 7, conv=CONV, layers=2, units=9, **options)


def settle(model: nn.Module, lengths: torch.Tensor, x: torch.Tensor) -> None:
    """A few training passes, so that normalisation statistics are not those of the init."""
    model.train()
    for _ in range(3):
        model(x, lengths)
    model.eval()


def padded(lengths, bins: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor(lengths)
    x = torch.randn(len(lengths), int(lengths.max()), bins)
    return x * valid_frames(lengths, x.shape[1])[..., None], lengths


@pytest.mark.parametrize("options", VARIANTS)
def test_an_utterance_alone_and_in_any_batch(options):
    model = small(**options)
    x, lengths = padded([50, 31, 77, 16])
    settle(model, lengths, x)
    together, out = model(x, lengths)
    for n, length in enumerate(lengths.tolist()):
        alone, (frames,) = model(x[n : n + 1, :length], lengths[n : n + 1])
        assert frames == out[n] == model.out_length(length)
        torch.testing.assert_close(together[n, :frames], alone[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", VARIANTS)
def test_padding_does_not_reach_the_training_signal(options):
    """Gradients and statistics of a batch do not change when it is padded further."""
    x, lengths = padded([30, 44])
    results = []
    for extra in (0, 25):
        model = small(**options).train()
        y, out = model(torch.nn.functional.pad(x, (0, 0, 0, extra)), lengths)
        sum(y[n, :frames].square().sum() for n, frames in enumerate(out)).backward()
        results.append({**{k: p.grad for k, p in model.named_parameters()}, **dict(model.named_buffers())})
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_two_directions_equal_a_packed_bidirectional_layer(cell):
    block = RecurrentBlock(cell.__name__.lower(), 5, 6, bidirectional=True, norm=False)
    reference = cell(5, 6, batch_first=True, bidirectional=True)
    for name, parameter in reference.named_parameters():
        half = block.backwards if name.endswith("_reverse") else block.forwards
        parameter.data.copy_(dict(half.named_parameters())[name.removesuffix("_reverse")].data)
    x, lengths = padded([9, 4, 12], 5)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(reference(packed)[0], batch_first=True)[0]
    expected = expected[..., :6] + expected[..., 6:]
    valid = valid_frames(lengths, 12)
    torch.testing.assert_close(block(x, lengths, valid)[valid], expected[valid], rtol=1e-5, atol=1e-6)


def test_reverse_within_by_hand():
    x = torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7]])[..., None]
    assert reverse_within(x, torch.tensor([3, 4]))[..., 0].tolist() == [[3, 2, 1, 0], [7, 6, 5, 4]]


@pytest.mark.parametrize("shape", [(2, 6, 3), (2, 6, 3, 4)])
def test_norm_equals_batch_norm_of_the_real_frames(shape):
    norm, reference = FrameBatchNorm(3), nn.BatchNorm1d(3)
    x, valid = torch.randn(shape) * 2 + 1, valid_frames(torch.tensor([4, 6]), 6)
    frames = torch.cat([x[0, :4], x[1]])
    torch.testing.assert_close(norm(x, valid)[valid], reference(frames))
    torch.testing.assert_close(norm.running_var, reference.running_var)
    norm.eval(), reference.eval()
    torch.testing.assert_close(norm(x, valid)[valid], reference(frames), rtol=1e-5, atol=1e-5)
    assert not norm(x, valid)[~valid].any()


def test_lookahead_is_a_weighted_sum_of_the_frames_ahead():
    layer = Lookahead(2, context=2)
    x = torch.rand(1, 5, 2)
    weight = layer.conv.weight[:, 0]
    expected = torch.zeros(5, 2)
    for t in range(5):
        for ahead in range(3):
            if t + ahead < 5:
                expected[t] += weight[:, ahead] * x[0, t + ahead]
    torch.testing.assert_close(layer(x, torch.ones(1, 5, dtype=torch.bool))[0], expected.clamp(0, 20))


def test_the_causal_model_sees_no_further_than_its_lookahead():
    model = small(bidirectional=False, lookahead=2).eval()
    x, lengths = padded([80])
    x.requires_grad_()
    y, _ = model(x, lengths)
    y[0, 10].sum().backward()
    seen = x.grad[0].abs().sum(1).nonzero().max()
    # two frames of lookahead at stride 2, and 2 + 2 * 2 future frames of the two convolutions
    assert seen == (10 + 2) * 2 + 2 + 2 * 2


def test_paper_preset_has_the_published_size():
    config = compose("model=deepspeech2_paper")
    with torch.device("meta"):
        model = build(config, "model", features=161, tokens=29)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == 86.62


def test_mlperf_preset_has_the_layers_of_the_benchmark():
    """Its printed layers: GRU(672, 2560) after two convolutions without padding, then two of 2560, Linear 29."""
    with torch.device("meta"):
        model = build(compose("model=deepspeech2_mlperf"), "model", features=161, tokens=29)
    assert model.rnns[0].forwards.input_size == 672
    convolutions = 32 * 41 * 11 + 32 * 32 * 21 * 11 + 2 * 2 * 32
    first = 3 * 2560 * (672 + 2560 + 2)
    others = 2 * (2 * 2560 + 3 * 2560 * (2560 + 2560 + 2))
    assert sum(p.numel() for p in model.parameters()) == convolutions + first + others + 2 * 2560 + 2560 * 29


@pytest.mark.parametrize("preset", ["deepspeech2", "deepspeech2_paper", "deepspeech2_streaming", "deepspeech2_mlperf"])
def test_prunable_weights_are_those_of_the_paper(preset):
    with torch.device("meta"):
        model = build(compose(f"model={preset}"), "model", features=161, tokens=29)
    layers = model.prunable()
    assert list(layers) == ["convs.0", "convs.1", *(f"rnns.{n}" for n in range(len(model.rnns))), "output"]
    shapes = {name: p.shape for name, p in model.named_parameters()}
    names = [name for layer in layers.values() for name in layer]
    assert len(set(names)) == len(names)
    assert all(len(shapes[name]) in (2, 4) for name in names)
    left = set(shapes) - set(names)
    assert all("norm" in name or "bias" in name or "lookahead" in name for name in left)
