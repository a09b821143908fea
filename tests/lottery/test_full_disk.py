"""No space left, for real: a small disk that gets full at the worst moments."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.configs import PROJECT

ROUNDS = {  # finished by then
    "a checkpoint": 1,
    "a round's mask": 1,
    "a round's checksums": 1,
    "the table of rounds": 2,
    "the init": 0,
    "the corpus": 0,
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    disk = tmp_path_factory.mktemp("disk")
    able = (
        shutil.which("unshare")
        and not subprocess.run(
            [*namespace, "mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    )
    if not able:
        reason = "a small disk cannot be mounted here: neither root nor user namespaces"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    command = [
        *namespace,
        sys.executable,
        "-m",
        "tests.lottery.full_disk",
        str(tmp_path_factory.mktemp("corpus")),
        str(disk),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("moment", ROUNDS)
def test_a_full_disk_costs_a_line_and_nothing_else(found, moment):
    trial = found[moment]
    assert trial["full"]["code"] == 2
    (line,) = trial["full"]["lines"]
    assert re.search(r"^run\.py: no space left on the disk \(.+\); free some and give the same command", line)
    assert trial["damaged"] == trial["litter"] == []
    assert trial["finished"] == ROUNDS[moment]
    assert trial["again"] == {"code": 0, "lines": []}
    assert trial["kept"]
    assert trial["result"] == found["reference"]
