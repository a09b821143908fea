"""What is pruned at once, and what competes with what.

A structure answers four questions:

    clusters(names, shapes)       which of these parameters' weights go together (see `lth.tickets.cluster`)
    select(pool, count, scores, shapes)   which survivors of a pool go, when `count` of them shall
    max_prunable(bits)            how many of a parameter's survivors may be asked for at all
    shuffle(bits, shapes, generator)      a random mask of the same structure and the same layer densities

``names`` are parameters that may lose weights, ``shapes`` those of all prunable ones: an input matrix is cut
at its gates, and those are told by the recurrent matrix beside it. A parameter is the matrix (out, in * kernel).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from lth.tickets import select
from lth.tickets.cluster import (
    Bits,
    Cluster,
    RecurrentUnits,
    Shapes,
    SharedRows,
    Tiles,
    gates,
    matrix,
    recurrent,
    shuffled,
    siblings,
)
from lth.tickets.select import Scores


class Structure:
    """Prune single weights, unless a subclass says otherwise; the count is met exactly."""

    def clusters(self, names: Iterable[str], shapes: Shapes) -> list[Cluster]:
        return [Tiles(name, shapes[name], 1, 1) for name in names]

    def select(self, pool: Bits, count: int, scores: Scores, shapes: Shapes) -> dict[str, Tensor]:
        return select.weights(pool, count, scores)

    def max_prunable(self, bits: Tensor) -> int:
        return int(bits.count_nonzero())

    def shuffle(self, bits: Bits, shapes: Shapes, generator: Generator) -> dict[str, Tensor]:
        return shuffled(self.clusters(bits, shapes), bits, generator)


@dataclass(frozen=True)
class Weights(Structure):
    """Prune single weights (unstructured pruning)."""


@dataclass(frozen=True)
class PerRow(Structure):
    """Prune single weights that compete within their output row only; each row loses the same share of its survivors.

    The comparison group of Wanda (Sun et al. 2023, section 3).
    """

    def select(self, pool: Bits, count: int, scores: Scores, shapes: Shapes) -> dict[str, Tensor]:
        return select.in_rows(pool, count, scores)

    def shuffle(self, bits: Bits, shapes: Shapes, generator: Generator) -> dict[str, Tensor]:
        """Draw a mask whose rows keep as many weights as in ``bits``, elsewhere."""
        return {name: permute_within(rows_of(b), generator).view(b.shape) for name, b in bits.items()}


@dataclass(frozen=True)
class NM(Structure):
    """Keep at least ``n`` of each ``m`` consecutive weights of a row (Mishra et al. 2021 for 2:4).

    The ``n`` strongest survivors of every group are protected; the others go one by one, so that the count is
    met exactly down to a density of n / m, where the mask is n:m. Of a shorter group at a row's end the same
    share stays, rounded up.

    Raises:
        ValueError: not 0 < n < m.
    """

    n: int = 2
    m: int = 4

    def __post_init__(self):
        if not 0 < self.n < self.m:
            raise ValueError(f"n:m keeps n of m weights and needs 0 < n < m, not {self.n}:{self.m}.")

    def select(self, pool: Bits, count: int, scores: Scores, shapes: Shapes) -> dict[str, Tensor]:
        protected = {name: self._strongest(pool[name], score) for name, score in scores()}
        free = {name: bits & ~protected[name] for name, bits in pool.items()}
        count = min(count, sum(int(bits.count_nonzero()) for bits in free.values()))  # short groups' ends
        kept = select.weights(free, count, scores) if count else free
        return {name: bits | protected[name] for name, bits in kept.items()}

    def max_prunable(self, bits: Tensor) -> int:
        alive = self._groups(rows_of(bits), False).sum(2)
        free = int((alive - torch.minimum(alive, self._least(bits))).sum())
        # A density of n / m may be asked for, though rounding up in short groups leaves a little more.
        return max(free, int(alive.sum()) - -(-bits.numel() * self.n // self.m))

    def shuffle(self, bits: Bits, shapes: Shapes, generator: Generator) -> dict[str, Tensor]:
        """Draw a mask: whole groups change places within their parameter, and weights within their group."""
        return {name: self._shuffled(b, generator) for name, b in bits.items()}

    def _strongest(self, bits: Tensor, score: Tensor) -> Tensor:
        """Bool of the parameter's shape: the ``n`` highest scores of each group, of equal ones the last."""
        dead = torch.where(bits, score.view(bits.shape), -torch.inf)
        x = self._groups(rows_of(dead), -torch.inf)
        rank = torch.zeros(x.shape, dtype=torch.int8)
        for i in range(self.m):
            for j in range(i):
                first = x[..., j] > x[..., i]
                rank[..., i] += first
                rank[..., j] += ~first
        width = rows_of(bits).shape[1]
        strongest = (rank < self._least(bits)[:, None]).flatten(1)[:, :width]
        return strongest.reshape(bits.shape) & bits

    def _least(self, bits: Tensor) -> Tensor:
        """(groups of a row,): how many weights of each stay."""
        width = rows_of(bits).shape[1]
        sizes = (width - torch.arange(0, width, self.m)).clamp(max=self.m)
        return -(-sizes * self.n // self.m)

    def _groups(self, rows: Tensor, filling: float) -> Tensor:
        """(R, C) to (R, groups, m), the last group filled up."""
        missing = -rows.shape[1] % self.m
        if missing:
            rows = torch.nn.functional.pad(rows, (0, missing), value=filling)
        return rows.reshape(len(rows), -1, self.m)

    def _shuffled(self, bits: Tensor, generator: Generator) -> Tensor:
        rows = rows_of(bits)
        whole = rows.shape[1] // self.m * self.m
        parts = []
        for part, size in ((rows[:, :whole], self.m), (rows[:, whole:], rows.shape[1] - whole)):
            if part.numel():
                groups = part.reshape(-1, size)
                groups = groups[torch.randperm(len(groups), generator=generator)]
                parts.append(permute_within(groups, generator).view(part.shape))
        return torch.cat(parts, 1).view(bits.shape)


class Grouped(Structure):
    """Prune whole groups, the lowest mean score first: as many as hold at most `count` survivors, never more."""

    def select(self, pool: Bits, count: int, scores: Scores, shapes: Shapes) -> dict[str, Tensor]:
        return select.groups(pool, count, scores, self.clusters(pool, shapes))


@dataclass(frozen=True)
class Block(Grouped):
    """Prune blocks of ``rows`` x ``columns`` (1 x 4 in Ding et al. 2022), smaller at the edges and never across gates.

    Raises:
        ValueError: a side is not positive.
    """

    rows: int = 1
    columns: int = 4

    def __post_init__(self):
        if self.rows < 1 or self.columns < 1:
            raise ValueError(f"A block has at least one row and one column, not {self.rows} x {self.columns}.")

    def clusters(self, names: Iterable[str], shapes: Shapes) -> list[Cluster]:
        return [Tiles(name, shapes[name], self.rows, self.columns, gates(name, shapes)) for name in names]


@dataclass(frozen=True)
class Rows(Grouped):
    """Prune whole rows: an output of a linear layer, a filter of a convolution, a single gate of a recurrent unit."""

    def clusters(self, names: Iterable[str], shapes: Shapes) -> list[Cluster]:
        return [row_tiles(name, shapes) for name in names]


@dataclass(frozen=True)
class Units(Grouped):
    """Prune whole units: all that one of an LSTM or GRU direction computes and hands on; elsewhere as `Rows`."""

    def clusters(self, names: Iterable[str], shapes: Shapes) -> list[Cluster]:
        names, clusters = list(names), []
        for name in names:
            together = siblings(name, shapes)
            if together and set(together) <= set(names):
                if name == together[0]:
                    clusters.append(SharedRows(together, {gate: shapes[gate] for gate in together}))
                continue
            hidden = recurrent(name)
            inputs = hidden.replace("weight_hh", "weight_ih") if hidden else None
            if hidden is None or inputs is None or not {inputs, hidden} <= set(names):
                clusters.append(row_tiles(name, shapes))
            elif name == inputs:
                clusters.append(RecurrentUnits(inputs, hidden, {n: shapes[n] for n in (inputs, hidden)}))
        return clusters


def row_tiles(name: str, shapes: Shapes) -> Tiles:
    """Return a parameter as tiles of whole rows."""
    return Tiles(name, shapes[name], 1, matrix(shapes[name])[1])


def rows_of(x: Tensor) -> Tensor:
    """Return a parameter as the matrix (out, in * kernel)."""
    return x.reshape(matrix(tuple(x.shape)))


def permute_within(rows: Tensor, generator: Generator) -> Tensor:
    """Return a matrix with each row in a random order of its own."""
    return rows.gather(1, torch.rand(rows.shape, generator=generator).argsort(1))


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
