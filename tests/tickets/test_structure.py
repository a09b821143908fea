"""What belongs together goes together: against hand-worked tensors, torch.nn.utils.prune, and loops over groups."""

import random

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from lth.tickets.allocation import ERK, Global, Layerwise
from lth.tickets.cluster import gates
from lth.tickets.criterion import Magnitude, Random
from lth.tickets.mask import Mask
from lth.tickets.prune import prune
from lth.tickets.structure import NM, Block, PerRow, Rows, Units, Weights, shapes_of

#: An LSTM and a GRU direction of 5 units over 6 inputs, a convolution and an output layer, as the models name them.
SHAPES = {
    "conv.weight": (3, 2, 3, 3),
    "rnn.weight_ih_l0": (20, 6),
    "rnn.weight_hh_l0": (20, 5),
    "gru.weight_ih_l0": (15, 7),
    "gru.weight_hh_l0": (15, 5),
    "output.weight": (7, 5),
}
LAYERS = [["conv.weight"], [n for n in SHAPES if "rnn" in n], [n for n in SHAPES if "gru" in n], ["output.weight"]]
GATES = {"conv": 1, "rnn": 4, "gru": 3, "output": 1}


def groups_of(structure, shapes=SHAPES):
    """By the definitions, weight by weight: the sets of (name, row, column) that live and die together."""
    groups = {}
    for name, shape in shapes.items():
        height, width = shape[0], torch.Size(shape[1:]).numel()
        per_gate = height // GATES[name.split(".")[0]]
        for row in range(height):
            for column in range(width):
                gate, inside = divmod(row, per_gate)
                match structure:
                    case Block(rows, columns):
                        owners = [(name, gate, inside // rows, column // columns)]
                    case Rows():
                        owners = [(name, row)]
                    case Units():
                        recurrent = "weight_" in name
                        owners = [(name.split(".")[0], inside) if recurrent else (name, row)]
                        if "weight_hh" in name:
                            owners.append((name.split(".")[0], column))
                for owner in owners:
                    groups.setdefault(owner, set()).add((name, row, column))
    return list(groups.values())


def weights_like(shapes, seed, ties=False):
    generator = torch.Generator().manual_seed(seed)
    if ties:
        return {n: torch.randint(-2, 3, shape, generator=generator).float() for n, shape in shapes.items()}
    return {n: torch.randn(shape, generator=generator) for n, shape in shapes.items()}


def kept_set(mask):
    return {(n, *place) for n in mask for place in mask[n].reshape(len(mask[n]), -1).nonzero().tolist()}


def by_loops(structure, weights, mask, pools):
    """Lowest mean first, group by group, until the next one no longer fits."""
    alive = kept_set(mask)
    value = {(n, r, c): abs(weights[n].reshape(len(weights[n]), -1)[r, c].item()) for n, r, c in alive}
    for names, count in pools:
        groups = [g & alive for g in groups_of(structure) if next(iter(g))[0] in names]
        groups = sorted((g for g in groups if g), key=lambda g: sum(value[w] for w in g) / len(g))
        for group in groups:
            going = group & alive
            if len(going) > count:
                break
            count -= len(going)
            alive -= going
    return alive


STRUCTURES = [Block(1, 4), Block(2, 3), Block(4, 1), Rows(), Units()]


@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_groups_go_as_loops_over_the_definition_say(structure, seed):
    mask = Mask.dense(weights_like(SHAPES, 0))
    total = mask.total
    largest = max(map(len, groups_of(structure)))
    for number in range(6):
        weights = weights_like(SHAPES, 100 * seed + number)
        amount = 0.25 if seed % 2 else 0.4
        pruned = prune(
            weights, mask, LAYERS, amount=amount, allocation=Global(), criterion=Magnitude(), structure=structure
        )
        count = round(amount * mask.kept)
        assert kept_set(pruned) == by_loops(structure, weights, mask, [(tuple(SHAPES), count)])
        assert pruned.is_subset_of(mask) and count - largest < mask.kept - pruned.kept <= count
        check_whole(structure, pruned)
        mask = pruned
    assert mask.kept < total / 2


def check_whole(structure, mask):
    """Every pruned weight lies in a group of which nothing is left."""
    kept = kept_set(mask)
    dead = [group for group in groups_of(structure) if not group & kept]
    everything = {weight for group in groups_of(structure) for weight in group}
    assert set().union(*dead) == everything - kept


@pytest.mark.parametrize("structure", [Block(1, 4), Rows(), Units()], ids=str)
def test_layers_of_their_own_counts_and_shared_groups(structure):
    """Each parameter is a pool of its own, but the two matrices of a recurrent direction are one for units."""
    weights = weights_like(SHAPES, 5)
    mask = Mask.dense(weights)
    pruned = prune(
        weights, mask, LAYERS, amount=0.5, allocation=Layerwise([1]), criterion=Magnitude(), structure=structure
    )
    counts = {n: c for (n,), c in Layerwise([1])(mask.survivors(), LAYERS, 0.5, SHAPES)}
    pools = [((n,), c) for n, c in counts.items()]
    if isinstance(structure, Units):
        pools = [(tuple(layer), sum(counts[n] for n in layer)) for layer in LAYERS]
    assert kept_set(pruned) == by_loops(structure, weights, mask, pools)
    check_whole(structure, pruned)


def test_units_by_hand():
    """One input, two units, one gate: unit 0 is row 0 of both and column 0 of the recurrent matrix."""
    weights = {"r.weight_ih_l0": torch.tensor([[1.0], [9.0]]), "r.weight_hh_l0": torch.tensor([[1.0, 2.0], [3.0, 9.0]])}
    names = [list(weights)]
    options = {"allocation": Global(), "criterion": Magnitude(), "structure": Units()}
    # Means: unit 0 (1 + 1 + 2 + 3) / 4, unit 1 (9 + 2 + 3 + 9) / 4; four weights go with unit 0.
    assert prune(weights, Mask.dense(weights), names, amount=0.5, **options).kept == 6  # 3 are too few
    mask = prune(weights, Mask.dense(weights), names, amount=0.67, **options)
    assert mask["r.weight_ih_l0"].tolist() == [[False], [True]]
    assert mask["r.weight_hh_l0"].tolist() == [[False, False], [False, True]]


def test_gates_are_told_by_the_recurrent_matrix():
    shapes = {}
    for module in (nn.LSTM(6, 5), nn.GRU(6, 5, bidirectional=True), nn.RNN(6, 5), nn.Linear(5, 20)):
        kind = type(module).__name__
        shapes |= {f"{kind}.{n}": tuple(p.shape) for n, p in module.named_parameters() if p.dim() == 2}
    assert {name: gates(name, shapes) for name in shapes} == {
        **{f"LSTM.weight_{k}_l0": 4 for k in ("ih", "hh")},
        **{f"GRU.weight_{k}_l0{way}": 3 for k in ("ih", "hh") for way in ("", "_reverse")},
        **{f"RNN.weight_{k}_l0": 1 for k in ("ih", "hh")},
        "Linear.weight": 1,
    }


@pytest.mark.parametrize("structure", [Rows(), Units()], ids=str)
def test_rows_and_units_of_linear_and_conv_are_what_torch_ln_structured_prunes(structure):
    for module in (nn.Linear(9, 20), nn.Conv2d(3, 20, (4, 2))):
        weights = {"weight": module.weight.detach().clone()}
        mask = prune(
            weights,
            Mask.dense(weights),
            [["weight"]],
            amount=0.3,
            allocation=Global(),
            criterion=Magnitude(),
            structure=structure,
        )
        torch_prune.ln_structured(module, "weight", amount=0.3, n=1, dim=0)
        assert torch.equal(mask["weight"], module.weight_mask.bool())


@pytest.mark.parametrize("structure", [Weights(), Block(1, 1)], ids=str)
def test_blocks_of_one_are_single_weights(structure):
    weights = weights_like(SHAPES, 3, ties=True)
    mask = prune(
        weights,
        Mask.dense(weights),
        LAYERS,
        amount=0.37,
        allocation=Global(),
        criterion=Magnitude(),
        structure=structure,
    )
    plain = prune(weights, Mask.dense(weights), LAYERS, amount=0.37, allocation=Global(), criterion=Magnitude())
    assert mask == plain


@pytest.mark.parametrize("structure", [*STRUCTURES, PerRow(), NM(2, 4), NM(1, 3)], ids=str)
def test_a_random_draw_in_any_structure_is_repeatable_and_nested(structure):
    weights = weights_like(SHAPES, 1)

    def draw(mask, seed):
        generator = torch.Generator().manual_seed(seed)
        options = {"allocation": Global(), "criterion": Random(), "structure": structure, "generator": generator}
        return prune(weights, mask, LAYERS, amount=0.25, **options)

    first = draw(Mask.dense(weights), 0)
    assert first == draw(Mask.dense(weights), 0) != draw(Mask.dense(weights), 1)
    assert draw(first, 2).is_subset_of(first)


def windows(bits, m):
    return [window for row in bits.reshape(len(bits), -1) for window in row.split(m)]


@pytest.mark.parametrize(("n", "m"), [(2, 4), (4, 8), (1, 4), (1, 2), (3, 5)])
def test_n_of_every_m_stay_and_the_end_is_exactly_n_to_m(n, m):
    shapes = {"a.weight": (6, 4 * m), "b.weight": (5, 2, m, 3)}
    mask = Mask.dense(weights_like(shapes, 0))
    total = mask.total
    goals = [round(total * (1 - (1 - n / m) * part)) for part in (0.4, 0.7, 0.95, 1)]
    for number, goal in enumerate(goals):
        weights = weights_like(shapes, number)
        amount = (mask.kept - goal) / mask.kept
        pruned = prune(
            weights,
            mask,
            [["a.weight"], ["b.weight"]],
            amount=amount,
            allocation=Global(),
            criterion=Magnitude(),
            structure=NM(n, m),
        )
        assert pruned.kept == goal and pruned.is_subset_of(mask)
        assert all(window.sum() >= n for bits in pruned.values() for window in windows(bits, m))
        # What went is the weakest of what is not among the n strongest survivors of its window.
        went = torch.cat([weights[k].abs()[mask[k] & ~pruned[k]] for k in mask])
        free = []
        for k in mask:
            for w, alive, left in zip(
                windows(weights[k].abs(), m), windows(mask[k], m), windows(pruned[k], m), strict=True
            ):
                strongest = sorted(w[alive].tolist())[-n:]
                free += [v for v in w[left].tolist() if v not in strongest]
        assert went.max() < min(free, default=torch.inf)
        mask = pruned
    assert all(window.sum() == n for bits in mask.values() for window in windows(bits, m))
    with pytest.raises(ValueError, match="only 0 left"):
        prune(
            weights,
            mask,
            [["a.weight"], ["b.weight"]],
            amount=0.01,
            allocation=Global(),
            criterion=Magnitude(),
            structure=NM(n, m),
        )


def test_one_shot_2_to_4_by_hand():
    weights = {"w": torch.tensor([[4.0, -3, 2, 1, -1, 1, 1, 1, 5, 6, 7]])}
    mask = prune(
        weights,
        Mask.dense(weights),
        [["w"]],
        amount=5 / 11,
        allocation=Global(),
        criterion=Magnitude(),
        structure=NM(2, 4),
    )
    # Of equal scores the first go; of the last three weights, half rounded up stays.
    assert mask["w"].int().tolist() == [[1, 1, 0, 0, 0, 0, 1, 1, 0, 1, 1]]


def test_what_short_windows_keep_beyond_n_of_m_is_no_reason_to_refuse():
    weights = {"w": torch.rand(10, 5)}
    structure = NM(2, 4)
    assert structure.max_prunable(torch.ones(10, 5, dtype=torch.bool)) == 25
    options = {"allocation": Global(), "criterion": Magnitude(), "structure": structure}
    assert prune(weights, Mask.dense(weights), [["w"]], amount=0.5, **options).kept == 30  # 3 a row
    with pytest.raises(ValueError, match="26 weights to prune, and only 25 left in w"):
        prune(weights, Mask.dense(weights), [["w"]], amount=0.52, **options)


@pytest.mark.parametrize("seed", range(20))
def test_rows_compete_among_themselves_and_lose_their_share(seed):
    draw = random.Random(seed)
    shapes = {f"{n}": (draw.randint(1, 6), draw.randint(1, 9)) for n in range(draw.randint(1, 3))}
    mask = Mask.dense(weights_like(shapes, seed))
    for number in range(4):
        weights = weights_like(shapes, seed + number, ties=number % 2 == 1)
        amount = draw.uniform(0.1, 0.6)
        count = round(amount * mask.kept)
        pruned = prune(
            weights,
            mask,
            [[n] for n in shapes],
            amount=amount,
            allocation=Global(),
            criterion=Magnitude(),
            structure=PerRow(),
        )
        assert pruned.is_subset_of(mask) and mask.kept - pruned.kept == count
        for name in shapes:
            for w, alive, left in zip(weights[name].abs(), mask[name], pruned[name], strict=True):
                lost = int(alive.sum() - left.sum())
                assert abs(lost - count * int(alive.sum()) / max(1, mask.kept)) < 1
                order = sorted(alive.nonzero().flatten().tolist(), key=lambda i, w=w: (w[i].item(), i))
                assert sorted(order[lost:]) == left.nonzero().flatten().tolist()
        mask = pruned


def test_infinite_weights_outlive_what_is_gone_in_their_row():
    weights = {"w": torch.tensor([[torch.inf, 1, torch.inf, 2]])}
    mask = Mask({"w": torch.tensor([[True, False, True, True]])})
    options = {"allocation": Global(), "criterion": Magnitude()}
    assert prune(weights, mask, [["w"]], amount=0.34, structure=PerRow(), **options)["w"].tolist() == [
        [True, False, True, False]
    ]


@pytest.mark.parametrize("structure", [*STRUCTURES, PerRow(), NM(2, 4), Weights()], ids=str)
def test_a_shuffle_keeps_the_structure_and_the_counts(structure):
    weights = weights_like(SHAPES, 4)
    mask = prune(
        weights,
        Mask.dense(weights),
        LAYERS,
        amount=0.4,
        allocation=Global(),
        criterion=Magnitude(),
        structure=structure,
    )
    generator = torch.Generator().manual_seed(0)
    shuffled = Mask(structure.shuffle(dict(mask), SHAPES, generator))
    assert shuffled.survivors() == mask.survivors()
    assert shuffled != mask
    if structure in STRUCTURES:
        check_whole(structure, shuffled)
    if structure == PerRow():
        assert all(torch.equal(shuffled[n].flatten(1).sum(1), mask[n].flatten(1).sum(1)) for n in mask)
    if structure == NM(2, 4):
        whole = [w for bits in shuffled.values() for w in windows(bits, 4) if len(w) == 4]
        assert all(window.sum() >= 2 for window in whole)
    again = structure.shuffle(dict(mask), SHAPES, torch.Generator().manual_seed(0))
    assert Mask(again) == shuffled


@pytest.mark.parametrize("structure", [Block(2, 3), Rows(), Units()], ids=str)
def test_clusters_sum_and_spread_by_the_definition(structure):
    weights = weights_like(SHAPES, 8)
    groups = groups_of(structure)
    matrices = {n: w.reshape(len(w), -1) for n, w in weights.items()}
    sums = sorted(sum(matrices[n][r, c].item() for n, r, c in group) for group in groups)
    clusters = structure.clusters(SHAPES, SHAPES)
    found = torch.cat([cluster.sums(weights) for cluster in clusters])
    assert sum(cluster.groups for cluster in clusters) == len(groups) == len(found)
    assert sorted(found.tolist()) == pytest.approx(sums, abs=1e-4)
    for cluster in clusters:
        # A group's number, told to its weights, comes back from them.
        numbers = torch.arange(cluster.groups)
        told = cluster.spread(numbers)
        assert shapes_of(told) == {n: SHAPES[n] for n in cluster.names}
        for number in (0, cluster.groups - 1):
            alone = cluster.spread(numbers != number)
            gone = {n: ~bits for n, bits in alone.items()}
            assert bool(cluster.sums({n: b.float() for n, b in gone.items()})[number] > 0)
            ones = {n: torch.ones(SHAPES[n]) for n in cluster.names}
            assert sum(int(b.sum()) for b in gone.values()) == cluster.sums(ones)[number]


@pytest.mark.parametrize("make", [lambda: Block(0, 4), lambda: Block(1, -1), lambda: NM(4, 4), lambda: NM(0, 4)])
def test_what_is_no_structure(make):
    with pytest.raises(ValueError, match=r"not (0|1|4)"):
        make()


def test_a_group_with_a_weight_that_is_not_a_number_is_refused():
    weights = {"w": torch.tensor([[1.0, float("nan")], [1, 1]])}
    with pytest.raises(ValueError, match="w holds a weight that is not a number"):
        prune(
            weights,
            Mask.dense(weights),
            [["w"]],
            amount=0.5,
            allocation=ERK(),
            criterion=Magnitude(),
            structure=Rows(),
        )


def test_a_unit_of_a_mingru_goes_with_its_row_of_every_gate():
    """By hand: three units of two gates and the output's rows; mean scores 2, 6 and 4 decide."""
    names = ["rnn.candidate.weight", "rnn.gate.weight", "output.weight"]
    weights = {
        names[0]: torch.tensor([[1.0, 3.0], [9.0, 9.0], [1.0, 1.0]]),
        names[1]: torch.tensor([[2.0, 2.0], [3.0, 3.0], [7.0, 7.0]]),
        names[2]: torch.tensor([[50.0, 50.0, 50.0]]),
    }
    allocation, criterion = Global(), Magnitude()
    kept = prune(
        weights,
        Mask.dense(weights),
        [names[:2], names[2:]],
        amount=8 / 15,
        allocation=allocation,
        criterion=criterion,
        structure=Units(),
        generator=torch.Generator(),
    )
    for name in names[:2]:
        assert kept[name].tolist() == [[False, False], [True, True], [False, False]]
    assert kept[names[2]].all()
