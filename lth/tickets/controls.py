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

#: The bits of some parameters in random places: (bits, shapes of all prunable parameters, generator) -> bits.
#: That of a structure keeps it: whole groups change places (`lth.tickets.structure`).
Shuffle = Callable[[Mapping[str, Tensor], Mapping[str, tuple[int, ...]], Generator], Mapping[str, Tensor]]


def random_mask(mask: Mask, layers: Layers, generator: Generator, shuffle: Shuffle | None = None) -> Mask:
    """Draw a uniformly random mask that keeps as many weights of every layer as ``mask`` does.

    Unlike random pruning of the whole model, which gives every layer the same density, it has the densities that
    the ticket found, so that only the choice within a layer is left to chance.

    Args:
        mask: of the ticket.
        layers: its parameters' names by layer.
        generator: on the CPU; the result is a function of it, the mask's counts and its shapes.
        shuffle: of the structure the ticket was pruned in; None: single weights. A structure keeps the counts of
            every matrix, and then this is another draw of `shuffled_mask`.

    Raises:
        ValueError: ``layers`` and ``mask`` name different parameters.
    """
    return _by_part(mask, layers, layers, generator, shuffle or anywhere)


def shuffled_mask(mask: Mask, layers: Layers, generator: Generator, shuffle: Shuffle | None = None) -> Mask:
    """Return ``mask`` with the bits of every matrix in random places: exact counts in each, no pattern left.

    Args and Raises: as `random_mask`.
    """
    parts = layers if shuffle else [[name] for layer in layers for name in layer]  # a group may span two matrices
    return _by_part(mask, layers, parts, generator, shuffle or anywhere)


def anywhere(
    bits: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], generator: Generator
) -> dict[str, Tensor]:
    """Put the kept weights of some parameters uniformly anywhere among all of theirs."""
    flat = torch.cat([b.flatten() for b in bits.values()])
    drawn = torch.zeros_like(flat)
    drawn[torch.randperm(flat.numel(), generator=generator)[: int(flat.count_nonzero())]] = True
    parts = drawn.split([b.numel() for b in bits.values()])
    return {name: part.view(b.shape) for (name, b), part in zip(bits.items(), parts, strict=True)}


def _by_part(mask: Mask, layers: Layers, parts: Layers, generator: Generator, shuffle: Shuffle) -> Mask:
    if sorted(name for layer in layers for name in layer) != sorted(mask):
        raise ValueError("The layers and the mask do not name the same parameters.")
    shapes = {name: tuple(bits.shape) for name, bits in mask.items()}
    drawn: dict[str, Tensor] = {}
    for part in parts:
        drawn |= shuffle({name: mask[name] for name in part}, shapes, generator)
    return Mask({name: drawn[name] for name in mask})


@torch.no_grad()
def signed(init: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Return ``init`` with every matrix in ``names`` replaced by its signs times its standard deviation.

    Zhou, Lan, Liu and Yosinski (2019), "Deconstructing Lottery Tickets", section 4.1: "signed constant". Their
    layers hold one matrix each; here each matrix of a layer has a deviation of its own (about its mean, over all of
    its values, pruned ones too). What is not named stays as it is.
    """
    changed = {name: torch.sign(init[name]) * init[name].std(correction=0) for name in names}
    return {name: changed.get(name, tensor) for name, tensor in init.items()}
