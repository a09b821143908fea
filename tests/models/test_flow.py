"""SynFlow against a network worked by hand, its conservation law, and finite differences."""

from functools import partial

import pytest
import torch
from torch import nn

from lth.models.conformer import Conformer
from lth.models.deepspeech2 import DeepSpeech2
from lth.models.flow import FRAMES, flow_gradients
from lth.models.transducer import Transducer
from lth.models.transformer import Transformer


class Two(nn.Module):
    """Two linear layers with what the flow must not see: biases, a norm, a ceiling."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)

    def forward(self, x, lengths):
        x = nn.functional.hardtanh(self.norm(self.first(x).transpose(1, 2)).transpose(1, 2), 0, 20)
        return self.second(x), lengths


def test_two_layers_by_hand():
    model = Two()
    weights = {name: torch.full_like(t, 7) for name, t in model.state_dict().items()}
    weights["first.weight"] = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    weights["second.weight"] = torch.tensor([[-5.0, 4.0]])
    found = flow_gradients(model, weights, ["first.weight", "second.weight"], bins=2)
    # R = 5 (1 + 2) + 4 (0 + 3): dR/d|W1| = [[5, 5], [4, 4]], dR/d|W2| = [3, 3]; scaled to 1 at the largest.
    assert torch.allclose(found["first.weight"], torch.tensor([[5.0, 5], [4, 4]]) / 5)
    assert torch.allclose(found["second.weight"], torch.tensor([[3.0, 3]]) / 5)


def small(**options):
    conv = [{"channels": 3, "kernel": [5, 3], "stride": [2, 2]}, {"channels": 2, "kernel": [3, 3], "stride": [2, 1]}]
    torch.manual_seed(0)
    return DeepSpeech2(13, 6, conv=conv, layers=2, units=7, **options)


def scores(model, weights):
    names = [name for layer in model.prunable().values() for name in layer]
    found = flow_gradients(model, weights, names, bins=13)
    return {name: found[name].double() * weights[name].abs() for name in names}


@pytest.mark.parametrize("options", [{}, {"rnn": "gru"}, {"bidirectional": False, "lookahead": 2}], ids=str)
def test_flow_is_conserved_through_the_layers_that_all_paths_go_through(options):
    """Theorem 2 of Tanaka et al.: the scores of such a layer add up to R, whatever the layer."""
    model = small(**options)
    weights = {name: t.clone() for name, t in model.state_dict().items()}
    weights["convs.0.norm.running_var"].fill_(9)  # of a ticket that was trained elsewhere
    found = scores(model, weights)
    cuts = [["convs.0.conv.weight"], ["convs.1.conv.weight"], ["output.weight"]]
    cuts += [[n for n in found if n.startswith(f"rnns.{layer}") and "_ih_" in n] for layer in (0, 1)]
    sums = [float(sum(found[name].sum() for name in names)) for names in cuts]
    assert sums == pytest.approx([sums[0]] * len(cuts), rel=1e-4)
    hidden = [
        float(sum(s.sum() for n, s in found.items() if n.startswith(f"rnns.{k}") and "_hh_" in n)) for k in (0, 1)
    ]
    assert all(0 < h < sums[0] for h in hidden)  # paths that take a recurrent step are some of them


def test_every_gate_counts_alike():
    """The flow goes through the sum of the gates: gates with the same weights have the same scores."""
    model = small()
    weights = {name: t.clone() for name, t in model.state_dict().items()}
    name = "rnns.0.forwards.weight_ih_l0"
    weights[name] = weights[name][:7].repeat(4, 1)
    i, f, g, o = scores(model, weights)[name].chunk(4)
    assert torch.equal(i, f) and torch.equal(i, g) and torch.equal(i, o) and i.min() > 0


def test_what_is_cut_off_scores_nothing_and_an_empty_layer_is_no_division_by_zero():
    model = small()
    weights = {name: t.clone() for name, t in model.state_dict().items()}
    weights["convs.0.conv.weight"][1] = 0  # nothing flows from this channel
    found = scores(model, weights)
    assert not found["convs.1.conv.weight"][:, 1].any() and found["convs.1.conv.weight"][:, 0].all()
    weights["output.weight"].zero_()
    assert not any(score.any() for score in scores(small(), weights).values())


def test_a_transformer_as_the_linear_network_written_out():
    torch.manual_seed(0)
    model = Transformer(
        20, 5, channels=2, units=6, heads=2, feed_forward=7, encoder_layers=1, decoder_layers=1, dropout=0.0
    )
    weights = {name: t.clone() for name, t in model.state_dict().items()}
    names = [name for layer in model.prunable().values() for name in layer]
    w = {name: weights[name].double().abs().requires_grad_() for name in names}

    def attended(to, x, y):
        q, k, v, o = (w[f"{to}.{part}.weight"] for part in ("q", "k", "v", "out"))
        return (x @ q.T + (y @ k.T + y @ v.T).mean(0)) @ o.T

    def fed(to, x):
        return x + x @ w[f"{to}.up.weight"].T @ w[f"{to}.down.weight"].T

    x = torch.ones(1, 1, 20, FRAMES, dtype=torch.float64)
    for n in (1, 2):
        x = nn.functional.conv2d(x, w[f"subsampling.conv{n}.weight"], stride=2)
    x = x[0].permute(2, 0, 1).flatten(1) @ w["subsampling.linear.weight"].T
    x = fed("encoder.0.feed", x + attended("encoder.0.attention", x, x))
    y = torch.ones(len(x), 6, dtype=torch.float64)
    y = y + attended("decoder.layers.0.text", y, y)
    y = fed("decoder.layers.0.feed", y + attended("decoder.layers.0.speech", y, x))
    flow = (x @ w["ctc.weight"].T).sum() + (y @ w["decoder.output.weight"].T).sum()
    expected = dict(zip(w, torch.autograd.grad(flow, list(w.values())), strict=True))
    largest = max(gradient.max() for gradient in expected.values())
    found = flow_gradients(model, weights, names, bins=20)
    for name in names:
        torch.testing.assert_close(found[name].double(), expected[name] / largest, rtol=1e-5, atol=1e-9, msg=name)
        assert found[name].min() > 0


def check_flow(model, names, weights, w, flow, bins):
    """The gradients found are those of ``flow``, made of the absolute ``w``, up to the eps of normalisations."""
    expected = dict(zip(w, torch.autograd.grad(flow, list(w.values())), strict=True))
    largest = max(gradient.max() for gradient in expected.values())
    found = flow_gradients(model, weights, names, bins=bins)
    for name in names:
        torch.testing.assert_close(found[name].double(), expected[name] / largest, rtol=1e-4, atol=1e-9, msg=name)
        assert found[name].min() > 0


def test_a_conformer_as_the_linear_network_written_out():
    torch.manual_seed(0)
    model = Conformer(20, 5, channels=2, layers=1, units=6, heads=2, feed_forward=7, kernel=3, prunable="all")
    weights = {name: t.clone() for name, t in model.state_dict().items()}
    names = [name for layer in model.prunable().values() for name in layer]
    w = {name: weights[name].double().abs().requires_grad_() for name in names}
    depthwise = weights["blocks.0.convolution.depthwise.weight"].double().abs()

    def part(name):
        return w[f"blocks.0.{name}.weight"].T

    def half(name, x):
        return x + 0.5 * (x @ part(f"{name}.up") @ part(f"{name}.down"))

    x = torch.ones(1, 1, 20, FRAMES, dtype=torch.float64)
    for n in (1, 2):
        x = nn.functional.conv2d(x, w[f"subsampling.conv{n}.weight"], stride=2)
    x = half("before", x[0].permute(2, 0, 1).flatten(1) @ w["subsampling.linear.weight"].T)
    heard = (x @ part("attention.k") + x @ part("attention.v")).mean(0)
    x = x + (x @ part("attention.q") + heard) @ part("attention.out")
    gated = (x @ part("convolution.gated")).view(-1, 2, 6).sum(1)
    near = nn.functional.conv1d(gated.T[None], depthwise, padding=1, groups=6)[0].T
    x = half("after", x + near @ part("convolution.out"))
    check_flow(model, names, weights, w, (x @ w["output.weight"].T).sum(), 20)


def test_a_transducer_as_the_linear_network_written_out():
    torch.manual_seed(0)
    conv = [{"channels": 2, "kernel": [5, 3], "stride": [4, 2]}]
    encoder = partial(DeepSpeech2, conv=conv, layers=1, units=6, bidirectional=False)
    model = Transducer(20, 5, encoder=encoder, predictor=4, joint=7, ctc_weight=0.3)
    weights = {name: t.clone() for name, t in model.state_dict().items()}
    names = [name for layer in model.prunable().values() for name in layer]
    w = {name: weights[name].double().abs().requires_grad_() for name in names}

    def recurrent(name, x):
        inputs, hidden = (w[f"{name}.weight_{kind}_l0"] for kind in ("ih", "hh"))
        now = x @ sum(inputs.chunk(4)).T
        return now + torch.cat([now[:1] * 0, now[:-1]]) @ sum(hidden.chunk(4)).T

    x = torch.ones(1, 1, 20, FRAMES, dtype=torch.float64)
    x = nn.functional.conv2d(x, w["encoder.convs.0.conv.weight"], stride=(4, 2), padding=(2, 1))
    x = recurrent("encoder.rnns.0.forwards", x[0].permute(2, 0, 1).flatten(1))
    said = recurrent("predictor.rnn", torch.ones(len(x), 4, dtype=torch.float64))
    joined = x @ w["joint.heard.weight"].T + said @ w["predictor.output.weight"].T
    flow = (joined @ w["joint.output.weight"].T).sum() + (x @ w["encoder.output.weight"].T).sum()
    check_flow(model, names, weights, w, flow, 20)


def test_modules_of_several_layers_are_refused():
    model = nn.ModuleDict({"rnn": nn.LSTM(3, 3, num_layers=2)})
    with pytest.raises(ValueError, match="one layer and one direction"):
        flow_gradients(model, model.state_dict(), [], bins=3)
