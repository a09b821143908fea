"""A worker of a search: trials until the study has enough, while further workers may be doing the same."""

import os
import socket
import time
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from lth.errors import UserError
from lth.search.display import Bar, closing, summary
from lth.search.queue import done, next_trial
from lth.search.worker import open_study, play_trial

#: The words of the search itself, which an experiment does not know.
SEARCH_KEYS = ("study", "n_trials", "storage", "objective", "sampler", "pruner", "search_noise", "heartbeat")
#: The words that a trial decides.
SEARCHED_KEYS = ("strategy", "strategy.amount", "strategy.prune_factor", "strategy.ratios")
NOISE = ("noise", "noise.max")


def base_words(words: Sequence[str], noise: bool) -> list[str]:
    """Return the words of the command that every trial shares; UserError where one is a trial's to decide."""
    base = []
    for override in OverridesParser.create().parse_overrides(list(words)):
        key = override.key_or_group
        if key in SEARCHED_KEYS + (NOISE if noise else ()) or key.startswith("strategy.ratios."):
            raise UserError(f"{key} is what is searched; leave it out, or change the space in lth/search/study.py")
        if key == "name":
            raise UserError("a search names its experiments after the study: give study= instead of name=")
        if key not in SEARCH_KEYS:
            base.append(override.input_line)
    return base


def search(config: DictConfig, words: Sequence[str], console) -> None:
    """Play trials until the study has ``n_trials``; further workers may be doing the same.

    Raises:
        UserError: bad input, before any trial is begun.
    """
    base = base_words(words, bool(config.search_noise))
    study, storage = open_study(config)
    console.print(f"study {study.study_name} in {storage.where}", markup=False, highlight=False, soft_wrap=True)
    with Bar(console, config.n_trials).shown() as bar:
        bar.update(study)
        while done(study) < config.n_trials:
            with next_trial(study, storage, config.n_trials) as trial:
                if trial is None:  # others have the last ones; they may die
                    time.sleep(min(config.heartbeat, 2))
                else:
                    trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
                    play_trial(study, trial, config, base, bar)
            bar.update(study)
    console.print(summary(study))
    console.print(closing(study), highlight=False, soft_wrap=True)
