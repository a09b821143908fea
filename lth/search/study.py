"""What a sweep searches and how: one place for `wandb sweep` and for `python -m lth search`.

A parameter is called what run.py calls it, so that the parameters of a trial are the words of an experiment.
Nothing but optuna is imported: W&B's scheduler loads this file by its path.
"""

import warnings
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

Words = dict[str, Any]

#: What a trial reports, all to be minimised; see `lth.lottery.trial.Outcome`.
OBJECTIVES = {"one": ("extreme_density",), "two": ("extreme_dev_wer", "extreme_density")}
#: Trials drawn at random before a sampler or a pruner draws conclusions.
STARTUP = {"sampler": 10, "pruner": 5}


def space(trial: optuna.Trial) -> Words:
    """Suggest how to prune. The grids are coarse on purpose: trials with a prefix of decisions in common share rounds.

    `prune_factor` 1 is a constant amount. Ratios are those of the first and the last third of the layers,
    relative to the middle third.
    """
    words: Words = {
        "strategy": trial.suggest_categorical("strategy", ["decaying", "decaying_layerwise"]),
        "strategy.amount": grid(trial, "strategy.amount", 0.1, 0.5, 0.05),
        "strategy.prune_factor": grid(trial, "strategy.prune_factor", 0.8, 1.0, 0.05),
    }
    if words["strategy"] == "decaying_layerwise":
        words["strategy.ratios.0"] = grid(trial, "strategy.ratios.0", 0.5, 1.5, 0.1)
        words["strategy.ratios.2"] = grid(trial, "strategy.ratios.2", 0.5, 1.5, 0.1)
    return words


def space_with_noise(trial: optuna.Trial) -> Words:
    """Suggest how to prune, and how much noise to train with; level 0 is none."""
    level = grid(trial, "noise.max", 0.0, 0.5, 0.1)
    return {**space(trial), "noise": "level" if level else "none", "noise.max": level}


def grid(trial: optuna.Trial, name: str, low: float, high: float, step: float) -> float:
    """Suggest a value of a grid, as a person would write it: 0.3, not 0.30000000000000004."""
    return round(trial.suggest_float(name, low, high, step=step), 6)


def make_sampler(name: str) -> BaseSampler:
    """Make the sampler `tpe`, `nsga2` or `random`.

    TPE fits one density to the ratios together with the strategy that has them (`group`), and takes a point
    that another worker is trying for a bad one, so that no two workers try the same. NSGA-II's default
    population of 50 would be the whole of a usual search.
    """
    match name:
        case "tpe":
            return TPESampler(multivariate=True, group=True, constant_liar=True, n_startup_trials=STARTUP["sampler"])
        case "nsga2":
            return NSGAIISampler(population_size=16)
        case "random":
            return RandomSampler()
    raise ValueError(f"sampler={name} is unknown: use tpe, nsga2 or random")


def make_pruner(name: str) -> BasePruner:
    """Make the pruner `median`, `hyperband` or `none`; a trial reports after every round, dense (step 0) first."""
    match name:
        case "median":
            return MedianPruner(n_startup_trials=STARTUP["pruner"], n_warmup_steps=1)
        case "hyperband":
            return HyperbandPruner(min_resource=1, max_resource="auto", reduction_factor=2)
        case "none":
            return NopPruner()
    raise ValueError(f"pruner={name} is unknown: use median, hyperband or none")


def make_study(sweep: Any, sampler: str = "tpe") -> optuna.Study:
    """Make the study behind a sweep file with `scheduler: {engine: optuna, optimizer: make_study}`.

    `metric:` in the file asks for one objective, with median pruning; `metrics:` for two, with none. The
    search ends after the file's `run_cap` trials.

    Args:
        sweep: W&B's SweepInfo.
    """
    objectives = OBJECTIVES["one" if sweep.config.get("metrics") is None else "two"]
    study = optuna.create_study(
        directions=[StudyDirection.MINIMIZE] * len(objectives),
        sampler=make_sampler(sampler),
        pruner=make_pruner("median" if len(objectives) == 1 else "none"),
    )
    study.set_metric_names(list(objectives))
    if cap := sweep.config.get("run_cap"):
        # W&B's scheduler asks a sampler that has this function, as optuna's GridSampler does.
        vars(study.sampler)["is_exhausted"] = lambda study: len(study.get_trials(deepcopy=False)) >= cap
    return study


def make_nsga2_study(sweep: Any) -> optuna.Study:
    """Make the study of `make_study` with NSGA-II in the place of TPE."""
    return make_study(sweep, sampler="nsga2")
