from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lth.tickets.mask import Mask
from lth.training.callbacks import KeepPruned
from lth.training.recogniser import Recogniser
from lth.training.schedule import annealed, fixed, one_cycle


@pytest.fixture
def ticket():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3))
    mask = Mask({"0.weight": torch.rand(5, 6) > 0.6, "1.weight": torch.ones(3, 5, dtype=torch.bool)})
    mask.apply_(dict(model.named_parameters()))
    return model, mask


@pytest.mark.parametrize("optimiser", [torch.optim.AdamW, torch.optim.SGD])
def test_pruned_weights_stay_zero_and_out_of_the_gradient_norm(ticket, optimiser):
    """Against a model that has no pruned weights at all: its survivors are parameters of their own."""
    model, mask = ticket
    keep = KeepPruned(mask)
    keep.on_fit_start(None, SimpleNamespace(model=model))
    survivors = nn.Parameter(model[0].weight.detach()[mask["0.weight"]].clone())
    others = [nn.Parameter(p.detach().clone()) for n, p in model.named_parameters() if n != "0.weight"]
    steps = {name: optimiser(ps, 0.1) for name, ps in (("model", model.parameters()), ("free", [survivors, *others]))}
    for step in range(4):
        torch.manual_seed(step)
        x, y = torch.randn(7, 6), torch.randn(7, 3)
        steps["model"].zero_grad(), steps["free"].zero_grad()
        (model(x) - y).square().sum().backward()
        keep.on_before_optimizer_step(None, None, steps["model"])
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        steps["model"].step()
        keep.on_train_batch_end(None, None, None, None, step)

        weight = torch.zeros(5, 6).masked_scatter(mask["0.weight"], survivors)
        bias0, weight1, bias1 = others
        ((x @ weight.T + bias0) @ weight1.T + bias1 - y).square().sum().backward()
        free = nn.utils.clip_grad_norm_([survivors, *others], 0.5)
        steps["free"].step()

        torch.testing.assert_close(norm, free)
        assert not model[0].weight[~mask["0.weight"]].any()
        torch.testing.assert_close(model[0].weight[mask["0.weight"]], survivors)


def test_lightning_clips_after_the_mask():
    """The order that KeepPruned relies on."""
    import lightning

    order = []

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def training_step(self, batch, n):
            return self.layer(batch[0]).sum()

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), fused=True)

        def configure_gradient_clipping(self, *args, **kwargs):
            order.append("clip")

    class Before(lightning.Callback):
        def on_before_optimizer_step(self, *args):
            order.append("mask")

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(2, 1)))
    lightning.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, gradient_clip_val=1.0,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[Before()],
    ).fit(Module(), data)  # fmt: skip
    assert order == ["mask", "clip", "mask", "clip"]


def test_one_cycle_is_torchs():
    torch.manual_seed(0)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    steps = 101
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=1.0, total_steps=steps, div_factor=25, final_div_factor=400, cycle_momentum=False
    )
    # torch ends its warm-up at step 0.3 * total - 1, so progress is mapped piecewise.
    peak = 0.3 * steps - 1
    for step in range(steps):
        progress = 0.3 * step / peak if step <= peak else 0.3 + 0.7 * (step - peak) / (steps - 1 - peak)
        assert optimiser.param_groups[0]["lr"] == pytest.approx(one_cycle(progress), abs=1e-6)
        optimiser.step()
        if step < steps - 1:
            reference.step()


def test_annealed_divides_after_every_epoch():
    assert annealed(0.0, epochs=16) == 1.0
    assert annealed(0.99 / 16, epochs=16) == 1.0
    assert annealed(1 / 16, epochs=16) == pytest.approx(1 / 1.01)
    assert annealed(15.5 / 16, epochs=16) == pytest.approx(1.01**-15)
    assert fixed(0.3) == 1.0


def test_the_rate_follows_the_utterances_seen():
    group = {"lr": None}
    module = Recogniser(
        nn.Linear(1, 1), nn.Identity(), None,
        ctc=None, augment=None, lr=2.0, weight_decay=0.0, rate=lambda progress: progress, utterances=10, seed=0,
    )  # fmt: skip
    module.optimizers = lambda: SimpleNamespace(param_groups=[group])
    module._trainer = SimpleNamespace(max_epochs=4, current_epoch=1)
    for expected, size in ((0.25, 4), (0.35, 6)):
        module.on_train_batch_start({"ids": [0] * size}, 0)
        assert group["lr"] == pytest.approx(2.0 * expected)
