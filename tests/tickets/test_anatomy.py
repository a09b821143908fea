"""Ranks by singular values, units and changes by hand and by loops over every weight."""

import math

import pytest
import torch

from lth.models.deepspeech2 import DeepSpeech2
from lth.tickets.anatomy import change, effective_rank, units
from lth.tickets.mask import Mask


def bits(*rows: str) -> torch.Tensor:
    return torch.tensor([[letter == "1" for letter in row] for row in rows])


def test_effective_rank_by_hand():
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.ones(4, 6)) == pytest.approx(1)
    assert effective_rank(torch.zeros(2, 3)) == 0
    # singular values 3 and 1: shares 3/4 and 1/4
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0]))) == pytest.approx(math.exp(entropy))


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (6, 2, 3, 5)])
def test_effective_rank_is_that_of_the_singular_values(shape):
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    weights[torch.rand(shape, generator=torch.Generator().manual_seed(2)) < 0.8] = 0
    values = torch.linalg.svdvals(weights.flatten(1).double())
    entropy = torch.distributions.Categorical(values / values.sum()).entropy()
    assert effective_rank(weights) == pytest.approx(float(entropy.exp()))


def test_change_counts_kept_weights_only():
    before = torch.tensor([[1.0, -2.0, 3.0, -4.0]])
    after = torch.tensor([[1.5, 2.5, -1.0, -3.0]])
    found = change(before, after, bits("1101"))
    assert found == (3, 2, 2)  # kept: 1 -> 1.5, -2 -> 2.5, -4 -> -3
    assert (found.signs, found.growth) == pytest.approx((2 / 3, 2 / 3))
    assert (found + change(before, after, bits("0010"))) == (4, 2, 2)
    assert change(before, after, bits("0000")).signs is None


#: Two filters of one channel that a GRU of 2 units reads in 2 columns each; one row of output.
CONV = torch.tensor([[1, 0], [0, 0]]).view(2, 1, 1, 2).bool()
HIDDEN = bits("00", "00", "00", "00", "01", "00")  # the reset gate's, update's and new gate's rows of units 0 and 1
INPUT = bits("0000", "0000", "0000", "0100", "0000", "0001")  # unit 1, by filter 0 and by filter 1
OUTPUT = bits("10")


def chain(**changed) -> Mask:
    own = {"convs.0.conv.weight": CONV, "rnns.0.forwards.weight_ih_l0": INPUT, "rnns.0.forwards.weight_hh_l0": HIDDEN}
    return Mask(own | {"output.weight": OUTPUT} | changed)


def test_dead_units_by_hand():
    found = units(chain())
    assert found["convs.0.conv"].no_input.tolist() == [False, True]
    assert found["convs.0.conv"].no_reader.tolist() == [False, False]
    # unit 0 hears unit 1, unit 1 hears both filters; the output reads unit 0, and unit 0 reads unit 1
    assert found["rnns.0.forwards"].no_input.tolist() == [False, False]
    assert found["rnns.0.forwards"].no_reader.tolist() == [False, False]
    assert found["output"].no_input.tolist() == [False] and found["output"].no_reader.tolist() == [False]


def test_a_recurrent_unit_dies_with_the_last_of_its_gates():
    silent = {"rnns.0.forwards.weight_hh_l0": torch.zeros_like(HIDDEN)}
    recurrent = units(chain(**silent))["rnns.0.forwards"]
    assert recurrent.no_input.tolist() == [True, False]  # nothing comes into unit 0
    assert recurrent.no_reader.tolist() == [False, True]  # and nobody reads unit 1
    assert recurrent.dead.tolist() == [True, True]
    one_gate = silent | {"rnns.0.forwards.weight_ih_l0": INPUT & bits("0000", "0000", "0000", "0000", "0000", "1111")}
    found = units(chain(**one_gate))
    assert found["rnns.0.forwards"].no_input.tolist() == [True, False]
    assert found["convs.0.conv"].no_reader.tolist() == [True, False]  # filter 0 was read in columns 0 and 1


def test_what_feeds_both_directions_is_read_by_either():
    backwards = {
        "rnns.0.backwards.weight_ih_l0": torch.zeros_like(INPUT),
        "rnns.0.backwards.weight_hh_l0": torch.zeros_like(HIDDEN),
    }
    names = ["convs.0.conv.weight", *(f"rnns.0.forwards.weight_{kind}_l0" for kind in ("ih", "hh"))]
    mask = chain(**backwards)
    found = units(Mask({name: mask[name] for name in [*names, *backwards, "output.weight"]}))
    assert found["convs.0.conv"].no_reader.tolist() == [False, False]
    assert found["rnns.0.backwards"].no_input.tolist() == [True, True]
    assert found["rnns.0.backwards"].no_reader.tolist() == [False, True]  # unit 0 is summed with what the output reads


def test_who_reads_is_not_known_where_layers_do_not_follow_each_other():
    loose = Mask({"a.weight": bits("10", "00"), "b.weight": bits("111")})
    assert [one.no_reader for one in units(loose).values()] == [None, None]
    assert units(loose)["a"].dead.tolist() == [False, True]
    branching = chain(**{"output.weight": bits("10100")})  # 5 columns of 2 units
    assert all(one.no_reader is None for one in units(branching).values())


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_dead_units_of_a_network_say_nothing(cell):
    """What comes out does not change when biases of unread units do; deaf ones say the same to every input."""
    torch.manual_seed(3)
    conv = [{"channels": 3, "kernel": [5, 3], "stride": [2, 2]}]
    model = DeepSpeech2(12, 5, conv=conv, rnn=cell, layers=2, units=6).eval()
    names = [name for layer in model.prunable().values() for name in layer]
    weights = dict(model.named_parameters())
    generator = torch.Generator().manual_seed(4)
    mask = Mask({name: torch.rand(weights[name].shape, generator=generator) < 0.06 for name in names})
    mask.apply_({name: weights[name].data for name in names})
    found = units(mask)
    assert set(found) == {"convs.0.conv", "output", *(f"rnns.{n}.{way}" for n in (0, 1) for way in WAYS)}
    assert any(one.no_reader.any() for one in found.values()) and any(one.no_input.any() for one in found.values())
    x, lengths = torch.randn(2, 20, 12), torch.tensor([20, 16])
    with torch.no_grad():
        before = model(x, lengths)[0]
        for n in (0, 1):
            for way in WAYS:
                unread = found[f"rnns.{n}.{way}"].no_reader
                bias = getattr(model.rnns[n], way).bias_ih_l0
                bias[unread.repeat(len(bias) // 6)] += 1
        assert torch.equal(model(x, lengths)[0], before)
        recurrent, deaf = model.rnns[0].forwards, found["rnns.0.forwards"].no_input
        first, second = (recurrent(torch.randn(1, 9, recurrent.input_size))[0] for _ in range(2))
    assert torch.equal(first[..., deaf], second[..., deaf])


WAYS = ("forwards", "backwards")
