"""The comparison of experiments, once or after every change."""

import time
from pathlib import Path

from omegaconf import DictConfig

from lth.commands.command import command, complain, screen
from lth.errors import UserError


def compare(config: DictConfig, program: str) -> None:
    """Do one analysis, and with ``watch=`` another after every change, until Ctrl-C."""
    from lth.analysis.analyse import analyse, check, state  # heavy imports wait, so that --help is quick

    check(config)
    console = screen()
    study = None
    if config.study:
        from lth.search.storage import load_study

        study = load_study(config.study, config.storage, Path(config.outputs))
    analyse(config, console, study)
    seen = state(Path(config.outputs))
    try:
        while config.watch:
            time.sleep(config.watch)
            if (now := state(Path(config.outputs))) != seen:
                seen = now
                try:
                    analyse(config, console, study)
                except UserError as error:  # a file that is being written; the next look will find it whole
                    complain(error, program)
    except KeyboardInterrupt:
        print()


def main(program: str) -> int:
    """Do the command; return its exit code."""
    return command(program, "analyze", lambda config: compare(config, program))
