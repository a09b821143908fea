"""A trial of a sweep: an experiment, or one for each of several seeds, judged by its extreme ticket."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from lth.errors import Infeasible, UserError
from lth.lottery.experiment import Report, run
from lth.lottery.plan import Plan
from lth.lottery.setup.plain import merge, plain
from lth.store.rows import Row, dense, winning
from lth.tracking.trial import TrialRun, trial_words

#: Hears the number of the seed in the trial, and that seed's rows so far.
OnRound = Callable[[int, list[Row]], None]


@dataclass(frozen=True)
class Outcome:
    """What a search minimises: density and dev WER of the extreme ticket.

    Where no ticket wins, the dense model is the sparsest that is as good as itself: density 1, its dev WER.
    """

    density: float
    dev_wer: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Outcome":
        """Return the outcome of one experiment, from its rounds so far.

        Raises:
            UserError: without a dense round nobody can tell which tickets win.
        """
        reference = dense(rows)
        if reference is None or not math.isfinite(reference.dev_wer):
            raise UserError("a trial is measured against its dense round, and this one has none with a dev WER")
        row = winning(rows)[0] or reference
        return cls(row.density, row.dev_wer)

    @classmethod
    def mean(cls, outcomes: Sequence["Outcome"]) -> "Outcome":
        """Return the mean of several seeds' outcomes."""
        return cls(*(statistics.fmean(getattr(o, name) for o in outcomes) for name in ("density", "dev_wer")))

    def metrics(self) -> dict[str, float]:
        """Return the objectives by the names that W&B and Optuna know."""
        return {"extreme_dev_wer": self.dev_wer, "extreme_density": self.density}


def seeds_of(config: DictConfig) -> list[int]:
    """Return the seeds that repeat the trial's experiment; UserError unless they are different whole numbers."""
    seeds = plain(config, resolve=False)["seeds"]
    if seeds is None:
        return [config.seed]
    if not isinstance(seeds, list) or not seeds or not all(isinstance(s, int) and s >= 0 for s in seeds):
        raise UserError(f"seeds={seeds} is no list of seeds: give whole numbers, such as seeds=[0,1,2]")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"seeds={seeds} repeats a seed, which would repeat its result")
    return seeds


def run_seeds(
    config: DictConfig,
    console: Console,
    on_round: OnRound = lambda number, rows: None,
    report: Report | None = None,
) -> list[list[Row]]:
    """Play the experiment with each of its seeds; returns the rows of each.

    Several seeds make experiments ``NAME-seed-N``. Whatever ``on_round`` raises ends the trial.
    """
    seeds, played = seeds_of(config), []
    for number, seed in enumerate(seeds):
        words = {"seed": seed}
        if len(seeds) > 1:
            words |= {"name": f"{config.name}-seed-{seed}", "tracking": {"group": config.name}}
        one = merge(config, words)
        played.append(run(Plan.of(one), console, lambda rows, number=number: on_round(number, rows), report))
    return played


def run_trial(config: DictConfig, console: Console, report: Report | None = None) -> list[list[Row]]:
    """Play the trial that `wandb agent` asks for: its own run has the objectives, its rounds are runs beside it.

    Its name, and so its folder and its group, is ``<name>-<run id>``: trials in parallel do not meet. A point
    of the search space that cannot be played, and a trial that the sweep stops, are failed runs but no
    errors: the agent goes on with the next.
    """
    config = merge(config, trial_words(config))
    seeds = seeds_of(config)
    with TrialRun(config.name, Path(config.outputs) / config.name, config) as trial:

        def on_round(number: int, rows: list[Row]) -> None:
            objectives = Outcome.of(rows).metrics() if number == 0 else {}  # what a pruner looks at: one seed
            trial.log(rows[-1], seeds[number], objectives)

        try:
            played = run_seeds(config, console, on_round, report)
        except Infeasible as error:
            trial.finish(failed=str(error))
            console.print(f"{config.name} cannot be played: {error}", markup=False, highlight=False, soft_wrap=True)
            return []
        except KeyboardInterrupt:
            if not trial.stopped:
                raise
            trial.finish(failed="stopped by the sweep")
            console.print(f"{config.name} was stopped by the sweep; its rounds are kept", markup=False, highlight=False)
            return []
        except Exception as error:
            trial.finish(failed=f"{type(error).__name__}: {error}")
            raise
        trained, reused = trained_and_reused(played)
        outcome = Outcome.mean([Outcome.of(rows) for rows in played])
        trial.finish(outcome.metrics() | {"trained": trained, "reused": reused})
    return played


def trained_and_reused(played: Sequence[Sequence[Row]]) -> tuple[int, int]:
    """Count the rounds that were trained in this call, and those that were in the store."""
    rows = [row for rows in played for row in rows]
    reused = sum(row.reused or row.earlier for row in rows)
    return len(rows) - reused, reused


def tally(experiments: int, trained: int, reused: int) -> str:
    """Say what several experiments cost together."""
    return f"{experiments} experiments, {trained + reused} rounds: {trained} trained, {reused} reused"
