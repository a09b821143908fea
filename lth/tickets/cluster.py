"""Weights that live and die together: a cluster is some parameters cut into groups.

Every cluster has the ``names`` of its parameters, a number of ``groups``, and three functions:

    sums(values)      {name: tensor of the parameter's shape} -> (groups,) float64, the total of each group
    spread(values)    (groups,) -> {name: tensor of the parameter's shape}: to each weight what its group holds,
                      the least of them where it lies in two; groups to keep, as bools, become masks
    lost(bits, rank)  (groups,): the survivors that go with each group if groups go in the order of ``rank``

That is all it takes to draw or shuffle masks in whole groups: see `shuffled`. A parameter is the matrix
(out, in * kernel); a vector is one row.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import add

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Bits = Mapping[str, Tensor]


@dataclass(frozen=True)
class Tiles:
    """One parameter in tiles of ``rows`` x ``columns``, smaller at the edges, none across two gates."""

    name: str
    shape: Shape
    rows: int
    columns: int
    gates: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def groups(self) -> int:
        _, down, across = self._grid()
        return self.gates * down * across

    def sums(self, values: Mapping[str, Tensor]) -> Tensor:
        (height, width), down, across = self._grid()
        x = values[self.name].reshape(self.gates, height, width)
        if (down * self.rows, across * self.columns) != (height, width):
            x = pad(x, (0, across * self.columns - width, 0, down * self.rows - height))
        x = x.reshape(self.gates, down, self.rows, across, self.columns)
        return x.sum((2, 4), dtype=torch.float64).flatten()

    def spread(self, values: Tensor) -> dict[str, Tensor]:
        (height, width), down, across = self._grid()
        x = values.view(self.gates, down, 1, across, 1)
        x = x.expand(-1, -1, self.rows, -1, self.columns)
        x = x.reshape(self.gates, down * self.rows, across * self.columns)
        return {self.name: x[:, :height, :width].reshape(self.shape)}

    def lost(self, bits: Bits, rank: Tensor) -> Tensor:
        return self.sums(bits).long()

    def _grid(self) -> tuple[tuple[int, int], int, int]:
        """(rows of a gate, columns) of the matrix, and how many tiles cover them."""
        height, width = matrix(self.shape)
        height //= self.gates
        return (height, width), -(-height // self.rows), -(-width // self.columns)


@dataclass(frozen=True)
class RecurrentUnits:
    """The units of one direction of an LSTM, GRU or RNN layer.

    Group j is unit j: its rows of every gate in both matrices, what it computes, and its column of every gate
    in ``weight_hh``, what the others take from it. Such a weight between two units lies in both groups.
    """

    inputs: str
    hidden: str
    shapes: Shapes

    @property
    def names(self) -> tuple[str, ...]:
        return (self.inputs, self.hidden)

    @property
    def groups(self) -> int:
        return self.shapes[self.hidden][1]

    def sums(self, values: Mapping[str, Tensor]) -> Tensor:
        inputs = values[self.inputs].view(-1, self.groups, self.shapes[self.inputs][1])
        hidden = values[self.hidden].view(-1, self.groups, self.groups)
        sums = [x.sum((0, 2), dtype=torch.float64) for x in (inputs, hidden)]
        sums.append(hidden.sum((0, 1), dtype=torch.float64))
        # A unit's weights to itself are in its rows and in its column.
        return sum(sums) - hidden.diagonal(dim1=1, dim2=2).sum(0, dtype=torch.float64)

    def spread(self, values: Tensor) -> dict[str, Tensor]:
        both = torch.minimum(values[:, None], values)
        gates = self.shapes[self.hidden][0] // self.groups
        return {
            self.inputs: values.repeat(gates)[:, None].expand(self.shapes[self.inputs]),
            self.hidden: both.repeat(gates, 1),
        }

    def lost(self, bits: Bits, rank: Tensor) -> Tensor:
        # A weight goes with the first of its two groups.
        first = self.spread(rank)
        owners = torch.cat([first[name][bits[name]] for name in self.names])
        return torch.bincount(owners, minlength=int(rank.max()) + 1)[rank]


@dataclass(frozen=True)
class SharedRows:
    """Row j of several matrices with as many rows: what one unit of a minGRU or minLSTM computes with all its gates."""

    names: tuple[str, ...]
    shapes: Shapes

    @property
    def groups(self) -> int:
        return self.shapes[self.names[0]][0]

    def sums(self, values: Mapping[str, Tensor]) -> Tensor:
        return reduce(add, (values[name].flatten(1).sum(1, dtype=torch.float64) for name in self.names))

    def spread(self, values: Tensor) -> dict[str, Tensor]:
        return {name: values[:, None].expand(self.shapes[name]) for name in self.names}

    def lost(self, bits: Bits, rank: Tensor) -> Tensor:
        return self.sums(bits).long()


Cluster = Tiles | RecurrentUnits | SharedRows


def matrix(shape: Shape) -> tuple[int, int]:
    """Return the shape of a parameter as the matrix (out, in * kernel)."""
    return (1, prod(shape)) if len(shape) < 2 else (shape[0], prod(shape[1:]))


def recurrent(name: str) -> str | None:
    """Return the recurrent matrix beside an input or recurrent matrix of torch's LSTM, GRU or RNN, else None."""
    module, dot, parameter = name.rpartition(".")
    if parameter.startswith(("weight_ih", "weight_hh")):
        return f"{module}{dot}{parameter.replace('weight_ih', 'weight_hh')}"
    return None


def siblings(name: str, shapes: Shapes) -> tuple[str, ...]:
    """Return all gates' matrices, in order, of the minGRU or minLSTM that this is a gate's matrix of; else none.

    Told by the names of `lth.models.mingru`: ``candidate`` beside ``gate``, or beside ``forget`` and ``input``.
    """
    module, _, gate = name.removesuffix(".weight").rpartition(".")
    for names in (("candidate", "gate"), ("candidate", "forget", "input")):
        matrices = tuple(f"{module}.{name}.weight" for name in names)
        if gate in names and all(name in shapes for name in matrices):
            return matrices
    return ()


def gates(name: str, shapes: Shapes) -> int:
    """Return how many gates are stacked in this parameter: 4 for an LSTM, 3 for a GRU, 1 elsewhere.

    Told by the shape of ``weight_hh``, (gates * units, units).
    """
    hidden = shapes.get(recurrent(name) or "")
    return hidden[0] // hidden[1] if hidden and hidden[1] and hidden[0] % hidden[1] == 0 else 1


def shuffled(clusters: Iterable[Cluster], bits: Bits, generator: Generator) -> dict[str, Tensor]:
    """Draw masks with the same number of whole groups alive in every cluster, among groups of the same size.

    Each parameter keeps as many weights as in ``bits``, if no group of those is alive in part.
    """
    drawn = {}
    for cluster in clusters:
        alive = cluster.sums(bits) > 0
        sizes = cluster.sums({name: torch.ones_like(bits[name]) for name in cluster.names})
        for size in sizes.unique():
            places = (sizes == size).nonzero().flatten()
            alive[places] = alive[places[torch.randperm(len(places), generator=generator)]]
        drawn |= {name: kept.contiguous() for name, kept in cluster.spread(alive).items()}
    return drawn
