"""A search for the best way to prune, with Optuna and no W&B account.

Start it as often as you like, on as many machines as share the storage and the store of rounds.
"""

import signal
import sys
import warnings

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lth.commands.command import command


def work(config: DictConfig) -> None:
    """Be one worker of a search."""
    for known in ("Heartbeat of storage is supposed", r".* is experimental"):
        warnings.filterwarnings("ignore", message=known)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the trial is handed back at once
    from rich.console import Console

    from lth.search.search import search  # heavy imports wait until there is work, so that --help is quick

    search(config, HydraConfig.get().overrides.task, Console())


def main(program: str) -> int:
    """Do the command; return its exit code."""
    return command(program, "search", work)
