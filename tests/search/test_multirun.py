"""Several experiments in one command: `python run.py -m ...`."""

import json

import yaml

from tests.configs import PROJECT
from tests.lotteries import play

MULTIRUN = "hydra.mode=MULTIRUN"  # what -m says, as a word


def test_the_twelve_trials_of_grid_yaml_train_29_rounds(tmp_path, cache):
    parameters = yaml.safe_load((PROJECT / "sweeps" / "grid.yaml").read_text())["parameters"]
    grid = [f"{name}={','.join(map(str, spec['values']))}" for name, spec in parameters.items()]
    small = ("corpus.sizes={train: 20, dev: 8, test: 4}", "trainer.max_epochs=1")
    done = play(MULTIRUN, "rounds=3", *small, *grid, outputs=tmp_path, cache=cache)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "12 experiments, 48 rounds: 29 trained, 19 reused"
    keys = {path.name for path in (tmp_path / "store" / "rounds").iterdir()}
    assert len(keys) == 29  # 1 dense + 4 first rounds + 12 second + 12 third
    experiments = [json.loads(path.read_text()) for path in tmp_path.glob("*/experiment.json")]
    assert len(experiments) == 12 and all(len(e["keys"]) == 4 and e["finished"] for e in experiments)
    assert {key for e in experiments for key in e["keys"]} == keys


def test_a_failing_job_does_not_end_the_others(tmp_path, cache):
    crash = """
import lth.lottery.trial
original = lth.lottery.trial.run
def run(plan, *others):
    if plan.config.strategy.amount == 0.4:
        raise RuntimeError("boom")
    return original(plan, *others)
lth.lottery.trial.run = run
"""
    done = play(MULTIRUN, "rounds=0", "strategy.amount=0.3,1.5,0.4,0.5", outputs=tmp_path, cache=cache, code=crash)
    assert done.returncode == 2
    assert "RuntimeError: boom" in done.stderr  # a bug, with its traceback
    assert "run.py: " in done.stderr and "not 1.5" in done.stderr  # bad input, in a sentence
    finished = [json.loads(path.read_text()) for path in tmp_path.glob("*/experiment.json")]
    assert len(finished) == 2 and all(e["finished"] for e in finished)
    assert done.stdout.splitlines()[-1] == "2 experiments, 2 rounds: 1 trained, 1 reused"


def test_seeds_in_one_command_are_experiments_of_one_group(tmp_path, cache):
    done = play("seeds=[0,1]", "rounds=0", "name=s", outputs=tmp_path, cache=cache)
    assert done.returncode == 0, done.stderr
    assert {path.parent.name for path in tmp_path.glob("*/experiment.json")} == {"s-seed-0", "s-seed-1"}
