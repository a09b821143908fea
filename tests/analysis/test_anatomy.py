"""Overlaps by brute force, ranks by hand, dead units by hand."""

import itertools
import math

import pytest
import torch

from lth.analysis.anatomy import dead_units, effective_rank
from lth.analysis.overlap import Packed, overlap
from lth.tickets.mask import Mask


def random_mask(seed: int, density: float) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"conv": (3, 1, 5, 5), "hh": (16, 4), "out": (7, 11)}
    return Mask({name: torch.rand(shape, generator=generator) < density for name, shape in shapes.items()})


def test_overlap_by_brute_force():
    first, second = random_mask(0, 0.3), random_mask(1, 0.6)
    found = overlap(Packed.of(first), Packed.of(second))
    pairs = [(a, b) for name in first for a, b in zip(first[name].flatten(), second[name].flatten(), strict=True)]
    assert found.both == sum(bool(a and b) for a, b in pairs)
    assert found.either == sum(bool(a or b) for a, b in pairs)
    assert found.jaccard == pytest.approx(found.both / found.either)


def test_chance_by_counting_every_mask():
    """One layer of 6 weights with 2 and 3 kept: all placements of the second against the first."""
    first = torch.tensor([1, 1, 0, 0, 0, 0], dtype=torch.bool)
    shared = []
    for places in itertools.combinations(range(6), 3):
        second = torch.zeros(6, dtype=torch.bool)
        second[list(places)] = True
        shared.append(int((first & second).sum()))
    mean = sum(shared) / len(shared)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in shared) / len(shared))
    second = torch.tensor([1, 1, 1, 0, 0, 0], dtype=torch.bool)
    found = overlap(*(Packed.of(Mask({"w": bits.view(2, 3)})) for bits in (first, second)))
    assert (found.expected, found.deviation) == pytest.approx((mean, deviation))
    assert found.ratio == pytest.approx(2 / mean) and found.score == pytest.approx((2 - mean) / deviation)


def test_masks_of_other_models_are_not_compared():
    other = Mask({"w": torch.ones(3, dtype=torch.bool)})
    assert overlap(Packed.of(random_mask(0, 0.5)), Packed.of(other)) is None


def test_effective_rank():
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.ones(4, 6)) == pytest.approx(1)
    assert effective_rank(torch.zeros(2, 2)) == 0
    # singular values 3 and 1: shares 3/4 and 1/4
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0]))) == pytest.approx(math.exp(entropy))


def test_a_recurrent_unit_is_dead_when_all_its_gates_are():
    ih, hh = torch.zeros(6, 3, dtype=torch.bool), torch.zeros(6, 2, dtype=torch.bool)  # 3 gates of 2 units
    ih[0, 0] = True  # unit 0, gate 0
    mask = Mask({"rnn.weight_ih_l0": ih, "rnn.weight_hh_l0": hh, "out.weight": torch.tensor([[1, 0], [0, 0]]).bool()})
    assert dead_units(mask) == (2, 4)  # unit 1, and the second output
    hh[5, 0] = True  # unit 1, gate 2, from the recurrent matrix
    alive = Mask({"rnn.weight_ih_l0": ih, "rnn.weight_hh_l0": hh, "out.weight": torch.tensor([[1, 0], [0, 0]]).bool()})
    assert dead_units(alive) == (1, 4)
