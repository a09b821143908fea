"""Rewinding is exact."""

import pytest
import torch

from lth.tickets.mask import Mask
from lth.tickets.rewind import rewind


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_survivors_equal_init_bit_for_bit_and_the_rest_is_zero(dtype):
    torch.manual_seed(0)
    init = {
        "rnn.weight": torch.nn.Parameter(torch.randn(40, 30, dtype=dtype)),
        "conv.weight": torch.randn(4, 3, 2, 2, dtype=dtype),
        "norm.running_mean": torch.randn(4),
        "norm.num_batches_tracked": torch.tensor(7),
    }
    init["conv.weight"][0, 0, 0, 0] = -0.0
    before = {name: tensor.detach().clone() for name, tensor in init.items()}
    mask = Mask({name: torch.rand(init[name].shape) < 0.3 for name in ("rnn.weight", "conv.weight")})
    ticket = rewind(init, mask)

    assert list(ticket) == list(init)
    for name, value in ticket.items():
        kept = mask.get(name, torch.ones(value.shape, dtype=torch.bool))
        assert value.dtype == init[name].dtype and not value.requires_grad
        assert torch.equal(value[kept], before[name][kept])
        assert torch.equal(torch.signbit(value[kept]), torch.signbit(before[name][kept]))
        assert not value[~kept].any() and not torch.signbit(value[~kept]).any()
        assert torch.equal(init[name].detach(), before[name])
        assert value.data_ptr() != init[name].data_ptr()


def test_edges():
    init = {"a": torch.tensor([1.0, float("nan")]), "b": torch.ones(2)}
    assert rewind(init, Mask({"a": torch.zeros(2)}))["a"].tolist() == [0, 0]
    assert torch.equal(rewind(init, Mask({}))["b"], init["b"])


def test_an_init_of_another_model_is_refused_and_the_parameter_named():
    mask = Mask({"rnn.weight": torch.ones(2, 3)})
    with pytest.raises(ValueError, match=r"rnn\.weight is missing in the init"):
        rewind({"a": torch.ones(2)}, mask)
    with pytest.raises(ValueError, match=r"rnn\.weight has shape \(3, 2\) in the init"):
        rewind({"rnn.weight": torch.ones(3, 2)}, mask)
