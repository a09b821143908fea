"""A worker that plays trials without training: player.py STORAGE N_TRIALS SECONDS [die | interrupt].

It prints the number of every trial that it has been given. With a last word it ends, by SIGKILL or as by
Ctrl-C, in the middle of its first trial.
"""

import os
import signal
import sys
import time
import warnings
from pathlib import Path

import optuna
from optuna.trial import TrialState

from lth.search.queue import done, next_trial
from lth.search.storage import open_storage

HEARTBEAT = 1


def main(where: str, n_trials: int, seconds: float, end: str = "") -> None:
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(where, "s", Path(), HEARTBEAT)
    study = optuna.create_study(study_name="s", storage=storage.storage, load_if_exists=True)
    while done(study) < n_trials:
        with next_trial(study, storage, n_trials) as trial:
            if trial is None:
                time.sleep(0.05)
                continue
            x = trial.suggest_float("x", 0, 1)
            print(trial.number, flush=True)
            if end == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if end == "interrupt":
                study.tell(trial, state=TrialState.FAIL)
                return
            time.sleep(seconds)
            study.tell(trial, x, skip_if_finished=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
