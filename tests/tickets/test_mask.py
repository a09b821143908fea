"""The mask: counts by hand, digest, order, applying."""

import pytest
import torch

from lth.tickets.mask import Mask


@pytest.fixture
def mask():
    return Mask(
        {
            "a": torch.tensor([[1, 0], [1, 1]]),
            "b": torch.tensor([False, False, True, False]),
            "c": torch.ones(2),
        }
    )


def test_counts_by_hand(mask):
    assert (mask.kept, mask.total, mask.density) == (6, 10, 0.6)
    assert mask.survivors() == {"a": 3, "b": 1, "c": 2}
    assert mask.densities() == {"a": 0.75, "b": 0.25, "c": 1.0}
    assert list(mask) == ["a", "b", "c"] and len(mask) == 3
    assert all(bits.dtype == torch.bool for bits in mask.values())


def test_dense_and_empty():
    dense = Mask.dense({"a": torch.zeros(2, 3), "b": torch.zeros(())})
    assert (dense.kept, dense.total, dense.density) == (7, 7, 1.0)
    assert Mask({}).density == 1.0


def test_equality_is_of_names_shapes_and_bits(mask):
    assert mask == Mask(dict(reversed(list(mask.items()))))
    assert mask != Mask({**mask, "c": torch.tensor([True, False])})
    assert mask != Mask({**mask, "c": torch.ones(1, 2)})
    assert mask != Mask({name: mask[name] for name in ("a", "b")})
    assert mask != "mask"


def test_digest_tells_every_difference_that_matters(mask):
    flipped = Mask({**mask, "b": torch.tensor([True, False, False, False])})
    reshaped = Mask({**mask, "b": mask["b"].view(2, 2)})
    renamed = Mask({("z" if name == "b" else name): bits for name, bits in mask.items()})
    assert len({m.digest() for m in (mask, flipped, reshaped, renamed)}) == 4
    assert len(mask.digest()) == 64 and int(mask.digest(), 16)


def test_digest_ignores_order_and_untouched_parameters(mask):
    assert mask.digest() == Mask(dict(reversed(list(mask.items())))).digest()
    assert mask.digest() == Mask({**mask, "d": torch.ones(100)}).digest()
    assert Mask.dense({"a": torch.ones(3)}).digest() == Mask.dense({"b": torch.ones(2, 2)}).digest() == "dense"
    assert Mask({"a": torch.zeros(3)}).digest() != "dense"


def test_subsets(mask):
    smaller = Mask({**mask, "a": torch.tensor([[1, 0], [0, 1]])})
    moved = Mask({**mask, "a": torch.tensor([[0, 1], [0, 0]])})
    assert smaller.is_subset_of(mask) and mask.is_subset_of(mask) and mask.is_subset_of(Mask.dense(mask))
    assert not mask.is_subset_of(smaller)
    assert not moved.is_subset_of(mask)
    assert not Mask({"a": mask["a"]}).is_subset_of(mask)


def test_apply_zeroes_in_place_and_touches_nothing_else(mask):
    weights = {name: torch.nn.Parameter(torch.full(bits.shape, 5.0)) for name, bits in mask.items()}
    weights["bias"] = torch.nn.Parameter(torch.full((3,), 5.0))
    storage = {name: w.data_ptr() for name, w in weights.items()}
    for _ in range(2):
        mask.apply_(weights)
    assert weights["a"].tolist() == [[5, 0], [5, 5]]
    assert weights["b"].tolist() == [0, 0, 5, 0]
    assert weights["c"].tolist() == [5, 5] and weights["bias"].tolist() == [5, 5, 5]
    assert storage == {name: w.data_ptr() for name, w in weights.items()}
    assert weights["a"].requires_grad and weights["a"].grad_fn is None


def test_apply_of_a_dense_mask_does_nothing_at_all():
    weights = {"a": torch.ones(3)}
    version = weights["a"]._version
    Mask.dense(weights).apply_(weights)
    assert weights["a"]._version == version


def test_apply_without_a_pruned_parameter_is_an_error(mask):
    with pytest.raises(KeyError, match="b"):
        mask.apply_({"a": torch.ones(2, 2), "c": torch.ones(2)})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_mask_follows_the_weights_to_the_gpu(mask):
    weights = {name: torch.full(bits.shape, 5.0, device="cuda") for name, bits in mask.items()}
    for _ in range(2):
        mask.apply_(weights)
    assert weights["b"].tolist() == [0, 0, 5, 0]
    assert mask["b"].device.type == "cpu"


def test_check_fits_names_the_parameter(mask):
    mask.check_fits({**mask, "more": torch.ones(1)}, "init")
    with pytest.raises(ValueError, match="c is missing in the init"):
        mask.check_fits({name: mask[name] for name in "ab"}, "init")
    with pytest.raises(ValueError, match=r"a has shape \(4,\) in the init and \(2, 2\) in the mask"):
        mask.check_fits({**mask, "a": torch.ones(4)}, "init")
