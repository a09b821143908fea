"""Which tickets win: ``python analyze.py [key=value] ...``; ``--help`` lists the keys."""

import signal
import sys
import time
from pathlib import Path

import hydra
from omegaconf import DictConfig

from lth.commands.command import complain, exit_codes, screen
from lth.errors import UserError


@hydra.main(version_base="1.3", config_path="conf", config_name="analyze")
def main(config: DictConfig) -> None:
    """What Hydra calls: an error is said here, before Hydra adds words of its own."""
    try:
        work(config)
    except Exception as error:
        exit_codes.append(complain(error, "analyze.py"))


def work(config: DictConfig) -> None:
    """One analysis, or one after every change."""
    from lth.analysis.analyse import analyse, check, state  # heavy imports wait, so that --help is quick

    check(config)
    console = screen()
    study = None
    if config.study:
        from lth.search.storage import load_study

        study = load_study(config.study, config.storage, Path(config.outputs))
    analyse(config, console, study)
    seen = state(Path(config.outputs))
    while config.watch:
        time.sleep(config.watch)
        if (now := state(Path(config.outputs))) != seen:
            seen = now
            try:
                analyse(config, console, study)
            except UserError as error:  # a file that is being written; the next look will find it whole
                complain(error, "analyze.py")


def command() -> int:
    """The whole command; returns its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        print()
    except Exception as error:
        exit_codes.append(complain(error, "analyze.py"))
    return max(exit_codes, default=0)


if __name__ == "__main__":
    sys.exit(command())
