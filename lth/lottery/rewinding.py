"""What the survivors of a round return to, and how they are trained from there: ``strategy/rewind``."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from omegaconf import DictConfig
from torch import Tensor

from lth.errors import UserError
from lth.lottery.setup.build import build
from lth.tickets.mask import Mask
from lth.training.callbacks import KeepPruned

Weights = Callable[[], Mapping[str, Tensor]]


@dataclass(frozen=True)
class TrainingSpan:
    """The stretch of training that a round goes through.

    Args:
        begin: its first epoch: schedule, data order and random streams are those of this epoch and the ones after.
        until: the epoch before which it stops; None: goes to the end.
        epochs: how many the whole training has; None: ``trainer.max_epochs``.
        rate: a fixed learning rate as a share of ``trainer.lr``; None: the trainer's schedule.
    """

    begin: int = 0
    until: int | None = None
    epochs: int | None = None
    rate: float | None = None


@dataclass(frozen=True)
class RoundSpec:
    """What a round trains.

    Args:
        mask: what is kept when the training begins.
        weights: what the survivors return to; asked for only if the round is trained.
        span: the stretch of training.
        key: what enters the round's key beside init and mask; nothing for a whole training from init.
        mask_callback: makes the callback that holds the pruned weights at zero; its mask is the round's at the end.
        density: what the round ends with; None: that of ``mask``.
    """

    mask: Mask
    weights: Weights
    span: TrainingSpan = TrainingSpan()
    key: Mapping = field(default_factory=dict)
    mask_callback: Callable[[Mask], KeepPruned] = KeepPruned
    density: float | None = None


@dataclass(frozen=True)
class TrainedRound:
    """A round as others build on it: its key, its trained weights, made when asked for, and the mask it began with."""

    key: str
    weights: Weights
    mask: Mask


TrainUntil = Callable[[RoundSpec], TrainedRound]


def round0_spec(mask: Mask, init: Mapping[str, Tensor], epoch: int, epochs: int, source: str = "") -> RoundSpec:
    """Return round 0: the init, or a found ticket with the weights of ``epoch`` as its init, which goes on from there.

    Args:
        epochs: ``trainer.max_epochs``.

    Raises:
        UserError: the ticket's epoch is not before the end of the training.
    """
    if epoch >= epochs:
        raise UserError(
            f"ticket={source} goes on from the end of epoch {epoch}, and trainer.max_epochs is {epochs}; raise it"
        )
    return RoundSpec(mask, lambda: init, TrainingSpan(begin=epoch), {"rewind": {"epoch": epoch}} if epoch else {})


@dataclass(frozen=True)
class Init:
    """The survivors return to what round 0 started from (Frankle & Carbin 2019)."""

    words = ""

    def __call__(self, mask: Mask, round0: RoundSpec, previous: TrainedRound, train_until: TrainUntil) -> RoundSpec:
        return replace(round0, mask=mask)


@dataclass(frozen=True)
class Epoch:
    """Late rewinding: to the weights that round 0 had after some epochs (Frankle et al. 2020, section 2).

    Those are made by playing round 0 up to there; every step of a training is seeded by itself, so they are the
    same, bit for bit, as in the whole of it. The optimiser starts afresh.

    Raises:
        ValueError: ``epoch`` is not at least 1.
    """

    epoch: int

    def __post_init__(self):
        if self.epoch < 1:
            raise ValueError(f"epoch is that at whose end the weights are taken, at least 1, not {self.epoch!r}.")

    @property
    def words(self) -> str:
        return f"survivors return to the end of epoch {self.epoch}"

    def __call__(self, mask: Mask, round0: RoundSpec, previous: TrainedRound, train_until: TrainUntil) -> RoundSpec:
        point = train_until(self.rewind_point(round0))
        return replace(
            round0,
            mask=mask,
            weights=point.weights,
            span=TrainingSpan(begin=self.epoch),
            key={"rewind": {"epoch": self.epoch, "of": point.key}},
        )

    def rewind_point(self, round0: RoundSpec) -> RoundSpec:
        """Return round 0, up to the epoch that is rewound to."""
        course = replace(round0.span, until=self.epoch)
        return replace(round0, span=course, key={**round0.key, "until": self.epoch})


@dataclass(frozen=True)
class LearningRate:
    """The trained weights of the round before go through the whole training again (Renda et al. 2020)."""

    words = "trained weights go on, the learning rate starts over"

    def __call__(self, mask: Mask, round0: RoundSpec, previous: TrainedRound, train_until: TrainUntil) -> RoundSpec:
        return replace(
            round0,
            mask=mask,
            weights=previous.weights,
            span=TrainingSpan(),
            key={"rewind": {"lr": "all", "of": previous.key}},
        )


@dataclass(frozen=True)
class FineTune:
    """The trained weights of the round before go on at a small learning rate (Han et al. 2015, section 3).

    Args:
        rate: fixed learning rate, as a share of ``trainer.lr``.
        epochs: None: ``trainer.max_epochs``.

    Raises:
        ValueError: ``rate`` is not above 0, or ``epochs`` not at least 1.
    """

    rate: float
    epochs: int | None = None

    def __post_init__(self):
        if not (isinstance(self.rate, int | float) and 0 < self.rate < math.inf):
            raise ValueError(f"rate is a share of trainer.lr, above 0, not {self.rate!r}.")
        if self.epochs is not None and not (type(self.epochs) is int and self.epochs >= 1):
            raise ValueError(f"epochs is a whole number, at least 1, or null, not {self.epochs!r}.")

    @property
    def words(self) -> str:
        return f"trained weights are fine-tuned at {self.rate:g} of the learning rate"

    def __call__(self, mask: Mask, round0: RoundSpec, previous: TrainedRound, train_until: TrainUntil) -> RoundSpec:
        return replace(
            round0,
            mask=mask,
            weights=previous.weights,
            span=TrainingSpan(epochs=self.epochs, rate=self.rate),
            key={"rewind": {"rate": self.rate, "epochs": self.epochs, "of": previous.key}},
        )


Rewind = Init | Epoch | LearningRate | FineTune


def rewinding(config: DictConfig, begin: int = 0) -> Rewind:
    """Make what ``strategy/rewind`` chose.

    Args:
        begin: the epoch that round 0 goes on from, if it is a ticket of late rewinding.

    Raises:
        UserError: the choice makes no sense for this training.
    """
    rewind, epochs = build(config, "strategy.rewind"), config.trainer.max_epochs
    if isinstance(rewind, Epoch) and not begin < rewind.epoch < epochs:
        if epochs - begin < 2:
            raise UserError(f"strategy/rewind=epoch needs more epochs than trainer.max_epochs={epochs}")
        raise UserError(
            f"strategy.rewind.epoch={rewind.epoch} is no epoch to rewind to: give one of {begin + 1} to {epochs - 1}, "
            f"after the start and before the end of a training of trainer.max_epochs={epochs}"
        )
    return rewind
