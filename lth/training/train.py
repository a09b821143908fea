"""Training of one ticket: a Lightning Trainer, set up so that stopping it anywhere costs at most an epoch."""

import contextlib
import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader

from lth.errors import UserError
from lth.speech.batches import Batches
from lth.training.callbacks import History, KeepPruned
from lth.training.checkpoint import SafeCheckpointIO, latest
from lth.training.recogniser import Recogniser


@dataclass(frozen=True)
class Hardware:
    """The device and precision of a training; part of a round's key."""

    accelerator: str
    precision: str

    def autocast(self) -> torch.autocast:
        """Make the context in which a network computes as it does when it is trained and scored."""
        return torch.autocast(self.accelerator, torch.bfloat16, enabled=self.precision.startswith("bf16"))


def hardware(accelerator: str, precision: str) -> Hardware:
    """Resolve ``auto``: CUDA where there is one, bf16 where the processor computes in it.

    Raises:
        UserError: CUDA asked for where there is none.
    """
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise UserError("trainer.accelerator=cuda, but this machine has no CUDA device; use trainer.accelerator=cpu")
    if precision == "auto":
        if accelerator == "cuda":
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        precision = "bf16-mixed" if bf16 else "32-true"
    return Hardware(accelerator, precision)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide Lightning's advice (more workers, a logger, ...), which does not belong among a lottery's rounds."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(lightning|torch|lhotse)\b.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Make Ctrl-C a KeyboardInterrupt again: Lightning turns it into an exit and leaves the signal switched off."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as exit:
        raise KeyboardInterrupt from exit
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


class Patience(EarlyStopping):
    """Early stopping that stays stopped: a round killed after its last epoch does not train another one."""

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class Until(lightning.Callback):
    """A callback that ends a training early as if it had been killed there: the schedule is that of the whole."""

    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if trainer.current_epoch >= self.epoch:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if trainer.current_epoch + 1 >= self.epoch:
            trainer.should_stop = True


def trainer(
    device: Hardware, *, epochs: int, gradient_clip: float | None, accumulate: int, callbacks: Iterable
) -> lightning.Trainer:
    """Make a Trainer with no logger, no bar and no pickle of its own."""
    return lightning.Trainer(
        accelerator=device.accelerator,
        devices=1,
        precision=cast(Any, device.precision),
        max_epochs=epochs,
        gradient_clip_val=gradient_clip,
        accumulate_grad_batches=accumulate,
        callbacks=list(callbacks),
        plugins=[SafeCheckpointIO()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
    )


def train(
    recogniser: Recogniser,
    mask_callback: KeepPruned,
    batches: Batches,
    *,
    device: Hardware,
    folder: Path,
    epochs: int,
    begin: int = 0,
    until: int | None = None,
    gradient_clip: float | None,
    accumulate: int,
    patience: int | None,
    log_every: int,
    listeners: list[Callable[[dict], None]],
    display: list,
) -> History:
    """Train ``recogniser`` in place from its present weights, or from the checkpoint in ``folder``.

    Args:
        mask_callback: keeps the pruned weights at zero.
        epochs: of the whole training.
        begin, until: the part of it that is trained: from epoch ``begin`` up to, not with, epoch ``until``.
    """
    history = History(log_every, listeners)
    checkpoint = ModelCheckpoint(
        folder, "epoch-{epoch:05d}", auto_insert_metric_name=False, save_top_k=1, save_on_train_epoch_end=True
    )
    cast(Any, checkpoint).FILE_EXTENSION = ".safetensors"
    callbacks = [mask_callback, history, *display, checkpoint]
    if patience is not None:
        callbacks.append(Patience("dev_wer", patience=patience, mode="min"))
    if until is not None:
        callbacks.append(Until(until))
    with _quiet(), _interruptible():
        fitting = trainer(
            device, epochs=epochs, gradient_clip=gradient_clip, accumulate=accumulate, callbacks=callbacks
        )
        done = cast(Any, fitting.fit_loop.epoch_progress.current)
        done.ready = done.started = done.processed = done.completed = begin  # a checkpoint that is loaded replaces it
        fitting.fit(recogniser, datamodule=batches, ckpt_path=latest(folder))
    return history


def transcribe(recogniser: Recogniser, batches: DataLoader, device: Hardware) -> list[dict]:
    """Transcribe every utterance: rows of ``id``, ``speaker``, ``reference`` and ``hypothesis``, in order of id."""
    with _quiet(), _interruptible():
        predictor = trainer(device, epochs=1, gradient_clip=None, accumulate=1, callbacks=[])
        rows = cast(list[list[dict]], predictor.predict(recogniser, batches))
    return sorted((row for batch in rows for row in batch), key=lambda row: row["id"])
