"""Pools: exact totals, groups like numpy's, the seed's arithmetic worked by hand."""

import random

import numpy as np
import pytest

from lth.tickets.allocation import ERK, Excluding, Global, Layerwise, matching, simulate, split
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


#: Of Evci et al.'s kind: convolutions, stacked gates, a linear layer, and one that reaches its limit early.
ERK_SHAPES = {"conv": (8, 3, 5, 5), "ih": (64, 20), "hh": (64, 16), "narrow": (30, 2), "linear": (29, 16)}


def erk_by_loop(shapes, density):
    """The published recipe: density = eps * (sum of dims) / (product of dims); who exceeds 1 stays dense, repeat."""
    size = {n: np.prod(s) for n, s in shapes.items()}
    dense = set()
    while True:
        rest = [n for n in shapes if n not in dense]
        budget = density * sum(size.values()) - sum(size[n] for n in dense)
        eps = budget / sum(sum(shapes[n]) / size[n] * size[n] for n in rest)
        worst = max(rest, key=lambda n: sum(shapes[n]) / size[n])
        if eps * sum(shapes[worst]) / size[worst] <= 1:
            return {n: 1.0 if n in dense else eps * sum(shapes[n]) / size[n] for n in shapes}
        dense.add(worst)


@pytest.mark.parametrize("amount", [0.05, 0.2, 0.5])
def test_erk_keeps_the_published_densities_round_after_round(amount):
    survivors = {n: int(np.prod(s)) for n, s in ERK_SHAPES.items()}
    layers = [["conv"], ["ih", "hh"], ["narrow"], ["linear"]]
    total = sum(survivors.values())
    capped = set()
    for _ in range(12):
        left = sum(survivors.values())
        counts = counts_of(ERK()(survivors, layers, amount, ERK_SHAPES))
        assert sum(counts.values()) == round(amount * left)
        assert all(0 <= counts[n] <= survivors[n] for n in counts)
        survivors = {n: survivors[n] - counts[n] for n in survivors}
        published = erk_by_loop(ERK_SHAPES, sum(survivors.values()) / total)
        capped |= {n for n, d in published.items() if d == 1}
        for name, shape in ERK_SHAPES.items():
            assert survivors[name] == pytest.approx(published[name] * np.prod(shape), abs=1.5)
    assert capped or amount == 0.5


def test_erk_of_a_ticket_spreads_what_a_layer_no_longer_has():
    shapes = {"a": (10, 10), "b": (10, 10), "c": (10, 10)}
    counts = counts_of(ERK()({"a": 6, "b": 100, "c": 0}, [["a"], ["b"], ["c"]], 0.5, shapes))
    assert counts == {"a": 0, "b": 53, "c": 0}  # 53 stay: all 6 of a, since half of 53 is more, and 47 of b


def test_excluded_parameters_stay_and_the_others_lose_what_the_model_loses():
    survivors = {"convs.0.w": 10, "convs.1.w": 30, "convs.10.w": 40, "output.w": 20}
    layers = [[name] for name in survivors]
    shapes = {name: (count, 1) for name, count in survivors.items()}
    some = Excluding(("convs.1", "*put.w"), Layerwise([1]))
    counts = counts_of(some(survivors, layers, 0.2, shapes))
    assert counts == {"convs.0.w": 4, "convs.10.w": 16}  # 20 of 100 weights, from 50
    assert Excluding(("output.w",), Global())(survivors, layers, 0.2, shapes) == [
        (("convs.0.w", "convs.1.w", "convs.10.w"), 20)
    ]
    assert Excluding(("convs",), Global())(survivors, layers, 0.2, shapes) == [(("output.w",), 20)]
    with pytest.raises(ValueError, match="exclude leaves 20 weights to prune, and 21 are to go"):
        Excluding(("convs",), Global())(survivors, layers, 0.21, shapes)


@pytest.mark.parametrize("seed", range(50))
def test_excluding_is_exact_for_the_whole_model(seed):
    draw = random.Random(seed)
    survivors, layers = layers_of([draw.randint(1, 10**6) for _ in range(6)])
    shapes = {name: (count, 1) for name, count in survivors.items()}
    amount, total = draw.uniform(0.01, 0.3), sum(survivors.values())
    left_alone = draw.choice("012345")
    for inner in (Global(), Layerwise([1]), ERK()):
        if round(amount * total) <= total - survivors[left_alone]:
            pools = Excluding((left_alone,), inner)(survivors, layers, amount, shapes)
            assert sum(count for _, count in pools) == round(amount * total)
            assert not any(left_alone in names for names, _ in pools)


def test_a_pattern_that_means_nothing_is_told_the_names():
    assert matching(["a", "b.*"], ["a.x", "ab.x", "b.y"]) == {"a.x", "b.y"}
    with pytest.raises(ValueError, match=r"exclude: conv is none of the prunable parameters convs\.0, output"):
        matching(["conv"], ["convs.0", "output"])


def test_simulation_knows_what_a_structure_keeps():
    survivors, layers = layers_of([60, 40])
    shapes = {"0": (60,), "1": (40,)}
    room = {"0": 30, "1": 20}
    halves = simulate(Global(), lambda number, kept: 0.25, 2, survivors, layers, shapes, room)
    assert halves == pytest.approx([0.75, 0.56])
    with pytest.raises(ValueError, match=r"round 3 is to prune 14 weights of 0 to 1, .* 6 go, down to .* 50\.00%"):
        simulate(Global(), lambda number, kept: 0.25, 3, survivors, layers, shapes, room)


def simulated(allocation, amount, rounds, survivors, layers):
    shapes = {name: (count,) for name, count in survivors.items()}
    return simulate(allocation, lambda number, kept: amount(number), rounds, survivors, layers, shapes, survivors)


def test_simulation_follows_the_schedule_and_finds_the_round_that_cannot_be():
    survivors, layers = layers_of([50_000, 200_000, 100_000])
    for schedule in (constant(0.2), decaying(0.2, 0.9)):
        for allocation in (Global(), Layerwise([1.1, 1, 0.9])):
            densities = simulated(allocation, schedule.amount, 10, survivors, layers)
            assert densities == pytest.approx([schedule.density(n) for n in range(1, 11)], abs=1e-4)
    assert survivors == {"0": 50_000, "1": 200_000, "2": 100_000}

    # 4.5 c 0.25 is 75 % in round 1 (c = 300/450) and grows as the first group shrinks.
    heavy = Layerwise([4.5, 1, 1])
    survivors, layers = layers_of([100_000, 600_000, 200_000])
    heavy(survivors, layers, 0.25)
    with pytest.raises(ValueError, match="group 1 of 3"):
        simulated(heavy, lambda number: 0.25, 10, survivors, layers)
