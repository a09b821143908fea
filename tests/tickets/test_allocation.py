"""Pools: exact totals, groups like numpy's, the seed's arithmetic worked by hand."""

import random

import numpy as np
import pytest

from lth.tickets.allocation import Global, Layerwise, rehearse, split
from lth.tickets.schedule import constant, decaying


def layers_of(counts):
    """One parameter per layer, named by position."""
    survivors = {f"{n}": count for n, count in enumerate(counts)}
    return survivors, [[name] for name in survivors]


def counts_of(pools):
    assert all(len(names) == 1 for names, _ in pools)
    return {names[0]: count for names, count in pools}


def conformer():
    """Linear weights of 16 blocks of width 256, 384 and 512: feed-forward, attention, feed-forward."""
    return [
        size
        for width, blocks in ((256, 5), (384, 5), (512, 6))
        for _ in range(blocks)
        for size in [width**2 * n for n in (4, 4, 1, 1, 1, 1, 1, 4, 4)]
    ]


def test_global_is_one_pool_with_torchs_count():
    survivors, layers = layers_of([10, 20, 31])
    assert Global()(survivors, layers, 0.2) == [(("0", "1", "2"), 12)]


def test_seed_arithmetic_prunes_less_than_it_says():
    sizes = conformer()
    survivors, layers = layers_of(sizes)
    d = 0.2
    counts = counts_of(Layerwise([1.1, 1, 0.9], normalize=False)(survivors, layers, d))
    thirds = [sum(sizes[:48]), sum(sizes[48:96]), sum(sizes[96:])]  # 144 modules
    by_hand = d * (1.1 * thirds[0] + thirds[1] + 0.9 * thirds[2])
    assert sum(counts.values()) == pytest.approx(by_hand, abs=72)
    assert sum(counts.values()) / sum(sizes) == pytest.approx(0.961 * d, abs=0.0005 * d)


def test_normalised_prunes_exactly_what_it_says_in_the_given_proportion():
    sizes = conformer()
    survivors, layers = layers_of(sizes)
    counts = counts_of(Layerwise([1.1, 1, 0.9])(survivors, layers, 0.2))
    assert sum(counts.values()) == round(0.2 * sum(sizes))
    shares = [counts[str(n)] / sizes[n] for n in (0, 60, 143)]  # one of each third
    assert shares[0] / shares[1] == pytest.approx(1.1, rel=1e-4)
    assert shares[2] / shares[1] == pytest.approx(0.9, rel=1e-4)
    assert shares[1] == pytest.approx(0.2 / 0.961, rel=1e-3)


@pytest.mark.parametrize("seed", range(200))
def test_normalised_totals_are_exact_and_within_one_of_the_share(seed):
    draw = random.Random(seed)
    sizes = [draw.choice([0, 1, 2, 7, draw.randint(1, 10**6)]) for _ in range(draw.randint(1, 40))]
    survivors, layers = layers_of(sizes)
    ratios = [draw.uniform(0.5, 1.5) for _ in range(draw.randint(1, len(sizes)))]
    amount = draw.uniform(0.01, 0.33)
    counts = counts_of(Layerwise(ratios)(survivors, layers, amount))
    total = round(amount * sum(sizes))
    assert sum(counts.values()) == total
    groups = np.array_split(np.arange(len(sizes)), len(ratios))
    ratio = {str(n): r for r, group in zip(ratios, groups, strict=True) for n in group}
    weighted = sum(ratio[name] * size for name, size in survivors.items())
    for name, size in survivors.items():
        assert 0 <= counts[name] <= size
        share = total * ratio[name] * size / weighted if weighted else 0
        assert abs(counts[name] - share) < 1 + 1e-6


def test_largest_remainder_by_hand():
    # 7 of 20 over 3, 4, 13: shares 1.05, 1.4, 4.55.
    survivors, layers = layers_of([3, 4, 13])
    assert counts_of(Layerwise([1])(survivors, layers, 0.35)) == {"0": 1, "1": 1, "2": 5}
    # Ties go to the first: 2 of 3 over 1, 1, 1.
    survivors, layers = layers_of([1, 1, 1])
    assert counts_of(Layerwise([1])(survivors, layers, 0.6)) == {"0": 1, "1": 1, "2": 0}


@pytest.mark.parametrize("layers", range(1, 20))
def test_groups_are_those_of_array_split(layers):
    for groups in range(1, layers + 1):
        ours = [list(g) for g in split([[n] for n in range(layers)], groups)]
        assert ours == [[[n] for n in g] for g in np.array_split(np.arange(layers), groups)]


def test_groups_count_layers_not_parameters():
    layers = [["conv"], ["rnn.ih", "rnn.hh"], ["linear"]]
    counts = counts_of(
        Layerwise([0.5, 2], normalize=False)(dict.fromkeys(["conv", "rnn.ih", "rnn.hh", "linear"], 100), layers, 0.2)
    )
    assert counts == {"conv": 10, "rnn.ih": 10, "rnn.hh": 10, "linear": 40}


def test_a_group_that_would_lose_more_than_everything_is_named():
    survivors, layers = layers_of([100, 100, 100])
    for normalize in (True, False):
        with pytest.raises(ValueError, match=r"Ratio 8 would prune .*% of group 2 of 3 \(from 1 to 1\)"):
            Layerwise([1, 8, 1], normalize)(survivors, layers, 0.45)


def test_a_group_may_lose_exactly_everything():
    survivors, layers = layers_of([10, 10])
    assert counts_of(Layerwise([4, 1], normalize=False)(survivors, layers, 0.25)) == {"0": 10, "1": 2}
    assert counts_of(Layerwise([10, 1], normalize=False)(survivors, layers, 0.1)) == {"0": 10, "1": 1}
    survivors, layers = layers_of([10, 30])
    assert counts_of(Layerwise([3, 1])(survivors, layers, 0.5)) == {"0": 10, "1": 10}


def test_a_group_with_nothing_left_is_no_reason_to_refuse():
    survivors, layers = layers_of([0, 30])
    assert counts_of(Layerwise([9, 1])(survivors, layers, 0.5)) == {"0": 0, "1": 15}


@pytest.mark.parametrize(
    "ratios", [[], [0], [1, -1], [1, float("nan")], [float("inf")], ["1"], [None], None, "1.1,1,0.9"]
)
def test_bad_ratios(ratios):
    with pytest.raises(ValueError, match="ratios must be one or more positive numbers"):
        Layerwise(ratios)


def test_more_ratios_than_layers():
    survivors, layers = layers_of([5, 5])
    with pytest.raises(ValueError, match="3 ratios need at least 3 prunable layers, and the model has 2"):
        Layerwise([1, 1, 1])(survivors, layers, 0.5)


def rehearsed(allocation, amount, rounds, survivors, layers):
    shapes = {name: (count,) for name, count in survivors.items()}
    return rehearse(allocation, lambda number, kept: amount(number), rounds, survivors, layers, shapes, survivors)


def test_rehearsal_follows_the_schedule_and_finds_the_round_that_cannot_be():
    survivors, layers = layers_of([50_000, 200_000, 100_000])
    for schedule in (constant(0.2), decaying(0.2, 0.9)):
        for allocation in (Global(), Layerwise([1.1, 1, 0.9])):
            densities = rehearsed(allocation, schedule.amount, 10, survivors, layers)
            assert densities == pytest.approx([schedule.density(n) for n in range(1, 11)], abs=1e-4)
    assert survivors == {"0": 50_000, "1": 200_000, "2": 100_000}

    # 4.5 c 0.25 is 75 % in round 1 (c = 300/450) and grows as the first group shrinks.
    heavy = Layerwise([4.5, 1, 1])
    survivors, layers = layers_of([100_000, 600_000, 200_000])
    heavy(survivors, layers, 0.25)
    with pytest.raises(ValueError, match="group 1 of 3"):
        rehearsed(heavy, lambda number: 0.25, 10, survivors, layers)
