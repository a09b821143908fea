"""What the words every experiment shares may be; checked before anything is read or trained."""

import math
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lth.errors import UserError
from lth.lottery.setup.plain import merge


@dataclass
class Experiment:
    """The keys at the top of ``conf/config.yaml``."""

    name: str
    rounds: int
    target: float | None
    seed: int
    tokens: str | None
    ticket: str | None
    transfer: str
    speaker: str | None
    utterances: int
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


@dataclass
class Tracking:
    """``conf/tracking``."""

    mode: str
    project: str
    entity: str | None
    group: str | None
    log_weights: bool
    init_timeout: float
    finish_timeout: float
    cache_gb: float


CHOICES = {
    "trainer.lr_schedule": ("one_cycle", "annealed", "transformer", "fixed"),
    "trainer.precision": ("auto", "32-true", "bf16-mixed"),
    "trainer.accelerator": ("auto", "cpu", "cuda"),
    "tracking.mode": ("offline", "online", "disabled"),
    "transfer": ("ticket", "mask", "init", "weights"),
}
AT_LEAST_ONE = ("max_epochs", "batch_size", "buckets", "accumulate", "patience", "threads", "log_every")
NOT_NEGATIVE = ("rounds", "seed", "memory_hours", "trainer.weight_decay", "trainer.workers", "tracking.cache_gb")
POSITIVE = (
    "target",
    "trainer.lr",
    "trainer.gradient_clip",
    "trainer.max_duration",
    "tracking.init_timeout",
    "tracking.finish_timeout",
)
LARGEST_SEED = 2**32 - 1  # what every random stream accepts


def check(config: DictConfig) -> None:
    """Raise UserError for the first key whose value has the wrong type or lies out of range."""
    for schema, group in ((Experiment, ""), (Trainer, "trainer"), (Tracking, "tracking")):
        part = config[group] if group else config
        prefix = f"{group}." if group else ""
        for name, field in schema.__dataclass_fields__.items():
            try:
                value = merge(OmegaConf.structured(schema), {name: part[name]})[name]
            except OmegaConfBaseException as error:
                reason = str(error).splitlines()[0]
                raise UserError(f"{prefix}{name}={part[name]} is not valid: {reason}") from error
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"{prefix}{name}={value} is not valid: it must be a finite number")
            if field.type in (str, str | None) and value != part[name]:
                part[name] = value  # name=2024 is a name; numbers stay as they were typed, for they are in keys
    for key, choices in CHOICES.items():
        _require(config, key, lambda value, c=choices: value in c, f"one of {', '.join(choices)}")
    for name in AT_LEAST_ONE:
        _require(config, f"trainer.{name}", lambda value: value >= 1, "at least 1")
    for key in NOT_NEGATIVE:
        _require(config, key, lambda value: value >= 0, "0 or more")
    for key in POSITIVE:
        _require(config, key, lambda value: value > 0, "above 0")
    _require(config, "utterances", lambda value: value >= 1, "at least 1")
    _require(config, "seed", lambda value: value <= LARGEST_SEED, f"at most {LARGEST_SEED}")


def _require(config: DictConfig, key: str, holds, words: str) -> None:
    value = OmegaConf.select(config, key)
    if value is not None and not holds(value):
        raise UserError(f"{key}={value} is not valid: it must be {words}")
