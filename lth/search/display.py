"""What a person watches while a search runs, and what it ends with."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from lth.lottery.trial import tally
from lth.search.queue import REASON, done
from lth.store.rows import Row


class Bar:
    """Trials done, the best ticket so far, and the round in training; on a terminal only."""

    def __init__(self, console: Console, n_trials: int):
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[status]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("trials", total=n_trials, status="")
        self.best = ""

    @contextlib.contextmanager
    def shown(self) -> Iterator["Bar"]:
        with self.progress:
            yield self

    def update(self, study: optuna.Study) -> None:
        """After a trial."""
        best = sparsest(study)
        self.best = f"· best {ticket(best)} " if best else "· no winning ticket yet "
        self.progress.update(self.task, completed=done(study), status=self.best)

    def round(self, trial: optuna.Trial, row: Row) -> None:
        """After a round."""
        now = f"· trial {trial.number} round {row.round}: {row.density:.1%}, dev WER {row.dev_wer:.1%} "
        self.progress.update(self.task, status=self.best + now)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


def ended(trial: FrozenTrial, n_trials: int, so_far: int) -> str:
    """Describe a trial that has ended, in one line."""
    how = {TrialState.PRUNED: "pruned: ", TrialState.FAIL: "failed: "}.get(trial.state, "")
    result = how + str(trial.user_attrs.get(REASON)) if how else ticket(trial)
    cost = f"{trial.user_attrs.get('trained', 0)} trained, {trial.user_attrs.get('reused', 0)} reused"
    return f"trial {trial.number} ({so_far}/{n_trials}) · {said(trial.user_attrs.get('words', {}))} · {result} · {cost}"


def said(words: Mapping) -> str:
    """Overrides as on a command line."""
    return " ".join(f"{name}={value}" for name, value in words.items())


def ticket(trial: FrozenTrial) -> str:
    """Format density and dev WER of a trial's extreme ticket."""
    outcome = trial.user_attrs["outcome"]
    if outcome["extreme_density"] == 1:
        return f"no winning ticket (dense dev WER {outcome['extreme_dev_wer']:.1%})"
    return f"{outcome['extreme_density']:.1%} of the weights at dev WER {outcome['extreme_dev_wer']:.1%}"


def sparsest(study: optuna.Study) -> FrozenTrial | None:
    """Return the trial with the sparsest winning ticket so far."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    winners = [trial for trial in complete if trial.user_attrs["outcome"]["extreme_density"] < 1]
    return min(winners, key=lambda t: (*reversed(t.user_attrs["outcome"].values()),), default=None)


def best_trials(study: optuna.Study) -> Sequence[FrozenTrial]:
    """Return the Pareto front of two objectives, sparsest first; the single best trial of one."""
    if len(study.directions) > 1:
        front = {tuple(trial.values): trial for trial in reversed(study.best_trials)}  # one of equal ones: the first
        return sorted(front.values(), key=lambda trial: trial.values[1])
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [study.best_trial] if complete else []


def summary(study: optuna.Study) -> Table:
    """Tabulate the best trials: density and dev WER of the extreme ticket, and the words that find it."""
    several = len(study.directions) > 1
    table = Table(title="Pareto front" if several else "best", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("trial", "density", "dev WER", "words"):
        table.add_column(name, overflow="fold", justify="left" if name == "words" else "right")
    for trial in best_trials(study):
        outcome = trial.user_attrs["outcome"]
        rates = (f"{outcome[name]:.2%}" for name in ("extreme_density", "extreme_dev_wer"))
        table.add_row(str(trial.number), *rates, said(trial.user_attrs["words"]))
    return table


def closing(study: optuna.Study) -> str:
    """Say what the whole study came to and cost, over all of its workers."""
    trials = study.get_trials(deepcopy=False)
    states = [(state.name.lower(), sum(t.state == state for t in trials)) for state in TrialState]
    trained, reused = (sum(t.user_attrs.get(name, 0) for t in trials) for name in ("trained", "reused"))
    experiments = sum(t.user_attrs.get("experiments", 0) for t in trials)
    return f"{', '.join(f'{n} {name}' for name, n in states if n)} · {tally(experiments, trained, reused)}"
