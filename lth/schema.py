"""What the words every experiment shares may be; checked before anything is read or trained."""

from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lth.errors import UserError


@dataclass
class Experiment:
    """The keys at the top of ``conf/config.yaml``."""

    name: str
    rounds: int
    target: float | None
    seed: int
    tokens: str | None
    ticket: str | None
    resume: str | None
    outputs: str
    store: str
    memory_hours: float


@dataclass
class Trainer:
    """``conf/trainer``."""

    max_epochs: int
    batch_size: int
    max_duration: float | None
    buckets: int
    lr: float
    weight_decay: float
    lr_schedule: str
    gradient_clip: float | None
    accumulate: int
    patience: int | None
    precision: str
    accelerator: str
    workers: int
    threads: int | None
    log_every: int


CHOICES = {
    "trainer.lr_schedule": ("one_cycle", "annealed", "fixed"),
    "trainer.precision": ("auto", "32-true", "bf16-mixed"),
    "trainer.accelerator": ("auto", "cpu", "cuda"),
}
AT_LEAST_ONE = ("max_epochs", "batch_size", "buckets", "accumulate", "patience", "threads", "log_every")
NOT_NEGATIVE = ("rounds", "seed", "memory_hours", "trainer.weight_decay", "trainer.workers")
POSITIVE = ("target", "trainer.lr", "trainer.gradient_clip", "trainer.max_duration")


def check(config: DictConfig) -> None:
    """Raise UserError for the first key whose value has the wrong type or lies out of range."""
    for schema, part, prefix in ((Experiment, config, ""), (Trainer, config.trainer, "trainer.")):
        for name in schema.__dataclass_fields__:
            try:
                OmegaConf.merge(OmegaConf.structured(schema), {name: part[name]})
            except OmegaConfBaseException as error:
                reason = str(error).splitlines()[0]
                raise UserError(f"{prefix}{name}={part[name]} will not do: {reason}") from error
    for key, choices in CHOICES.items():
        _require(config, key, lambda value, c=choices: value in c, f"is one of {', '.join(choices)}")
    for name in AT_LEAST_ONE:
        _require(config, f"trainer.{name}", lambda value: value >= 1, "is at least 1")
    for key in NOT_NEGATIVE:
        _require(config, key, lambda value: value >= 0, "is not negative")
    for key in POSITIVE:
        _require(config, key, lambda value: value > 0, "is above 0")


def _require(config: DictConfig, key: str, holds, words: str) -> None:
    value = OmegaConf.select(config, key)
    if value is not None and not holds(value):
        raise UserError(f"{key}={value} will not do: it {words}")
