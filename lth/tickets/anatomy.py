"""What a ticket is made of: ranks of its matrices, units that are cut off, what training did to its weights."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lth.tickets.cluster import gates, matrix, recurrent
from lth.tickets.mask import Mask


class Change(NamedTuple):
    """Count what training did to weights: how many there are, kept their sign, and are larger in magnitude after it."""

    weights: int
    same_sign: int
    grown: int

    def __add__(self, other: "Change") -> "Change":
        return Change(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def signs(self) -> float | None:
        """Return the share of the weights that kept their sign."""
        return self.same_sign / self.weights if self.weights else None

    @property
    def growth(self) -> float | None:
        """Return the share of the weights that grew in magnitude."""
        return self.grown / self.weights if self.weights else None


def change(before: Tensor, after: Tensor, bits: Tensor) -> Change:
    """Return what training changed in the weights of one parameter that `bits` keeps."""
    before, after = before[bits], after[bits]
    return Change(before.numel(), int((before.sign() == after.sign()).sum()), int((after.abs() > before.abs()).sum()))


def effective_rank(weights: Tensor) -> float:
    """Return exp of the entropy of the normalised singular values (Roy and Vetterli 2007, definition 1).

    Between 0 for zeros, 1 for a matrix of rank one, and min(rows, columns) for equal singular values. A parameter of
    more than two dimensions is the matrix (out, in * kernel).
    """
    x = weights.double().reshape(matrix(tuple(weights.shape)))
    # Eigenvalues of the smaller Gram matrix: many times as fast as singular values of a long one. What rounding makes
    # of a zero is cut off.
    squares = torch.linalg.eigvalsh(x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x)
    squares = squares[squares > squares.max() * len(squares) * torch.finfo(squares.dtype).eps]
    if not len(squares):
        return 0.0
    shares = squares.sqrt() / squares.sqrt().sum()
    return math.exp(float(-(shares * shares.log()).sum()))


class Units(NamedTuple):
    """The units of one module that are cut off; each tensor is (units,) bool.

    `no_input`: no weight comes in. `no_reader`: no weight takes what comes out; None where it is not known who reads
    it.
    """

    no_input: Tensor
    no_reader: Tensor | None

    @property
    def dead(self) -> Tensor:
        """Return the units without input or reader: their output is always the same, or nothing takes it."""
        return self.no_input if self.no_reader is None else self.no_input | self.no_reader


def units(mask: Mask) -> dict[str, Units]:
    """Return the units of every module that the mask names: filters, rows of a matrix, recurrent units with all gates.

    A recurrent unit has no input when its rows of every gate are gone from both its matrices, and no reader when its
    column of every gate is gone from the recurrent matrix, and from the next layer.
    """
    inputs = {name: recurrent(name) for name in mask if recurrent(name) != name}
    layers = _chain(mask, list(inputs))
    by_module = {}
    for name, hidden in inputs.items():
        alive = _rows(mask, name)
        if hidden is not None and hidden in mask:
            alive = alive | _rows(mask, hidden)
        no_reader = None
        if layers is not None:
            place = next(n for n, layer in enumerate(layers) if name in layer)
            if place + 1 == len(layers):  # what the last layer says is the output
                no_reader = torch.zeros_like(alive)
            else:
                no_reader = ~torch.stack([_read(mask[reader], len(alive)) for reader in layers[place + 1]]).any(0)
                if hidden is not None and hidden in mask:
                    no_reader &= ~_read(mask[hidden], len(alive))
        by_module[name.rpartition(".")[0]] = Units(~alive, no_reader)
    return by_module


def _rows(mask: Mask, name: str) -> Tensor:
    """(units,) whether any weight is left in a unit's rows, those of all its gates."""
    bits = mask[name]
    stacked = gates(name, {own: tuple(b.shape) for own, b in mask.items()})
    return bits.reshape(matrix(tuple(bits.shape))).any(1).view(stacked, -1).any(0)


def _read(bits: Tensor, count: int) -> Tensor:
    """(count,) whether any weight takes a unit's output; a filter's output is several columns side by side."""
    return bits.reshape(len(bits), count, -1).any(2).any(0)


def _chain(mask: Mask, names: Sequence[str]) -> list[list[str]] | None:
    """The parameters that take inputs, layer by layer, where each layer reads the one before it and nothing else.

    That is so in DeepSpeech2, whose modules of one layer (both directions) are summed. None where the shapes do not
    bear it out, or nothing is recurrent: other models branch.
    """
    layers: dict[str, list[str]] = {}
    for name in names:
        module = name.rpartition(".")[0]
        layers.setdefault(module.rpartition(".")[0] or module, []).append(name)
    if not any(recurrent(name) for name in names):
        return None
    chain = list(layers.values())
    outputs = [{len(_rows(mask, name)) for name in layer} for layer in chain]
    columns = [{matrix(tuple(mask[name].shape))[1] for name in layer} for layer in chain]
    if any(len(sizes) > 1 for sizes in (*outputs, *columns)):
        return None
    fits = all(b % a == 0 for (a,), (b,) in zip(outputs, columns[1:], strict=False))
    return chain if fits else None
