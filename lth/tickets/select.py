"""The weakest of a pool: given how many go, which."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from lth.tickets.cluster import Cluster, matrix

#: Names and scores of a pool's parameters, one at a time and in the pool's order, the same at every call.
Scores = Callable[[], Iterable[tuple[str, Tensor]]]


def weights(pool: Mapping[str, Tensor], count: int, scores: Scores) -> dict[str, Tensor]:
    """Return the masks of `pool` less the `count` (at least 1) survivors with the lowest scores of them all.

    Equal scores go in order of position. Scores are asked for twice: that is cheaper than keeping a model's.
    """
    survivors = {name: int(bits.count_nonzero()) for name, bits in pool.items()}
    # Made before the scores: what stays must not lie among what goes, or the heap ends up full of holes.
    kept = {name: bits.clone() for name, bits in pool.items()}

    alive, end = torch.empty(0), 0
    for name, score in scores():
        if not len(alive):
            alive = torch.empty(sum(survivors.values()), dtype=score.dtype)
        start, end = end, end + survivors[name]
        score.flatten().numpy().compress(pool[name].flatten().numpy(), out=alive[start:end].numpy())
    alive.numpy().partition(count - 1)  # many times as fast as torch.kthvalue, and in place
    threshold = alive[count - 1].clone()
    spared = int((alive[count:] == threshold).count_nonzero())
    to_drop = count - int((alive[:count] < threshold).count_nonzero()) if spared else 0
    del alive

    for name, score in scores():
        score = score.flatten()
        keep = kept[name].view(-1).logical_and_(score > threshold)
        if spared:
            ties = (pool[name].flatten() & (score == threshold)).nonzero()
            keep[ties[to_drop:]] = True
            to_drop -= min(to_drop, len(ties))
    return kept


def groups(pool: Mapping[str, Tensor], count: int, scores: Scores, clusters: Iterable[Cluster]) -> dict[str, Tensor]:
    """Return the masks of `pool` less the groups with the lowest mean scores that hold at most `count` survivors.

    The mean is over a group's survivors. Equal means go in order of position, cluster by cluster.
    """
    clusters = list(clusters)
    totals = {name: torch.where(pool[name], score.view(pool[name].shape), 0) for name, score in scores()}
    means = []
    for cluster in clusters:
        alive = cluster.sums(pool)
        mean = cluster.sums(totals) / alive
        means.append(torch.where(alive > 0, mean, -torch.inf))  # what is gone goes first and costs nothing
    del totals
    order = torch.cat(means).argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    ranks = rank.split([cluster.groups for cluster in clusters])
    lost = torch.cat([cluster.lost(pool, r) for cluster, r in zip(clusters, ranks, strict=True)])
    gone = int(torch.searchsorted(lost[order].cumsum(0), count, right=True))
    kept = {}
    for cluster, r in zip(clusters, ranks, strict=True):
        kept |= {name: bits & pool[name] for name, bits in cluster.spread(r >= gone).items()}
    return kept


def in_rows(pool: Mapping[str, Tensor], count: int, scores: Scores) -> dict[str, Tensor]:
    """Return the masks of `pool` less `count` survivors: from every row its lowest, in proportion to its survivors.

    Whole numbers by the largest remainder; equal remainders and equal scores go in order of position.
    """
    rows = {name: bits.reshape(matrix(tuple(bits.shape))) for name, bits in pool.items()}
    survivors = torch.cat([bits.sum(1) for bits in rows.values()])
    shares = survivors * count // survivors.sum()
    remainders = survivors * count % survivors.sum()
    shares[remainders.argsort(descending=True, stable=True)[: count - int(shares.sum())]] += 1
    per_row = dict(zip(rows, shares.split([len(bits) for bits in rows.values()]), strict=True))
    kept = {}
    for name, score in scores():
        bits = rows[name]
        score = score.view(bits.shape).clamp(max=torch.finfo(score.dtype).max)  # above it is what is gone already
        weakest = torch.where(bits, score, torch.inf).argsort(dim=1, stable=True)
        going = torch.arange(bits.shape[1]) < per_row[name][:, None]
        kept[name] = (bits & ~torch.zeros_like(bits).scatter_(1, weakest, going)).view(pool[name].shape)
    return kept
