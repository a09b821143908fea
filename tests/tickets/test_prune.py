"""Pruning against torch.nn.utils.prune on a real model, and against sorting by hand."""

import itertools
import random

import pytest
import torch
from torch.nn.utils import prune as torch_prune

from lth.tickets.allocation import Global, Layerwise
from lth.tickets.criterion import Magnitude, Random
from lth.tickets.mask import Mask
from lth.tickets.prune import prune
from tests.tickets.models import NAMES, PRUNABLE, pretend_to_train, small_model, torch_masks, weights_of


@pytest.mark.parametrize("amount", [0.2, 0.37])
def test_global_magnitude_prunes_what_torch_global_unstructured_prunes(amount):
    torch.manual_seed(0)
    model = small_model()
    mask = Mask.dense(weights_of(model))
    for round in range(8):
        pretend_to_train(model, seed=round)
        mask = prune(weights_of(model), mask, NAMES, amount=amount, allocation=Global(), criterion=Magnitude())
        torch_prune.global_unstructured(
            [(model[module], name) for module, name in PRUNABLE], torch_prune.L1Unstructured, amount=amount
        )
        theirs = torch_masks(model)
        assert all(torch.equal(mask[name], theirs[name]) for name in theirs)
    assert mask.density == pytest.approx((1 - amount) ** 8, abs=1e-4)


@pytest.mark.parametrize("ratios", [(1,), (1.1, 1, 0.9), (0.5, 1.5, 1, 2, 0.3)])
def test_seed_arithmetic_prunes_what_torch_l1_unstructured_prunes(ratios):
    torch.manual_seed(1)
    model = small_model()
    mask = Mask.dense(weights_of(model))
    # Five layers: by hand, groups of 5; 2, 2, 1; 1 each.
    groups = {1: [0] * 5, 3: [0, 0, 1, 1, 2], 5: [0, 1, 2, 3, 4]}[len(ratios)]
    ratio = {name: ratios[g] for layer, g in zip(NAMES, groups, strict=True) for name in layer}
    for round in range(6):
        pretend_to_train(model, seed=round)
        mask = prune(
            weights_of(model),
            mask,
            NAMES,
            amount=0.2,
            allocation=Layerwise(ratios, normalize=False),
            criterion=Magnitude(),
        )
        for module, name in PRUNABLE:
            torch_prune.l1_unstructured(model[module], name, amount=0.2 * ratio[f"{module}.{name}"])
        theirs = torch_masks(model)
        assert all(torch.equal(mask[name], theirs[name]) for name in theirs)


def by_sorting(weights, mask, names, count):
    """Brute force: survivors in order of (|w|, position), the first `count` dropped; what is kept."""
    survivors = [
        (abs(value), position, name, index)
        for position, name in enumerate(names)
        for index, value in enumerate(weights[name].flatten().tolist())
        if mask[name].flatten()[index]
    ]
    return {(name, index) for _, _, name, index in sorted(survivors, key=lambda s: (s[0], s[1], s[3]))[count:]}


def kept_set(mask):
    return {(name, i) for name in mask for i, kept in enumerate(mask[name].flatten().tolist()) if kept}


@pytest.mark.parametrize("seed", range(30))
def test_random_small_cases_full_of_ties_equal_sorting(seed):
    draw = random.Random(seed)
    names = [f"layer{n}.weight" for n in range(draw.randint(1, 4))]
    shapes = {name: tuple(draw.randint(1, 5) for _ in range(draw.randint(1, 4))) for name in names}
    weights = {name: torch.randint(-2, 3, shape).to(torch.float32) for name, shape in shapes.items()}
    mask = Mask.dense(weights)
    for _ in range(5):
        amount = draw.uniform(0.05, 0.95)
        expected = by_sorting(weights, mask, names, round(amount * mask.kept))
        pruned = prune(weights, mask, [[n] for n in names], amount=amount, allocation=Global(), criterion=Magnitude())
        assert kept_set(pruned) == expected
        mask = pruned


@pytest.mark.parametrize("criterion", [Magnitude(), Random()])
@pytest.mark.parametrize("allocation", [Global(), Layerwise([1.1, 1, 0.9]), Layerwise([3, 1])])
@pytest.mark.parametrize("amount", [0.01, 0.2, 0.33])
def test_every_round_is_nested_and_exact(criterion, allocation, amount):
    torch.manual_seed(2)
    weights = weights_of(small_model())
    mask = Mask.dense(weights)
    for round_number in range(1, 10):
        generator = torch.Generator().manual_seed(round_number)
        pruned = prune(
            weights,
            mask,
            NAMES,
            amount=amount,
            allocation=allocation,
            criterion=criterion,
            generator=generator,
        )
        assert pruned.is_subset_of(mask)
        assert mask.kept - pruned.kept == round(amount * mask.kept)
        assert not any((pruned[name] & ~mask[name]).any() for name in mask)
        mask = pruned


def test_random_is_uniform_over_the_survivors_and_repeatable():
    weights = {"a": torch.zeros(300, 100), "b": torch.full((50, 100), 9.0)}

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return prune(
            weights,
            Mask.dense(weights),
            [["a"], ["b"]],
            amount=0.5,
            allocation=Global(),
            criterion=Random(),
            generator=generator,
        )

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)
    # Hypergeometric: the standard deviation of b's density is about 0.0065.
    assert draw(0).densities()["b"] == pytest.approx(0.5, abs=0.03)
    first, second = draw(0)["a"], draw(1)["a"]
    assert (first & second).float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_a_generator_goes_on_after_a_round_so_layers_do_not_share_their_draws():
    weights = {"a": torch.zeros(1000), "b": torch.zeros(1000)}
    mask = prune(
        weights,
        Mask.dense(weights),
        [["a"], ["b"]],
        amount=0.5,
        allocation=Layerwise([1]),
        criterion=Random(),
        generator=torch.Generator().manual_seed(0),
    )
    assert not torch.equal(mask["a"], mask["b"])


def test_random_without_a_generator_is_refused():
    weights = {"a": torch.zeros(4)}
    with pytest.raises(ValueError, match="Generator"):
        prune(weights, Mask.dense(weights), [["a"]], amount=0.5, allocation=Global(), criterion=Random())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_floating_type_prunes_its_smallest(dtype):
    values = torch.tensor([4.0, -1.0, 3.0, 0.5, -2.0], dtype=dtype)
    mask = prune(
        {"a": values},
        Mask.dense({"a": values}),
        [["a"]],
        amount=0.4,
        allocation=Global(),
        criterion=Magnitude(),
    )
    assert mask["a"].tolist() == [True, False, True, False, True]


def test_double_precision_is_not_rounded_to_single():
    values = torch.tensor([1 + 1e-12, 1.0, 1 + 2e-12], dtype=torch.float64)
    mask = prune(
        {"a": values},
        Mask.dense({"a": values}),
        [["a"]],
        amount=1 / 3,
        allocation=Global(),
        criterion=Magnitude(),
    )
    assert mask["a"].tolist() == [True, False, True]


def test_strided_weights_and_parameters_that_require_gradients():
    weight = torch.nn.Parameter(torch.arange(12.0).view(3, 4).t())
    mask = prune(
        {"a": weight, "bias": torch.zeros(3)},
        Mask.dense({"a": weight}),
        [["a"]],
        amount=0.5,
        allocation=Global(),
        criterion=Magnitude(),
    )
    assert torch.equal(mask["a"], weight.detach() >= 6)
    assert weight.requires_grad and torch.equal(weight.detach(), torch.arange(12.0).view(3, 4).t())


def test_a_layer_may_lose_everything_and_later_rounds_go_on_without_it():
    weights = {"small": torch.full((10,), 0.001), "large": torch.arange(1.0, 31.0)}
    mask, layers = Mask.dense(weights), [["small"], ["large"]]
    for expected in (30, 22, 16, 12):  # less 10, round(7.5), round(5.5), 4
        mask = prune(weights, mask, layers, amount=0.25, allocation=Global(), criterion=Magnitude())
        assert mask.survivors() == {"small": 0, "large": expected}
        assert mask.densities()["small"] == 0
    unchanged = prune(weights, mask, layers, amount=1e-9, allocation=Global(), criterion=Magnitude())
    assert unchanged == mask


def test_a_mask_with_nothing_left_stays_empty():
    weights = {"a": torch.ones(3), "b": torch.ones(2)}
    empty = Mask({name: torch.zeros_like(w) for name, w in weights.items()})
    for allocation in (Global(), Layerwise([2, 1]), Layerwise([2, 1], normalize=False)):
        after = prune(weights, empty, [["a"], ["b"]], amount=0.4, allocation=allocation, criterion=Magnitude())
        assert after == empty and after.density == 0


@pytest.mark.parametrize("amount", [0, 1, -0.2, 1.5, float("nan"), "0.2", None])
def test_amounts_outside_0_and_1_are_refused(amount):
    weights = {"a": torch.ones(3)}
    with pytest.raises(ValueError, match="between 0 and 1"):
        prune(
            weights,
            Mask.dense(weights),
            [["a"]],
            amount=amount,
            allocation=Global(),
            criterion=Magnitude(),
        )


def test_weights_that_are_not_numbers_are_named():
    weights = {"a": torch.ones(3), "rnn.b": torch.tensor([1.0, float("nan")])}
    with pytest.raises(ValueError, match=r"rnn\.b"):
        prune(
            weights,
            Mask.dense(weights),
            [["a"], ["rnn.b"]],
            amount=0.5,
            allocation=Global(),
            criterion=Magnitude(),
        )


def test_infinite_weights_are_the_largest():
    weights = {"a": torch.tensor([1.0, float("-inf"), 2.0, float("inf")])}
    mask = prune(weights, Mask.dense(weights), [["a"]], amount=0.5, allocation=Global(), criterion=Magnitude())
    assert mask["a"].tolist() == [False, True, False, True]


def test_disagreeing_names_and_shapes_are_named():
    def run(weights, layers):
        mask = Mask.dense({"a": torch.ones(2, 3)})
        prune(weights, mask, layers, amount=0.5, allocation=Global(), criterion=Magnitude())

    with pytest.raises(ValueError, match="same parameters"):
        run({"a": torch.ones(2, 3)}, [["a"], ["b"]])
    with pytest.raises(ValueError, match="a is missing in the weights"):
        run({}, [["a"]])
    with pytest.raises(ValueError, match=r"a has shape \(3, 2\) in the weights and \(2, 3\)"):
        run({"a": torch.ones(3, 2)}, [["a"]])


def test_an_allocation_that_asks_for_more_than_is_left_is_refused():
    weights = {"a": torch.ones(3)}
    with pytest.raises(ValueError, match="only 3 left in a"):
        prune(
            weights,
            Mask.dense(weights),
            [["a"]],
            amount=0.5,
            allocation=lambda survivors, layers, amount, shapes: [(("a",), 4)],
            criterion=Magnitude(),
        )


def test_the_previous_mask_and_the_weights_are_left_alone():
    weights = {"a": torch.randn(50), "b": torch.randn(7, 7)}
    mask = Mask.dense(weights)
    before = {name: w.clone() for name, w in weights.items()}
    prune(weights, mask, [["a"], ["b"]], amount=0.5, allocation=Global(), criterion=Magnitude())
    assert mask.density == 1
    assert all(torch.equal(before[name], weights[name]) for name in weights)


def test_three_pools_of_a_custom_allocation_lose_exactly_their_counts():
    torch.manual_seed(3)
    weights = {name: torch.randn(5, 5) for name in "abcd"}
    counts = {("a", "c"): 20, ("b",): 25, ("d",): 0}
    mask = prune(
        weights,
        Mask.dense(weights),
        [list("abcd")],
        amount=0.45,
        allocation=lambda survivors, layers, amount, shapes: list(counts.items()),
        criterion=Magnitude(),
    )
    lost = {name: 25 - kept for name, kept in mask.survivors().items()}
    assert {names: sum(lost[n] for n in names) for names in counts} == counts
    # Within a pool, nothing kept is smaller than anything pruned.
    pool = torch.cat([weights["a"], weights["c"]]).abs()
    kept = torch.cat([mask["a"], mask["c"]])
    assert pool[kept].min() > pool[~kept].max()
    assert list(itertools.chain(mask)) == list("abcd")
