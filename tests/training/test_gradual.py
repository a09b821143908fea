"""What is pruned while a network trains, against a sort of all surviving weights."""

from types import SimpleNamespace

import torch
from torch import nn

from lth.tickets.allocation import Global
from lth.tickets.criterion import Magnitude
from lth.tickets.gradual import Cubic
from lth.tickets.mask import Mask
from lth.tickets.prune import prune
from lth.training.gradual import PruneGradually


def make(model: nn.Module, curve: Cubic, last: float) -> PruneGradually:
    def smallest(weights, mask, amount, step):
        layers = [[name] for name in mask]
        return prune(weights, mask, layers, amount=amount, allocation=Global(), criterion=Magnitude())

    mask = Mask.dense({name: p for name, p in model.named_parameters() if name.endswith("weight")})
    keep = PruneGradually(mask, curve=curve, last=last, prune=smallest)
    keep.on_fit_start(None, SimpleNamespace(model=model))
    keep.on_train_start(SimpleNamespace(global_step=0), None)
    return keep


def test_the_smallest_survivors_of_the_whole_model_go():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 15), nn.Linear(15, 10))
    curve = Cubic(begin=0.1, end=0.9, every=2)
    keep = make(model, curve, last=0.2)
    weights = [model[0].weight, model[1].weight]
    alive = torch.ones(450, dtype=torch.bool)
    for step in range(1, 21):
        with torch.no_grad():
            for p in weights:
                p += torch.randn_like(p)  # also what was pruned is pushed away from zero
        progress = step / 20
        flat = torch.cat([p.detach().flatten() for p in weights]).abs()
        if progress >= 0.9 or (progress >= 0.1 and step % 2 == 0):
            remain = round(450 * (0.2 + 0.8 * max(0.0, 1 - (progress - 0.1) / 0.8) ** 3))
            order = torch.where(alive, flat, -1).argsort(descending=True)
            alive = torch.zeros(450, dtype=torch.bool).index_fill(0, order[:remain], True)
        keep.on_train_batch_end(SimpleNamespace(global_step=step), SimpleNamespace(progress=progress), {}, {}, 0)
        assert torch.equal(torch.cat([keep.mask[name].flatten() for name in keep.mask]), alive)
        assert torch.equal(torch.cat([p.detach().flatten() for p in weights]) != 0, alive)
    assert keep.mask.kept == 90


def test_a_batch_that_only_adds_gradients_prunes_nothing():
    model = nn.Linear(10, 10)
    keep = make(model, Cubic(begin=0.0, end=1.0, every=1), last=0.1)
    kept = []
    for step, progress in ((0, 0.1), (1, 0.2), (1, 0.3), (1, 0.4), (2, 0.5)):
        keep.on_train_batch_end(SimpleNamespace(global_step=step), SimpleNamespace(progress=progress), {}, {}, 0)
        kept.append(keep.mask.kept)
    assert kept == [100, round(10 + 90 * 0.8**3), round(10 + 90 * 0.8**3), round(10 + 90 * 0.8**3), round(10 + 90 / 8)]


def test_the_state_brings_the_mask_back():
    torch.manual_seed(0)
    keep = make(nn.Linear(10, 10), Cubic(begin=0.0, end=0.5, every=1), last=0.3)
    keep.on_train_batch_end(SimpleNamespace(global_step=1), SimpleNamespace(progress=0.6), {}, {}, 0)
    other = make(nn.Linear(10, 10), Cubic(begin=0.0, end=0.5, every=1), last=0.3)
    other.load_state_dict(keep.state_dict())
    assert other.mask == keep.mask and other.mask.kept == 30
