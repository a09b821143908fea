"""Configs as a command line would make them."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from lth.lottery.setup import names

PROJECT = Path(__file__).resolve().parents[1]

#: A lottery that plays in seconds: a tiny corpus, a tiny model, two epochs, fp32 so that it is the same everywhere.
TINY = (
    "corpus.sizes={train: 60, dev: 20, test: 20}",
    "model.conv=[{channels: 4, kernel: [11, 5], stride: [4, 2]}, {channels: 4, kernel: [7, 5], stride: [2, 2]}]",
    "model.layers=2",
    "model.units=24",
    "trainer.max_epochs=2",
    "trainer.precision=32-true",
    "trainer.threads=1",
    "trainer.log_every=2",
)


def compose(*overrides: str) -> DictConfig:
    """The config of ``python run.py OVERRIDES``."""
    return names.compose(overrides)


def compose_analysis(*overrides: str) -> DictConfig:
    """The config of ``python analyze.py OVERRIDES``."""
    with hydra.initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        return hydra.compose("analyze", list(overrides))
