"""The search space and the sweep files, read by optuna, Hydra and W&B's own scheduler."""

from types import SimpleNamespace

import optuna
import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args
from wandb.sdk.sweeps.run_state import RunState
from wandb.sdk.sweeps.scheduler.optimizer import RunConfig, RunWithMetrics
from wandb.sdk.sweeps.scheduler.optuna import build_optuna_optimizer
from wandb.sdk.sweeps.sweep_info import SweepInfo

from lth.lottery.trial import Outcome
from lth.search import study
from tests.configs import PROJECT, compose
from tests.loopback_wandb import search

FILES = ("grid", "bayes", "tickets")


def trials(count: int, space) -> list[tuple[optuna.Trial, dict]]:
    made = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [(trial, space(trial)) for trial in (made.ask() for _ in range(count))]


def sweep_file(name: str) -> dict:
    return yaml.safe_load((PROJECT / "sweeps" / f"{name}.yaml").read_text())


def sweep_info(**changes) -> SweepInfo:
    config = {**sweep_file("tickets"), **changes}
    return SweepInfo(id="1", name="s", entity="e", project="p", config=config, controller_run_name="c")


def on_grid(value: float, low: float, high: float, step: float) -> bool:
    steps = round((value - low) / step)
    return low <= value <= high and float(f"{low + steps * step:.6f}") == value  # equal, not only close


def test_every_point_of_the_space_is_an_experiment():
    points = [words for _, words in trials(200, study.space)]
    kinds = {(words["strategy"], words["strategy.prune_factor"] == 1) for words in points}
    assert len(kinds) == 4  # both allocations, constant and decaying
    for words in points[:16]:
        config = compose(*(f"{name}={value}" for name, value in words.items()))
        assert on_grid(config.strategy.amount, 0.1, 0.5, 0.05)
        assert on_grid(config.strategy.prune_factor, 0.8, 1.0, 0.05)
        assert config.strategy.schedule.amount == words["strategy.amount"]
        assert config.strategy.schedule.prune_factor == words["strategy.prune_factor"]
        layerwise = words["strategy"] == "decaying_layerwise"
        assert layerwise == any(name.startswith("strategy.ratios") for name in words)
        if layerwise:
            first, middle, last = config.strategy.allocation.ratios
            assert middle == 1
            assert (first, last) == (words["strategy.ratios.0"], words["strategy.ratios.2"])
            assert on_grid(first, 0.5, 1.5, 0.1) and on_grid(last, 0.5, 1.5, 0.1)


def test_noise_level_zero_is_no_noise():
    points = [words for _, words in trials(60, study.space_with_noise)]
    assert {words["noise.max"] for words in points} == {0, 0.1, 0.2, 0.3, 0.4, 0.5}
    for words in points[:12]:
        config = compose(*(f"{name}={value}" for name, value in words.items()))
        assert config.noise.kind == ("level" if config.noise.max else "none")


def test_a_seed_is_never_searched():
    assert not any("seed" in name for _, words in trials(20, study.space_with_noise) for name in words)


@pytest.mark.parametrize("make", [study.make_sampler, study.make_pruner])
def test_unknown_names_are_refused(make):
    with pytest.raises(ValueError, match="unknown: use"):
        make("cmaes")


@pytest.mark.parametrize("name", FILES)
def test_sweep_files_are_played_by_run_py(name):
    config = sweep_file(name)
    assert config["command"][:3] == ["${env}", "python", "run.py"]
    assert config["command"][-1] == "${args_no_hyphens}"
    compose(*config["command"][3:-1])
    metrics = config.get("metrics") or [config["metric"]]
    assert {metric["name"] for metric in metrics} <= set(Outcome(1.0, 0.5).metrics())
    assert all(metric["goal"] == "minimize" for metric in metrics)


def test_grid_yaml_is_the_twelve_trials_as_the_agent_words_them():
    points = search.grid(sweep_file("grid"))
    found = set()
    for point in points:
        config = compose(*create_sweep_command_args({"args": point})["args_no_hyphens"])
        layerwise = config.strategy.allocation.name == "layerwise"
        found.add((config.strategy.schedule.amount, config.strategy.schedule.prune_factor, layerwise))
    expected = {(a, f, layerwise) for a in (0.2, 0.3) for f in (0.8, 0.9, 1.0) for layerwise in (False, True)}
    assert found == expected and len(points) == 12


def finished(config: RunConfig, state=RunState.FINISHED, **summary) -> RunWithMetrics:
    return RunWithMetrics(config, state, "run", summary_metrics=summary, history_metrics=[])


def test_wandbs_scheduler_takes_the_study_and_goes_on_with_it_after_a_restart(monkeypatch):
    monkeypatch.chdir(PROJECT)
    first = build_optuna_optimizer(sweep_info(run_cap=5))
    suggestions = [*first.ask_n_runs(2), *first.ask_n_runs(2)]
    assert len(first.ask_n_runs(2)) == 1 and len(first.ask_n_runs(2)) == 0  # the fifth, and then the cap
    results = [
        finished(suggestions[0].config, extreme_dev_wer=0.1, extreme_density=0.5),
        finished(suggestions[1].config, extreme_dev_wer=0.2, extreme_density=0.25),
        finished(suggestions[2].config, RunState.FAILED),
        finished(suggestions[3].config, extreme_dev_wer=0.3, extreme_density=0.3),  # worse in both
    ]
    for suggestion, result in zip(suggestions, results, strict=True):
        first.tell_run(suggestion.run_id, result)
    second = build_optuna_optimizer(sweep_info(run_cap=5))
    for result in results:
        second.tell_existing_finished_run(result)
    for optimizer in (first, second):
        told = optimizer.study.trials[:4]
        assert [trial.state.name for trial in told] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
        assert [trial.values for trial in optimizer.study.best_trials] == [[0.1, 0.5], [0.2, 0.25]]
        for trial, suggestion in zip(told, suggestions, strict=True):
            for name, value in suggestion.config.flat_dict().items():
                assert trial.params[name] == (value if isinstance(value, str) else pytest.approx(value))


def test_one_metric_makes_a_study_of_one_objective_that_prunes(monkeypatch):
    monkeypatch.chdir(PROJECT)
    info = sweep_info(metrics=None, metric={"name": "extreme_density", "goal": "minimize"})
    optimizer = build_optuna_optimizer(info)
    assert isinstance(optimizer.study.pruner, optuna.pruners.MedianPruner)
    runs = optimizer.ask_n_runs(7)
    history = lambda value: [{"_step": step, "extreme_density": value} for step in range(3)]  # noqa: E731
    for number, run in enumerate(runs[:6]):
        result = finished(run.config, extreme_density=0.1 * (number + 1))
        result.history_metrics = history(0.1 * (number + 1))
        optimizer.tell_run(run.run_id, result)
    running = finished(runs[6].config, RunState.RUNNING)
    running.history_metrics = history(0.9)
    optimizer.tell_run(runs[6].run_id, running)
    assert optimizer.prune_run(runs[6].run_id, running)


def test_nsga2_by_name():
    made = study.make_nsga2_study(SimpleNamespace(config=sweep_file("tickets")))
    assert isinstance(made.sampler, optuna.samplers.NSGAIISampler)
    assert made.metric_names == [metric["name"] for metric in sweep_file("tickets")["metrics"]]
