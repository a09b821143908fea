"""The recogniser as Lightning trains it: features, SpecAugment, model, loss, transcripts."""

import functools
import hashlib
import math
import random
from collections.abc import Callable
from typing import cast

import lightning
import numpy as np
import torch
from lhotse.dataset import SpecAugment
from torch import Tensor

from lth.decoding.choose import Decoder
from lth.errors import UserError
from lth.models.ctc import CTCLoss, Model
from lth.speech.features import Features
from lth.speech.wer import score


class TrainingDiverged(UserError):
    """An error of a training of which the loss is no longer a number."""


def set_seeds(key: str) -> None:
    """Seed every global random stream that dropout and SpecAugment draw from, by the sha256 of ``key``."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "little")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class Recogniser(lightning.LightningModule):
    """A model with everything between audio and text, as Lightning trains it.

    Args:
        model: see ``lth.models.ctc``.
        decode: what the model returns for a batch to texts.
        ctc: the CTC loss; called with ``zero_infinity=True`` of utterances that may be too short for their text.
        augment: SpecAugment on one utterance's features, or None.
        lr, weight_decay, betas: of AdamW; ``rate`` is the fraction of ``lr`` at a progress between 0 and 1.
        utterances: how many the train split has; the unit progress is counted in.
        seed: all randomness of a step comes from this, the epoch's number and the step's place in it, so a resumed
            training repeats it, whatever Lightning or a DataLoader drew in between.
    """

    def __init__(
        self,
        model: Model,
        features: Features,
        decode: Decoder,
        *,
        ctc: CTCLoss,
        augment: SpecAugment | None,
        lr: float,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        rate: Callable[[float], float],
        utterances: int,
        seed: int,
    ):
        super().__init__()
        self.model, self.features, self.decode, self.augment = model, features, decode, augment
        self.ctc = ctc
        self.lr, self.weight_decay, self.betas, self.rate = lr, weight_decay, betas, rate
        self.utterances, self.seed = utterances, seed
        self.seen = 0  # utterances of this epoch

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.model.parameters(), self.lr, self.betas, weight_decay=self.weight_decay, fused=True
        )

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        # Lightning refuses to clip for a fused optimiser, for the sake of fp16 loss scaling, which is not used here.
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)

    def forward(self, batch: dict) -> tuple[Tensor, Tensor]:
        """Return what the model makes of a batch's audio, (B, T', C) and (B,) lengths, with SpecAugment in training."""
        x, lengths = self.features(batch["audio"], batch["lengths"])
        if self.training and self.augment is not None:
            for n, length in enumerate(lengths.tolist()):
                x[n : n + 1, :length] = self.augment(x[n : n + 1, :length])
        return self.model(x, lengths)

    def loss(self, encoded: Tensor, lengths: Tensor, batch: dict) -> Tensor:
        """Return the model's loss of what it made of the batch.

        By CTC dev utterances too short for their text count as zero; the train split has none.
        """
        ctc = functools.partial(self.ctc, zero_infinity=not self.training)
        return self.model.loss(encoded, lengths, batch["tokens"], batch["token_lengths"], ctc)

    def hypotheses(self, encoded: Tensor, lengths: Tensor) -> list[str]:
        """Return the texts of what the model made of a batch."""
        return self.decode(self.model, encoded, lengths)

    @property
    def _optimizer(self) -> torch.optim.Optimizer:
        return cast(torch.optim.Optimizer, self.optimizers())

    @property
    def progress(self) -> float:
        """Return the share of the whole training that is done, in [0, 1]."""
        return (self.current_epoch + self.seen / self.utterances) / cast(int, self.trainer.max_epochs)

    def on_train_epoch_start(self) -> None:
        self.seen = 0

    def on_train_batch_start(self, batch: dict, batch_idx: int) -> None:
        set_seeds(f"{self.seed} {self.current_epoch} {batch_idx}")
        for group in self._optimizer.param_groups:
            group["lr"] = self.lr * self.rate(self.progress)
        self.seen += len(batch["ids"])

    def training_step(self, batch: dict, batch_idx: int) -> Tensor:
        encoded, lengths = self(batch)
        loss = self.loss(encoded, lengths, batch)
        if not torch.isfinite(loss):
            raise self._diverged("loss", loss.item())
        self.log("loss", loss)
        return loss

    def _diverged(self, what: str, value: float) -> TrainingDiverged:
        return TrainingDiverged(
            f"the {what} is {value} at step {self.global_step} (epoch {self.current_epoch + 1}) with learning rate "
            f"{self._optimizer.param_groups[0]['lr']:.2e}; lower trainer.lr or trainer.gradient_clip"
        )

    def on_validation_epoch_start(self) -> None:
        self._dev: list[tuple[str, str, float]] = []

    def validation_step(self, batch: dict, batch_idx: int) -> None:
        encoded, lengths = self(batch)
        loss = self.loss(encoded, lengths, batch).item()
        for text, hypothesis in zip(batch["texts"], self.hypotheses(encoded, lengths), strict=True):
            self._dev.append((text, hypothesis, loss))

    def on_validation_epoch_end(self) -> None:
        references, hypotheses, losses = zip(*self._dev, strict=True)
        dev_loss = sum(losses) / len(losses)
        if not math.isfinite(dev_loss):  # the last step broke the weights: no checkpoint may hold them
            raise self._diverged("dev loss", dev_loss)
        scores = score(references, hypotheses)
        self.log_dict({"dev_wer": scores.wer, "dev_cer": scores.cer, "dev_loss": dev_loss})

    def predict_step(self, batch: dict, batch_idx: int) -> list[dict]:
        hypotheses = self.hypotheses(*self(batch))
        return [
            {"id": i, "speaker": s, "reference": r, "hypothesis": h}
            for i, s, r, h in zip(batch["ids"], batch["speakers"], batch["texts"], hypotheses, strict=True)
        ]
