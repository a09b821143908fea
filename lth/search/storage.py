"""Where studies live, how workers on one storage keep out of each other's way, and how a dead one is noticed.

A journal file: a worker holds a file lock for its trial, which the system releases when the worker dies.
A database: a worker's trial has a heartbeat, and no more heartbeats mean that the worker is dead.
"""

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState
from sqlalchemy import make_url

from lth.errors import UserError
from lth.files import lock

log = logging.getLogger(__name__)


class Journal:
    """A study in a journal file, on this machine's disk or one shared by several machines."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.storage = JournalStorage(JournalFileBackend(str(path)))
        self.locks = path.with_name(f"{path.name}.locks")
        self.locks.mkdir(exist_ok=True)
        self.where = str(path)

    @contextlib.contextmanager
    def alone(self, study: optuna.Study) -> Iterator[None]:
        """Keep other workers out while the block lasts."""
        with lock(self.locks / f"{study.study_name}.study"):
            yield

    @contextlib.contextmanager
    def at_work(self, trial: Trial) -> Iterator[None]:
        """Tell other workers that this one is alive and plays this trial, while the block lasts."""
        file = self._lock_of(trial.study, trial.number)
        with lock(file):
            yield
        file.unlink(missing_ok=True)

    def fail_dead(self, study: optuna.Study) -> None:
        """Fail the running trials whose workers are dead; to be called `alone`."""
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            with lock(self._lock_of(study, trial.number), wait=False) as is_dead:
                if is_dead:
                    study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _lock_of(self, study: optuna.Study, number: int) -> Path:
        return self.locks / f"{study.study_name}.{number}"


class Database:
    """Studies in SQLite, for workers on one machine, or in PostgreSQL.

    Args:
        heartbeat: seconds between heartbeats; after two without one the worker counts as dead.
    """

    def __init__(self, url: str, heartbeat: int):
        url = with_driver(url)
        arguments = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
        try:
            with _creating(url):
                self.storage = RDBStorage(
                    url, engine_kwargs=arguments, heartbeat_interval=heartbeat, grace_period=2 * heartbeat
                )
        except UserError:
            raise
        except ImportError as error:
            raise UserError(f'storage={hidden(url)} needs a driver: pip install "audio-lottery[postgres]"') from error
        except Exception as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise UserError(f"storage={hidden(url)} cannot be opened ({reason})") from error
        self.engine, self.heartbeat, self.where = self.storage.engine, heartbeat, hidden(url)

    @contextlib.contextmanager
    def alone(self, study: optuna.Study) -> Iterator[None]:
        """Keep other workers out while the block lasts."""
        if self.engine.dialect.name == "sqlite":
            with lock(Path(f"{self.engine.url.database}.lock")):
                yield
            return
        key = {"key": f"sweeps {study.study_name}"}
        with self.engine.connect() as connection:  # the server lets go when the connection ends, however it ends
            connection.exec_driver_sql("SELECT pg_advisory_lock(hashtext(%(key)s))", key)
            try:
                yield
            finally:
                connection.exec_driver_sql("SELECT pg_advisory_unlock(hashtext(%(key)s))", key)

    @contextlib.contextmanager
    def at_work(self, trial: Trial) -> Iterator[None]:
        """Tell other workers that this one is alive and plays this trial, while the block lasts."""
        self.storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr("begun", trial.number)
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self.heartbeat):
                try:
                    self.storage.record_heartbeat(trial._trial_id)
                except Exception as error:  # the database is away for a while
                    log.warning("no heartbeat of trial %d (%s)", trial.number, type(error).__name__)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def fail_dead(self, study: optuna.Study) -> None:
        """Fail the running trials whose workers are dead; to be called `alone`."""
        optuna.storages.fail_stale_trials(study)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.user_attrs.get("begun") != trial.number:  # died between asking and its first heartbeat
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def open_storage(where: str | None, study: str, outputs: Path, heartbeat: int) -> Journal | Database:
    """Open the storage that ``storage=`` names: by default a journal file under ``outputs/studies``.

    Raises:
        UserError: another kind of database, or one that cannot be opened.
    """
    if where is None:
        return Journal(outputs / "studies" / f"{study}.journal")
    if "://" not in where:
        return Journal(Path(where))
    if not re.match(r"(sqlite|postgresql)(\+\w+)?://", where):
        raise UserError(f"storage={hidden(where)}: use a journal file's path, sqlite:///FILE or postgresql://…")
    return Database(where, heartbeat)


def load_study(name: str, storage: str | None, outputs: Path) -> optuna.Study:
    """Load the study of a search, to be looked at.

    Raises:
        UserError: there is none of that name.
    """
    if storage is None and not (outputs / "studies" / f"{name}.journal").is_file():
        raise UserError(f"study={name}: there is no {outputs / 'studies' / name}.journal; name the storage=")
    opened = open_storage(storage, name, outputs, heartbeat=60)
    try:
        return optuna.load_study(study_name=name, storage=opened.storage)
    except KeyError:
        there = ", ".join(optuna.get_all_study_names(opened.storage)) or "none"
        raise UserError(f"study={name} is not in {opened.where}; there is {there}") from None


def _creating(url: str) -> contextlib.AbstractContextManager:
    """Keep other workers out while a SQLite file is opened: of two that make its tables at once one would fail."""
    file = make_url(url).database if url.startswith("sqlite") else None
    return lock(Path(f"{file}.lock")) if file and Path(file).parent.is_dir() else contextlib.nullcontext()


def with_driver(url: str) -> str:
    """Name psycopg2 in a `postgresql://` URL, which means psycopg to SQLAlchemy, where only that is installed."""
    if find_spec("psycopg") is None:
        return re.sub(r"^postgresql://", "postgresql+psycopg2://", url)
    return url


def hidden(url: str) -> str:
    """Return a URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)
