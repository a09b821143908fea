"""Exactly n trials: several workers, some of them killed, on every kind of storage."""

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import optuna
import pytest
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState

from lth.errors import UserError
from lth.search import queue
from lth.search.storage import Database, Journal, hidden, open_storage, with_driver
from tests.configs import PROJECT

KINDS = ("journal", "sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def where(request, tmp_path):
    """A storage of each kind."""
    if request.param == "journal":
        return str(tmp_path / "s.journal")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/s.db"
    return fresh_database(request.getfixturevalue("postgresql"))


def fresh_database(server: str) -> str:
    import sqlalchemy

    name = f"s{uuid.uuid4().hex[:8]}"
    engine = sqlalchemy.create_engine(with_driver(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.rpartition("/")[0] + f"/{name}"


def start(where: str, *words: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.search.player", where, *map(str, words)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def played(worker: subprocess.Popen) -> list[int]:
    return [int(line) for line in worker.communicate(timeout=60)[0].split()]


def trials(where: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="s", storage=open_storage(where, "s", Path(), 1).storage).trials


def test_three_workers_and_a_killed_one_play_exactly_n_trials(where):
    dead = start(where, 8, 0.02, "die")
    lost = played(dead)
    assert dead.returncode == -9 and len(lost) == 1
    workers = [start(where, 8, 0.02) for _ in range(3)]
    numbers = [number for worker in workers for number in played(worker)]
    assert all(worker.returncode == 0 for worker in workers)
    assert len(numbers) == len(set(numbers)) == 8  # nobody played what another did
    found = trials(where)
    assert [t.state for t in found].count(TrialState.COMPLETE) == 8
    assert [t.number for t in found if t.state == TrialState.FAIL] == lost
    assert len(found) == 9
    (again,) = (t for t in found if RetryHeartbeatStaleTrialCallback.retry_history(t) == lost)
    assert again.params == found[lost[0]].params and again.value == again.params["x"]


OPEN = """
import sys, time
from lth.search.storage import Database
time.sleep(max(0, float(sys.argv[2]) - time.time()))
Database(sys.argv[1], 60)
"""


def test_workers_that_make_a_database_at_once_do_not_fail(tmp_path):
    """Optuna makes its tables without a lock; in the same instant two processes would both make them."""
    command = [sys.executable, "-c", OPEN, f"sqlite:///{tmp_path}/s.db", str(time.time() + 6)]
    workers = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [worker.communicate(timeout=120)[1] for worker in workers] == [""] * 4


def test_a_trial_handed_back_is_given_out_at_once(where):
    (first,) = played(start(where, 2, 0, "interrupt"))
    numbers = played(start(where, 2, 0))
    assert len(numbers) == 2 and first not in numbers
    assert sorted(t.state.name for t in trials(where)) == ["COMPLETE", "COMPLETE", "FAIL"]


def test_a_live_worker_keeps_its_trial(where):
    slow, fast = start(where, 3, 3 * 1.2), start(where, 3, 0)  # longer than two heartbeats
    numbers = played(fast) + played(slow)
    assert sorted(numbers) == [0, 1, 2]
    assert all(t.state == TrialState.COMPLETE for t in trials(where))


def test_a_worker_that_dies_before_its_first_heartbeat_loses_no_trial(where, tmp_path):
    storage = open_storage(where, "s", tmp_path, 1)
    study = optuna.create_study(study_name="s", storage=storage.storage)
    study.ask()  # and nothing more is ever heard of it
    with queue.next_trial(study, storage, 1) as trial:
        assert trial.number == 1
        study.tell(trial, 0.5)
    assert queue.done(study) == 1 and study.trials[0].state == TrialState.FAIL


def test_a_trial_that_kills_every_worker_is_given_up(where, tmp_path):
    storage = open_storage(where, "s", tmp_path, 1)
    study = optuna.create_study(study_name="s", storage=storage.storage)
    for _ in range(queue.DEATHS + 1):
        assert queue.done(study) == 0
        with queue.next_trial(study, storage, 1) as trial:
            study.tell(trial, state=TrialState.FAIL)
    assert queue.done(study) == 1
    with queue.next_trial(study, storage, 1) as trial:
        assert trial is None


def test_a_failure_with_a_reason_counts(where, tmp_path):
    storage = open_storage(where, "s", tmp_path, 1)
    study = optuna.create_study(study_name="s", storage=storage.storage)
    with queue.next_trial(study, storage, 1) as trial:
        trial.set_user_attr(queue.REASON, "cannot be played")
        study.tell(trial, state=TrialState.FAIL)
    assert queue.done(study) == 1


def test_the_dashboard_reads_every_storage(where, tmp_path):
    from optuna_dashboard._storage_url import get_storage

    played(start(where, 2, 0))
    (study,) = get_storage(with_driver(where)).get_all_studies()
    assert study.study_name == "s"
    assert len(get_storage(with_driver(where)).get_all_trials(study._study_id)) == 2


def test_storages_by_their_names(tmp_path):
    assert isinstance(open_storage(None, "s", tmp_path, 1), Journal)
    assert (tmp_path / "studies" / "s.journal").is_file()
    assert isinstance(open_storage(f"sqlite:///{tmp_path}/s.db", "s", tmp_path, 1), Database)
    for wrong in ("mysql://me:secret@host/db", "postgresql://me:secret@127.0.0.1:1/none"):
        with pytest.raises(UserError, match="storage=") as error:
            open_storage(wrong, "s", tmp_path, 1)
        assert "secret" not in str(error.value) and "me" in str(error.value)
    assert hidden("sqlite:///a.db") == "sqlite:///a.db"
    assert "PGPASSWORD" not in os.environ
