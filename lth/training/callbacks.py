"""Callbacks of training: one keeps pruned weights at zero, one records a row of history."""

import time
from collections.abc import Callable
from typing import cast

import lightning
from lightning import Callback, Trainer
from torch import Tensor, nn

from lth.tickets.mask import Mask


class KeepPruned(Callback):
    """A callback that keeps pruned weights at zero after every step, and their gradients out of gradient clipping."""

    def __init__(self, mask: Mask):
        self.mask = mask

    def on_fit_start(self, trainer: Trainer, module: lightning.LightningModule) -> None:
        self._weights = dict(cast(nn.Module, module.model).named_parameters())

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        gradients = {name: cast(Tensor, p.grad) for name, p in self._weights.items()}
        self.mask.apply_(gradients)  # Lightning clips after this hook

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self.mask.apply_(self._weights)


class History(Callback):
    """A callback that records a round: a row every ``every`` steps, a row an epoch, and the time and audio training
    took.

    It lies in the checkpoint, so a resumed round has all of it. ``listeners`` are called with each new row, and after
    a resumption with the old ones first. ``seconds`` is time in training steps and their data, ``elapsed`` also
    counts validation and checkpoints.
    """

    def __init__(self, every: int, listeners: list[Callable[[dict], None]], sample_rate: int = 16_000):
        self.every, self.listeners, self.sample_rate = every, listeners, sample_rate
        self.rows: list[dict] = []
        self.seconds = 0.0
        self.audio_seconds = 0.0
        self._before = 0.0
        self._fit_started = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Return the seconds since the round began, those before a resumption included."""
        return self._before + time.perf_counter() - self._fit_started

    def state_dict(self) -> dict:
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "audio_seconds": self.audio_seconds,
            "elapsed": self.elapsed,
        }

    def load_state_dict(self, state: dict) -> None:
        self.rows, self.seconds, self.audio_seconds = state["rows"], state["seconds"], state["audio_seconds"]
        self._before = state["elapsed"]
        for row in self.rows:
            self._tell(row)

    def on_train_epoch_start(self, trainer, module) -> None:
        self._started = time.perf_counter()
        self._loss, self._count = 0.0, 0

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        loss = outputs["loss"].item()
        self._loss += loss * len(batch["ids"])
        self._count += len(batch["ids"])
        self.audio_seconds += batch["lengths"].sum().item() / self.sample_rate
        if trainer.global_step % self.every == 0:
            epoch = trainer.current_epoch + module.seen / module.utterances
            self._add({"step": trainer.global_step, "epoch": epoch, "loss": loss, "lr": self._lr(trainer)})

    def on_validation_start(self, trainer, module) -> None:
        self.seconds += time.perf_counter() - self._started

    def on_validation_end(self, trainer, module) -> None:
        dev = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("dev_")}
        self._add(
            {
                "step": trainer.global_step,
                "epoch": trainer.current_epoch + 1,
                "train_loss": self._loss / self._count,
                **dev,
            }
        )

    def _add(self, row: dict) -> None:
        self.rows.append(row)
        self._tell(row)

    def _tell(self, row: dict) -> None:
        for listener in self.listeners:
            listener(row)

    @staticmethod
    def _lr(trainer: Trainer) -> float:
        return trainer.optimizers[0].param_groups[0]["lr"]
