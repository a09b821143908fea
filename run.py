"""One experiment: ``python run.py [GROUP=CHOICE] [key=value] ...``; ``--help`` lists the groups."""

import signal
import sys
import traceback

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lth.commands.command import complain, exit_codes, screen

played: list = []  # the rows of every experiment; several of them in a multirun
transfers: list = []  # the config and rows of those that started from a ticket


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """One job; a job of a multirun that fails says so and leaves the others alone."""
    try:
        from lth.lottery.setup.names import adopt

        config = adopt(config)
        from lth.analysis.report import write_report
        from lth.lottery.trial import run_seeds, run_trial
        from lth.tracking.trial import in_sweep  # heavy imports wait until there is work, so that --help is quick

        console = screen()
        if config.control is not None:
            from lth.lottery.branch.control import control

            played.extend(control(config, console, write_report))
            return
        rows = (
            run_trial(config, console, write_report) if in_sweep() else run_seeds(config, console, report=write_report)
        )
        played.extend(rows)
        if config.ticket is not None:
            transfers.extend((config, one) for one in rows)
    except Exception as error:
        exit_codes.append(complain_of_job(error))


def complain_of_job(error: Exception) -> int:
    """As `complain`; but the crash of one job of a multirun is shown at once, and the next job begins."""
    try:
        return complain(error)
    except Exception:
        if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
            raise
        traceback.print_exception(error)
        return 1


def say_together() -> None:
    """What the experiments of a multirun cost together."""
    from lth.lottery.trial import tally, trained_and_reused

    if len(transfers) > 1:
        from lth.lottery.branch.transfer import Transfer, matrix

        screen().print(matrix([Transfer.of(*one) for one in transfers]))
    print(tally(len(played), *trained_and_reused(played)))


def command() -> int:
    """The whole command; returns its exit code. Being told to end (SIGTERM) is the same as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except (Exception, KeyboardInterrupt) as error:
        exit_codes.append(complain(error))
    if len(played) > 1:
        say_together()
    return max(exit_codes, default=0)


if __name__ == "__main__":
    sys.exit(command())
