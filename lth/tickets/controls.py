"""Controls: what a ticket has to beat, each with one of its parts replaced.

A winning ticket is said to owe its accuracy to *which* weights are kept and to *their* initial values. A random or
shuffled mask takes away the first and keeps the densities; fresh values (made by the model's own initialiser, so
not here) and signs take away the second.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Generator, Tensor

from lth.tickets.allocation import Layers
from lth.tickets.mask import Mask

#: What is kept or pruned at once. Of a mask's parameters with their bits: index tensors (groups, weights in a
#: group), a group's weights counted through the flattened parameters one after another.
Groups = Callable[[Mapping[str, Tensor]], Iterable[Tensor]]


def single(bits: Mapping[str, Tensor]) -> Iterable[Tensor]:
    """Unstructured: every weight is a group of its own."""
    yield torch.arange(sum(b.numel() for b in bits.values())).unsqueeze(1)


def random_mask(mask: Mask, layers: Layers, generator: Generator, groups: Groups = single) -> Mask:
    """A uniformly random mask that keeps as many weights of every layer as ``mask`` does.

    Unlike random pruning of the whole model, which gives every layer the same density, it has the densities that
    the ticket found, so that only the choice within a layer is left to chance.

    Args:
        mask: of the ticket.
        layers: its parameters' names by layer.
        generator: on the CPU; the result is a function of it, the mask's counts and shapes.
        groups: what is kept or pruned at once.

    Raises:
        ValueError: ``layers`` and ``mask`` name different parameters, or the mask keeps a part of a group.
    """
    if sorted(name for layer in layers for name in layer) != sorted(mask):
        raise ValueError("The layers and the mask do not name the same parameters.")
    bits: dict[str, Tensor] = {}
    for layer in layers:
        bits |= permuted({name: mask[name] for name in layer}, generator, groups)
    return Mask({name: bits[name] for name in mask})


def shuffled_mask(mask: Mask, generator: Generator, groups: Groups = single) -> Mask:
    """``mask`` with the bits of every matrix in random places: exact counts in each, no pattern left.

    Args and Raises: as `random_mask`.
    """
    bits: dict[str, Tensor] = {}
    for name in mask:
        bits |= permuted({name: mask[name]}, generator, groups)
    return Mask(bits)


def permuted(bits: Mapping[str, Tensor], generator: Generator, groups: Groups) -> dict[str, Tensor]:
    """The bits of some parameters, their kept groups moved to random groups of the same kind among them all."""
    flat = torch.cat([b.flatten() for b in bits.values()])
    result = torch.zeros_like(flat)
    for index in groups(bits):
        patterns = flat[index]
        if index.shape[1] > 1 and not (patterns == patterns[:, :1]).all():
            raise ValueError(f"The mask keeps only a part of a group in {', '.join(bits)}.")
        result[index] = patterns[torch.randperm(len(index), generator=generator)]
    parts = result.split([b.numel() for b in bits.values()])
    return {name: part.view(b.shape) for (name, b), part in zip(bits.items(), parts, strict=True)}


@torch.no_grad()
def signed(init: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """``init`` with every matrix in ``names`` replaced by its signs times its standard deviation.

    Zhou, Lan, Liu and Yosinski (2019), "Deconstructing Lottery Tickets", section 4.1: "signed constant". Their
    layers hold one matrix each; here each matrix of a layer has a deviation of its own (about its mean, over all of
    its values, pruned ones too). What is not named stays as it is.
    """
    changed = {name: torch.sign(init[name]) * init[name].std(correction=0) for name in names}
    return {name: changed.get(name, tensor) for name, tensor in init.items()}
