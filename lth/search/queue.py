"""Exactly n trials, however many workers there are and however often they are killed.

A trial that is worth something, or is worth nothing for a known reason, *counts*. One that failed without a
reason lost its worker; it is given out again, with the same parameters, under a new number.
"""

import contextlib
from collections.abc import Iterator

import optuna
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, Trial, TrialState

from lth.search.storage import Database, Journal

#: A trial that has cost this many workers their lives is not given out again.
DEATHS = 5
REASON = "reason"  # the user attribute that says why a trial failed or was pruned


def is_lost(trial: FrozenTrial) -> bool:
    """Return whether the trial ended without a reason and is owed another try."""
    history = RetryHeartbeatStaleTrialCallback.retry_history(trial)
    return trial.state == TrialState.FAIL and REASON not in trial.user_attrs and len(history) < DEATHS


def counts(trial: FrozenTrial) -> bool:
    """Return whether the trial is one of the n that were asked for, and done."""
    return trial.state.is_finished() and not is_lost(trial)


def give_out_again(study: optuna.Study) -> None:
    """Queue every lost trial that is not queued yet; to be called by one worker at a time."""
    retry = RetryHeartbeatStaleTrialCallback(max_retry=DEATHS)
    trials = study.get_trials(deepcopy=False)
    queued = {number for trial in trials for number in RetryHeartbeatStaleTrialCallback.retry_history(trial)}
    for trial in trials:
        if is_lost(trial) and trial.number not in queued:
            retry(study, study.get_trials()[trial.number])


@contextlib.contextmanager
def next_trial(study: optuna.Study, storage: Journal | Database, n_trials: int) -> Iterator[Trial | None]:
    """Yield a trial to play while the block lasts; None when all are done or others are busy with the last."""
    with contextlib.ExitStack() as work:
        with storage.alone(study):
            storage.fail_dead(study)
            give_out_again(study)
            trials = study.get_trials(deepcopy=False)
            busy = sum(trial.state == TrialState.RUNNING for trial in trials)
            trial = None
            if done(study) + busy < n_trials:
                trial = study.ask()  # a queued one first
                work.enter_context(storage.at_work(trial))
        yield trial


def done(study: optuna.Study) -> int:
    """Count the trials that are done."""
    return sum(map(counts, study.get_trials(deepcopy=False)))
