"""Controls against counting by hand, and against what a uniform draw must look like."""

import math

import pytest
import torch

from lth.tickets.controls import anywhere, random_mask, shuffled_mask, signed
from lth.tickets.criterion import Random
from lth.tickets.mask import Mask

LAYERS = [["a.in", "a.hidden"], ["b"]]


def ticket(seed: int = 0) -> Mask:
    """Very unequal densities, and all of a's input matrix in its first rows."""
    g = torch.Generator().manual_seed(seed)
    first = torch.zeros(40, 30, dtype=torch.bool)
    first[:10] = True
    return Mask({"a.in": first, "a.hidden": torch.rand(40, 40, generator=g) < 0.1, "b": torch.rand(7, 5) < 2})


def drawn(function, seed: int, **options) -> Mask:
    return function(ticket(), LAYERS, torch.Generator().manual_seed(seed), **options)


def count(mask: Mask, *names: str) -> int:
    return sum(bit for name in names for bit in mask[name].flatten().tolist())


@pytest.mark.parametrize("function", [random_mask, shuffled_mask])
def test_counts_by_brute_force(function):
    mask, control = ticket(), drawn(function, 1)
    assert list(control) == list(mask)
    for layer in LAYERS:
        assert count(control, *layer) == count(mask, *layer)
    assert (count(control, "a.in") == count(mask, "a.in")) == (function is shuffled_mask)
    assert all(control[name].shape == mask[name].shape for name in mask)
    assert control != mask and control == drawn(function, 1) and control != drawn(function, 2)
    assert control["b"].all()  # nothing was pruned there


def test_a_random_control_is_not_random_pruning_of_the_model():
    """That gives every layer the same density; the control keeps the ticket's."""
    mask, control = ticket(), drawn(random_mask, 0)
    scores = torch.cat([Random()(n, b.float(), torch.Generator().manual_seed(0)).flatten() for n, b in mask.items()])
    threshold = scores.sort(descending=True).values[mask.kept - 1]
    dense_layer = scores[-35:] >= threshold
    assert dense_layer.float().mean() < 0.8 < control["b"].float().mean()


def test_every_place_is_as_likely():
    """Over many draws each weight of a layer survives with the layer's density, within five standard errors."""
    times, layer = 2000, LAYERS[0]
    total = {name: sum(drawn(random_mask, seed)[name].float() for seed in range(times)) for name in layer}
    density = count(ticket(), *layer) / sum(ticket()[name].numel() for name in layer)
    error = math.sqrt(density * (1 - density) / times)
    for sums in total.values():
        assert (sums / times - density).abs().max() < 5 * error
        assert abs((sums / times).mean() - density) < error


def test_a_shuffle_leaves_no_pattern():
    """The ticket keeps whole rows; rows of its shuffle have the spread of a hypergeometric draw."""
    mask, rows = ticket()["a.in"], []
    for seed in range(300):
        rows.append(drawn(shuffled_mask, seed)["a.in"].sum(1).double())
    rows = torch.stack(rows)
    n, kept, width = mask.numel(), count(ticket(), "a.in"), mask.shape[1]
    variance = width * (kept / n) * (1 - kept / n) * (n - width) / (n - 1)
    assert rows.mean(0).sub(width * kept / n).abs().max() < 5 * math.sqrt(variance / 300)
    assert rows.var(0).mean().item() == pytest.approx(variance, rel=0.1)


def test_a_structure_shuffles_layer_by_layer():
    """Its own shuffle is asked, with the bits of a layer and the shapes of all."""
    asked = []

    def shuffle(bits, shapes, generator):
        asked.append((list(bits), len(shapes)))
        return anywhere(bits, shapes, generator)

    for function in (random_mask, shuffled_mask):
        asked.clear()
        drawn(function, 0, shuffle=shuffle)
        assert asked == [(["a.in", "a.hidden"], 3), (["b"], 3)]


def test_layers_that_are_not_the_masks():
    for function in (random_mask, shuffled_mask):
        with pytest.raises(ValueError, match="do not name the same parameters"):
            function(ticket(), [["b"]], torch.Generator())


def test_signs_by_hand():
    init = {"w": torch.tensor([[1.0, -3.0], [5.0, 0.0]]), "bias": torch.tensor([7.0])}
    deviation = math.sqrt(((1 - 0.75) ** 2 + (-3 - 0.75) ** 2 + (5 - 0.75) ** 2 + (0 - 0.75) ** 2) / 4)
    changed = signed(init, ["w"])
    expected = torch.tensor([[deviation, -deviation], [deviation, 0.0]])
    torch.testing.assert_close(changed["w"], expected)
    assert torch.equal(changed["bias"], init["bias"]) and init["w"][0, 0] == 1
