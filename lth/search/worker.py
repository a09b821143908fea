"""One worker's part of a search: joining the study, and playing a trial of it."""

import traceback
from collections.abc import Sequence
from pathlib import Path

import optuna
from omegaconf import DictConfig
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState
from rich.console import Console

from lth.analysis.report import write_report
from lth.errors import UserError
from lth.files import is_disk_full
from lth.lottery.setup.names import compose
from lth.lottery.setup.schema import check
from lth.lottery.setup.setting import prepare
from lth.lottery.strategy import Strategy
from lth.lottery.trial import Outcome, run_seeds, seeds_of, trained_and_reused
from lth.search import study as definition
from lth.search.display import Bar, ended
from lth.search.queue import REASON, done
from lth.search.storage import Database, Journal, open_storage
from lth.store.rows import Row
from lth.store.store import round_key, tensors_digest

OTHER_SETTING = "another corpus, model, trainer, target, rounds or seeds"


class Hopeless(Exception):
    """Ends a trial that the pruner has given up."""


def open_study(config: DictConfig) -> tuple[optuna.Study, Journal | Database]:
    """Open the study, begun by the first worker and joined by the others.

    Raises:
        UserError: what was asked for makes no sense, cannot be trained, or is not what the study was begun with.
    """
    check_search(config)
    check(config)
    seeds = seeds_of(config)
    storage = open_storage(config.storage, config.study, Path(config.outputs), config.heartbeat)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=config.study,
        storage=storage.storage,
        sampler=definition.make_sampler(config.sampler),
        pruner=definition.make_pruner(config.pruner),
        directions=[StudyDirection.MINIMIZE] * len(definition.OBJECTIVES[config.objective]),
        load_if_exists=True,
    )
    asked = {"objective": config.objective, "search_noise": config.search_noise, "setting": setting_key(config, seeds)}
    begun = study.user_attrs.get("asked", asked)
    for name, value in asked.items():
        if begun[name] != value:
            what = OTHER_SETTING if name == "setting" else f"{name}={begun[name]}"
            raise UserError(f"study={config.study} was begun with {what}; say the same or give another study=")
    study.set_user_attr("asked", asked)
    study.set_metric_names(list(definition.OBJECTIVES[config.objective]))
    return study, storage


def check_search(config: DictConfig) -> None:
    """Raise UserError for the first of the search's own words that is not valid."""
    for name, maker in (("sampler", definition.make_sampler), ("pruner", definition.make_pruner)):
        try:
            maker(config[name])
        except ValueError as error:
            raise UserError(str(error)) from error
    if config.objective not in definition.OBJECTIVES:
        raise UserError(f"objective={config.objective} is unknown: use one or two")
    if config.objective == "two" and config.pruner != "none":
        raise UserError("a pruner needs a single objective (optuna's rule): add objective=one or pruner=none")
    for name in ("n_trials", "heartbeat"):
        if not isinstance(config[name], int) or config[name] < 1:
            raise UserError(f"{name}={config[name]} is not valid: it must be a whole number of at least 1")
    if not isinstance(config.study, str) or Path(config.study).name != config.study:
        raise UserError(f"study={config.study} is not a name; use letters, digits, dots and dashes")


def setting_key(config: DictConfig, seeds: Sequence[int]) -> str:
    """Return a hash of what must be equal for trials to be comparable; it also finds bad input before any trial."""
    setting = prepare(config)
    inputs = setting.key_inputs(tensors_digest(setting.init), setting.dense())
    return round_key({"dense": inputs, "rounds": config.rounds, "target": config.target, "seeds": list(seeds)})


def play_trial(study: optuna.Study, trial: Trial, config: DictConfig, base: Sequence[str], bar: Bar) -> None:
    """Play a trial and tell the study how it ended; however that is, the search can go on.

    Raises:
        KeyboardInterrupt, SystemExit, OSError: this worker cannot go on; the trial is handed back.
    """
    state, values = TrialState.FAIL, None
    try:
        outcome = measure(trial, config, base, bar)
        trial.set_user_attr("outcome", outcome)
        state, values = TrialState.COMPLETE, [outcome[name] for name in definition.OBJECTIVES[config.objective]]
    except Hopeless as error:
        state = TrialState.PRUNED
        trial.set_user_attr(REASON, str(error))
    except (KeyboardInterrupt, SystemExit):
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)  # no reason given: it is given out again
        raise
    except UserError as error:
        trial.set_user_attr(REASON, str(error))
    except Exception as error:
        if is_disk_full(error):
            study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            raise
        trial.set_user_attr(REASON, f"{type(error).__name__}: {error}")
        trial.set_user_attr("traceback", "".join(traceback.format_exception(error))[-2000:])
    frozen = study.tell(trial, values, state=state, skip_if_finished=True)
    bar.say(ended(frozen, config.n_trials, done(study)))


def measure(trial: Trial, config: DictConfig, base: Sequence[str], bar: Bar) -> dict[str, float]:
    """Play a trial and return its objectives, by name; its rounds are counted in the trial's user attributes."""
    words = (definition.space_with_noise if config.search_noise else definition.space)(trial)
    trial.set_user_attr("words", words)
    name = f"{config.study}-{trial.number:04d}"
    one = compose([*base, *(f"{word}={value}" for word, value in words.items()), f"name={name}"])
    last = Strategy.of(one).rounds(one.rounds, one.target)
    rows_of: dict[int, list[Row]] = {}

    def on_round(number: int, rows: list[Row]) -> None:
        rows_of[number] = rows
        trained, reused = trained_and_reused(list(rows_of.values()))
        for attribute, value in {"trained": trained, "reused": reused, "experiments": len(rows_of)}.items():
            trial.set_user_attr(attribute, value)
        bar.round(trial, rows[-1])
        if number == 0 and config.objective == "one":  # the first seed is what trials are compared by on the way
            trial.report(Outcome.of(rows).density, rows[-1].round)
            if rows[-1].round < last and trial.should_prune():
                raise Hopeless(f"worse than the others after round {rows[-1].round}")

    played = run_seeds(one, Console(quiet=True, force_terminal=False), on_round, write_report)
    return Outcome.mean([Outcome.of(rows) for rows in played]).metrics()
