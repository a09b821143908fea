"""Playing tiny lotteries in processes of their own, as a user would, and killing them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from lth.analysis.report import write_report
from lth.lottery import experiment
from lth.lottery.plan import Plan
from lth.store.rows import Row
from tests.configs import PROJECT, TINY

KILLED = -9
#: A shell starts what it leaves in the background deaf to Ctrl-C, and so would be whatever the tests start then.
ATTENTIVE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def run(config: DictConfig, console: Console, on_round=None, begin=None) -> list[Row]:
    """Play the lottery of a config in this process."""
    return experiment.run(Plan.of(config, begin), console, on_round, write_report)


def command(*overrides: str, outputs: Path, cache: Path) -> list[str]:
    words = (*TINY, "rounds=2", "strategy.amount=0.5", "tracking=disabled", *overrides)
    return [*words, f"outputs={outputs}", f"corpus.cache={cache}"]


def options(*overrides: str, outputs: Path, cache: Path, code: str = "") -> dict:
    arguments = command(*overrides, outputs=outputs, cache=cache)
    program = (
        f"{ATTENTIVE}import runpy, sys\n{code}\nsys.argv[0] = 'run.py'\nrunpy.run_path('run.py', run_name='__main__')"
    )
    return {
        "args": [sys.executable, "-c", program, *arguments],
        "cwd": PROJECT,
        "env": {**os.environ, "OMP_NUM_THREADS": "1"},
        "text": True,
    }


def play(*overrides: str, outputs: Path, cache: Path, code: str = "") -> subprocess.CompletedProcess:
    """``python run.py OVERRIDES``; ``code`` runs first in the same process, to place a fault."""
    return subprocess.run(
        **options(*overrides, outputs=outputs, cache=cache, code=code), capture_output=True, timeout=300
    )


def start(*overrides: str, outputs: Path, cache: Path, code: str = "") -> subprocess.Popen:
    """The same, and does not wait for its end."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(**options(*overrides, outputs=outputs, cache=cache, code=code), **pipes)


def kill_at(module: str, owner: str, function: str, call: int, first: str = "") -> str:
    """Code that makes the ``call``-th call of a function end the process with SIGKILL; ``first`` is run before."""
    target = f"{module}.{owner}" if owner else module
    return f"""
import os, signal, {module}
original, calls = {target}.{function}, [0]
def fatal(*args, **kwargs):
    calls[0] += 1
    if calls[0] == {call}:
        {first or "pass"}
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
{target}.{function} = fatal
"""


def result(folder: Path) -> dict:
    """All that two experiments must have in common: everything but times, and who trained what."""
    experiment = json.loads((folder / "experiment.json").read_text())
    found = {"keys": experiment["keys"], "finished": experiment["finished"]}
    for link in sorted((folder / "rounds").iterdir()):
        metrics = json.loads((link / "metrics.json").read_text())
        for name in ("seconds", "audio_seconds_per_second", "trained_by"):
            del metrics[name]
        names = ("weights.safetensors", "hypotheses.jsonl", "history.jsonl")
        found[link.name] = {"metrics": metrics, **{name: (link / name).read_bytes() for name in names}}
        from lth.store.maskfile import load_mask

        found[link.name]["mask"] = load_mask(link / "mask.lth")[0].digest()
    return found
