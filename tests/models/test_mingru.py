"""minGRU and minLSTM against loops over frames in float64, written out as the paper has them."""

import pytest
import torch

from lth.models.mingru import MinGRU, MinLSTM
from lth.models.scan import positive, scan, states

BOTH = pytest.mark.parametrize("cell", [MinGRU, MinLSTM])


def by_hand(layer, x):
    """Feng et al. (2024), sections 3.1 and 3.2, one frame after the other in float64."""
    weights = {name: p.double() for name, p in layer.named_parameters()}

    def linear(name, frame):
        return frame @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    h, found = torch.zeros(len(x), layer.candidate.out_features, dtype=torch.float64), []
    for frame in x.double().unbind(1):
        new = linear("candidate", frame)
        new = torch.where(new >= 0, new + 0.5, 1 / (1 + torch.exp(-new)))
        if isinstance(layer, MinGRU):
            z = torch.sigmoid(linear("gate", frame))
            h = (1 - z) * h + z * new
        else:
            f, i = torch.sigmoid(linear("forget", frame)), torch.sigmoid(linear("input", frame))
            h = f / (f + i) * h + i / (f + i) * new
        found.append(h)
    return torch.stack(found, 1)


@BOTH
@pytest.mark.parametrize("frames", [1, 2, 3, 35, 36, 37, 2000])
@pytest.mark.parametrize("sharp", [1, 30])  # gates that are nearly shut for long
def test_all_at_once_equals_a_loop_over_frames(cell, frames, sharp):
    torch.manual_seed(0)
    layer, x = cell(5, 7), sharp * torch.randn(2, frames, 5)
    y, last = layer(x)
    expected = by_hand(layer, x)
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(last, y[:, -1])
    state = None
    for t, frame in enumerate(x.unbind(1)):
        state = layer.step(frame, state)
        torch.testing.assert_close(state.double(), expected[:, t], rtol=1e-4, atol=1e-4)


@BOTH
def test_gradients_equal_those_of_the_loop(cell):
    torch.manual_seed(0)
    layer, x = cell(4, 3).double(), torch.randn(2, 23, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 23, 3, dtype=torch.float64)
    found = torch.autograd.grad((layer(x)[0] * weights).sum(), [x, *layer.parameters()])
    expected = torch.autograd.grad((by_hand(layer, x) * weights).sum(), [x, *layer.parameters()])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_by_finite_differences():
    arguments = [torch.randn(2, 11, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(states, arguments)


def test_the_scan_in_the_paper_s_logarithms():
    """Appendix B: h = exp(a* + logcumsumexp(log x - a*)), a* the cumulative sum of the logarithms of the decays."""
    decays, inputs = torch.rand(2, 50, 3, dtype=torch.float64), torch.rand(2, 50, 3, dtype=torch.float64)
    a = decays.log().cumsum(1)
    torch.testing.assert_close(scan(decays, inputs), (a + (inputs.log() - a).logcumsumexp(1)).exp())


@BOTH
def test_states_are_fp32_under_autocast(cell):
    torch.manual_seed(0)
    layer, x = cell(6, 6), torch.randn(2, 1500, 6)
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = layer(x)
        logits, candidates = layer.logit(x), layer.candidate(x)
    assert y.dtype == torch.float32
    # of the very same bf16 products a loop in float64 makes the same states
    z, new, h = logits.double().sigmoid(), positive(candidates.double()), 0
    for t in range(1500):
        h = (1 - z[:, t]) * h + z[:, t] * new[:, t]
    torch.testing.assert_close(y[:, -1].double(), h, rtol=1e-4, atol=1e-4)


def test_positive_by_hand():
    x = torch.tensor([-2.0, -0.0, 0.0, 3.0], dtype=torch.float64)
    expected = torch.tensor([1 / (1 + torch.e**2), 0.5, 0.5, 3.5], dtype=torch.float64)
    torch.testing.assert_close(positive(x), expected)
