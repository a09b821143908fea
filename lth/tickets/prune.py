"""One round of pruning."""

from collections.abc import Callable, Iterator, Mapping
from functools import reduce

import torch
from torch import Generator, Tensor

from lth.tickets.allocation import Layers, Pool
from lth.tickets.mask import Mask
from lth.tickets.schedule import check_amount

Criterion = Callable[[str, Tensor, Generator | None], Tensor]
Allocation = Callable[[Mapping[str, int], Layers, float], list[Pool]]


@torch.no_grad()
def prune(
    weights: Mapping[str, Tensor],
    mask: Mask,
    layers: Layers,
    *,
    amount: float,
    allocation: Allocation,
    criterion: Criterion,
    generator: Generator | None = None,
) -> Mask:
    """Prune the survivors of `mask` with the lowest scores; the result is nested in `mask`.

    Every pool loses exactly as many weights as the allocation asks of it. Equal scores go in order of
    position, so the result is a function of the arguments alone.

    Args:
        weights: trained weights by parameter name, on any device; may hold more than the mask names.
        mask: what the rounds before have kept.
        layers: the mask's parameter names by layer, in the model's order.
        amount: share of the survivors to prune, between 0 and 1.
        allocation: how many weights each pool of parameters loses.
        criterion: the score of each weight.
        generator: the source of a criterion's random numbers, on the CPU.

    Raises:
        ValueError: `amount` is out of range; `layers`, `mask` and `weights` disagree about a name or a shape;
            a score is not a number; or the allocation asks for what is not there.
    """
    check_amount(amount)
    if sorted(name for layer in layers for name in layer) != sorted(mask):
        raise ValueError("The layers and the mask do not name the same parameters.")
    mask.check_fits(weights, "weights")

    kept = dict(mask)
    for names, count in allocation(mask.survivors(), layers, amount):
        if count:
            pool = {name: kept[name] for name in names}
            kept |= drop_lowest(pool, count, weights, criterion, generator)
    return Mask(kept)


def drop_lowest(
    pool: Mapping[str, Tensor],
    count: int,
    weights: Mapping[str, Tensor],
    criterion: Criterion,
    generator: Generator | None,
) -> dict[str, Tensor]:
    """The masks of `pool` less the `count` (at least 1) survivors with the lowest scores of them all."""
    survivors = {name: int(bits.count_nonzero()) for name, bits in pool.items()}
    if count > sum(survivors.values()):
        raise ValueError(f"{count} weights to prune, and only {sum(survivors.values())} left in {', '.join(pool)}.")
    # Made before the scores: what stays must not lie among what goes, or the heap ends up full of holes.
    kept = {name: bits.clone() for name, bits in pool.items()}
    dtype = reduce(torch.promote_types, (weights[name].dtype for name in pool), torch.float32)
    state = generator.get_state() if generator else None

    def scored() -> Iterator[tuple[str, Tensor, Tensor]]:
        # Each parameter is scored twice, and alone: that is cheaper than keeping the scores of a whole model.
        if generator:
            generator.set_state(state)
        for name, bits in pool.items():
            score = criterion(name, weights[name].detach(), generator).to("cpu", dtype)
            yield name, bits.flatten(), score.flatten()

    scores, end = torch.empty(sum(survivors.values()), dtype=dtype), 0
    for name, bits, score in scored():
        if score.sum().isnan():
            raise ValueError(f"{name} holds a weight that is not a number; it cannot be pruned.")
        start, end = end, end + survivors[name]
        score.numpy().compress(bits.numpy(), out=scores[start:end].numpy())
    scores.numpy().partition(count - 1)  # many times as fast as torch.kthvalue, and in place
    threshold = scores[count - 1].clone()
    spared = int((scores[count:] == threshold).count_nonzero())
    to_drop = count - int((scores[:count] < threshold).count_nonzero()) if spared else 0
    del scores

    for name, bits, score in scored():
        keep = kept[name].view(-1).logical_and_(score > threshold)
        if spared:
            ties = (bits & (score == threshold)).nonzero()
            keep[ties[to_drop:]] = True
            to_drop -= min(to_drop, len(ties))
    return kept
