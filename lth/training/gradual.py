"""Gradual pruning: during a training, of which the mask is a result."""

from collections.abc import Callable, Mapping

import lightning
from lightning import Trainer
from torch import Tensor

from lth.tickets.gradual import Cubic, amount_to
from lth.tickets.mask import Mask
from lth.training.callbacks import KeepPruned

#: Trained weights, mask, share of the survivors to prune and optimiser step, to the next mask, nested in the mask.
Prune = Callable[[Mapping[str, Tensor], Mask, float, int], Mask]


class PruneGradually(KeepPruned):
    """A callback that prunes what is weakest after optimiser steps until ``last`` is left (Zhu & Gupta 2017); nothing
    regrows.

    The mask lies in the checkpoint. ``mask`` is the round's own once the training is over.

    Args:
        mask: what the training starts with.
        last: density to end at.
    """

    def __init__(self, mask: Mask, *, curve: Cubic, last: float, prune: Prune):
        super().__init__(mask)
        self.first, self.last, self.curve, self.prune = mask.density, last, curve, prune

    def state_dict(self) -> dict:
        return {"mask": dict(self.mask)}

    def load_state_dict(self, state: dict) -> None:
        self.mask = Mask(state["mask"])

    def on_train_start(self, trainer: Trainer, module: lightning.LightningModule) -> None:
        self._steps = trainer.global_step

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        step, progress = trainer.global_step, module.progress
        if step != self._steps and self.curve.due(step, progress):  # not after a batch that only adds gradients
            density = self.curve.density(progress, self.first, self.last)
            amount = amount_to(density, self.mask.kept, self.mask.total)
            if amount > 0:
                self.mask = self.prune(self._weights, self.mask, amount, step)
        self._steps = step
        super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)
