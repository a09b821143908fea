"""One experiment, one trial of a W&B sweep, or the controls of a ticket."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from lth.commands.command import command, screen


@dataclass
class Results:
    """What the jobs of one command line found; there are several with ``-m`` or ``seeds=``."""

    experiments: list[list] = field(default_factory=list)  # the rows of each
    transfers: list[tuple[DictConfig, Any]] = field(default_factory=list)  # config and rows of those with a ticket

    def show(self) -> None:
        """Print what several experiments found and cost together."""
        from lth.lottery.trial import tally, trained_and_reused

        if len(self.transfers) > 1:
            from lth.lottery.branch.transfer import Transfer, matrix

            screen().print(matrix([Transfer.of(*one) for one in self.transfers]))
        print(tally(len(self.experiments), *trained_and_reused(self.experiments)))


def experiment(config: DictConfig, results: Results) -> None:
    """Do what the config says and add what it finds to the results."""
    from lth.analysis.report import write_report
    from lth.lottery.trial import run_seeds, run_trial
    from lth.tracking.trial import in_sweep  # heavy imports wait until there is work, so that --help is quick

    console = screen()
    if config.control is not None:
        from lth.lottery.branch.control import control

        results.experiments += control(config, console, write_report)
        return
    rows = run_trial(config, console, write_report) if in_sweep() else run_seeds(config, console, report=write_report)
    results.experiments += rows
    if config.ticket is not None:
        results.transfers += ((config, one) for one in rows)


def main(program: str) -> int:
    """Do the command; return its exit code."""
    results = Results()
    code = command(program, "config", lambda config: experiment(config, results))
    if len(results.experiments) > 1:
        results.show()
    return code
