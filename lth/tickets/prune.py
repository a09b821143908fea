"""One round of pruning."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce

import torch
from torch import Generator, Tensor

from lth.tickets.allocation import Allocation, Layers, Pool
from lth.tickets.cluster import Cluster
from lth.tickets.mask import Mask
from lth.tickets.schedule import check_amount
from lth.tickets.select import Scores
from lth.tickets.structure import Structure, Weights, shapes_of

Criterion = Callable[[str, Tensor, Generator | None], Tensor]


WEIGHTS = Weights()


@torch.no_grad()
def prune(
    weights: Mapping[str, Tensor],
    mask: Mask,
    layers: Layers,
    *,
    amount: float,
    allocation: Allocation,
    criterion: Criterion,
    structure: Structure = WEIGHTS,
    generator: Generator | None = None,
) -> Mask:
    """Prune the survivors of `mask` with the lowest scores; the result is nested in `mask`.

    Every pool loses exactly as many weights as the allocation asks of it; where they go in groups, as many
    whole groups as hold at most that many. Equal scores go in order of position, so the result is a function of
    the arguments alone.

    Args:
        weights: trained weights by parameter name, on any device; may hold more than the mask names.
        mask: what the rounds before have kept.
        layers: the mask's parameter names by layer, in the model's order.
        amount: share of the survivors to prune, between 0 and 1.
        allocation: how many weights each pool of parameters loses.
        criterion: the score of each weight.
        structure: what goes together. Pools that share a group become one.
        generator: the source of a criterion's random numbers, on the CPU.

    Raises:
        ValueError: `amount` is out of range; `layers`, `mask` and `weights` disagree about a name or a shape;
            a score is not a number; or the allocation asks for what is not there.
    """
    check_amount(amount)
    if sorted(name for layer in layers for name in layer) != sorted(mask):
        raise ValueError("The layers and the mask do not name the same parameters.")
    mask.check_fits(weights, "weights")

    kept, shapes = dict(mask), shapes_of(mask)
    pools = allocation(mask.survivors(), layers, amount, shapes)
    clusters = structure.clusters((name for names, _ in pools for name in names), shapes)
    for names, count in merged(pools, clusters):
        if count:
            pool = {name: kept[name] for name in names}
            prunable = sum(structure.max_prunable(bits) for bits in pool.values())
            if count > prunable:
                raise ValueError(f"{count} weights to prune, and only {prunable} left in {', '.join(pool)}.")
            kept |= structure.select(pool, count, scored(names, weights, criterion, generator), shapes)
    return Mask(kept)


def scored(
    pool: Iterable[str], weights: Mapping[str, Tensor], criterion: Criterion, generator: Generator | None
) -> Scores:
    """Return a function that makes the scores of a pool anew, and the same, each time it is called."""
    dtype = reduce(torch.promote_types, (weights[name].dtype for name in pool), torch.float32)
    state = None if generator is None else generator.get_state()

    def scores() -> Iterator[tuple[str, Tensor]]:
        if generator is not None and state is not None:
            generator.set_state(state)
        for name in pool:
            score = criterion(name, weights[name].detach(), generator).to("cpu", dtype)
            if score.sum().isnan():
                raise ValueError(f"{name} holds a weight that is not a number; it cannot be pruned.")
            yield name, score

    return scores


def merged(pools: Sequence[Pool], clusters: Iterable[Cluster]) -> list[Pool]:
    """Return `pools`, those that hold parts of one cluster made into one, in the place of the first of them."""
    pools = list(pools)
    for cluster in clusters:
        shared = [pool for pool in pools if set(pool[0]) & set(cluster.names)]
        if len(shared) > 1:
            place = pools.index(shared[0])
            names = tuple(name for pool in shared for name in pool[0])
            pools = [pool for pool in pools if pool not in shared]
            pools.insert(place, (names, sum(count for _, count in shared)))
    return pools
