"""The benchmarks still fit the code that they measure; their figures are not judged here."""

import json
import os
import subprocess
import sys

import pytest

from tests.attempts import attempt
from tests.configs import PROJECT

pytestmark = pytest.mark.slow

WORDS = {
    "training": ["--models", "small preset", "--precisions", "32-true", "--repeats", "1"],
    "streaming": [],
    "scan": [],
    "decoding": ["--ticket", "ROUND", "--width", "4"],
    "prune": [],
    "store": ["--rounds", "20"],
    "anatomy": [],
    "analysis": ["--experiments", "4", "--rounds", "2", "--masks", "3"],
}


@pytest.fixture(scope="module")
def played(tmp_path_factory, cache):
    outputs = tmp_path_factory.mktemp("benchmarks")
    assert attempt("rounds=0", outputs=outputs, cache=cache) == 0
    return outputs / "demo/rounds/round-00"


@pytest.mark.parametrize("name", WORDS)
def test_it_prints_json(name, played, tmp_path):
    words = [str(played) if word == "ROUND" else word for word in WORDS[name]]
    command = [sys.executable, "-m", f"benchmarks.{name}", *words]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
