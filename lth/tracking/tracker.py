"""Every round is a W&B run; its init and mask are versioned artifacts.

    tracker = open_tracker("offline", experiment="demo", experiment_id=..., folder=..., project=..., ...)
    with tracker.round(1, inputs={"key": key, ...}) as run:
        run.log({"step": 10, "epoch": 0.5, "loss": 2.1, "lr": 1e-3})
        run.finish(metrics, init=init_path, mask=mask_path)
    tracker.close(extreme=5, best=3)

The store is the source of truth: whatever W&B does, these calls do not raise and return within a bounded
time, and `python -m lth sync` uploads later what is missing.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from lth.errors import UserError
from lth.tracking.client import keep_files_in, logged_in, trim_cache
from lth.tracking.guard import Guard
from lth.tracking.record import RoundRecord, experiment_hash, latest, load_record, load_records, run_id, save_winners
from lth.tracking.rounds import RoundRun

__all__ = ["RoundRun", "Tracker", "open_tracker"]


class Tracker:
    """The W&B side of one experiment. Made by `open_tracker`."""

    def __init__(
        self,
        mode: str,
        *,
        experiment: str,
        experiment_id: str,
        folder: Path,
        project: str,
        entity: str | None,
        group: str | None,
        config: Mapping,
        init_timeout: float,
        finish_timeout: float,
        about: Mapping,
        uses: Sequence[str],
        cache_gb: float,
    ) -> None:
        self.mode = mode
        self.experiment = experiment
        self.experiment_id = experiment_id
        self.folder = Path(folder).resolve()
        self.project = project
        self.entity = entity
        self.group = group or experiment
        self.config = dict(config)
        self.init_timeout = init_timeout
        self.finish_timeout = finish_timeout
        self.about = dict(about)
        self.uses = list(uses)
        self.cache_gb = cache_gb
        self.guard = Guard(experiment)

    def round(self, number: int, *, inputs: Mapping, history: Iterable[Mapping] = ()) -> RoundRun:
        """The W&B run of round `number`; a context manager.

        Args:
            number: 0 for the dense round.
            inputs: what the round was made from; goes into the run's config. `inputs["key"]`, the round's key
                in the store, tells a finished run of this round from one of another experiment's past.
            history: rows logged before (of a resumed round); they are replayed.
        """
        key = str(inputs.get("key", ""))
        record = RoundRecord(
            round=number,
            key=key,
            run_id=run_id(self.experiment_id, number),
            name=f"{self.experiment}-round-{number:02d}",
            group=self.group,
            project=self.project,
            entity=self.entity,
            config={**self.config, "round": number, "inputs": dict(inputs)},
            uses=self.inputs_of(number, inputs),
        )
        nothing_to_do = self.mode == "disabled" or self.has_run(record)
        return RoundRun(None if nothing_to_do else self, record, history)

    def inputs_of(self, number: int, inputs: Mapping) -> list[str]:
        """A round is made from the init, which round 0 logs, and from the mask before it; round 0 of a ticket.

        A gradual round begins with round 0's mask. What late rewinding returns to is logged by round 1.
        """
        if number == 0:
            return self.uses
        sources = [("init", 0), ("mask", 0 if "gradual" in inputs else number - 1)]
        first = load_record(self.folder, run_id(self.experiment_id, 1)) if number > 1 else None
        if first is not None and any(artifact.type == "rewind" for artifact in first.artifacts):
            sources.append(("rewind", 1))
        return [f"{self.artifact_name(kind)}:{run_id(self.experiment_id, source)}" for kind, source in sources]

    def artifact_name(self, kind: str) -> str:
        return re.sub(r"[^\w.-]", "-", f"{self.experiment}-{kind}", flags=re.ASCII)

    def has_run(self, record: RoundRecord) -> bool:
        """Whether an earlier process of this experiment finished this very round's run."""
        earlier = load_record(self.folder, record.run_id)
        return earlier is not None and earlier.key == record.key

    def close(self, *, extreme: int | None = None, best: int | None = None) -> None:
        """Give two masks the aliases `extreme` and `best`; online, check that W&B has everything; trim the cache."""
        if self.mode == "disabled":
            return
        winners = {name: n for name, n in {"extreme": extreme, "best": best}.items() if n is not None}
        self.guard(lambda: save_winners(self.folder, experiment_hash(self.experiment_id), winners))
        if self.mode == "online" and not self.guard.broken:
            self.guard(self.check, self.finish_timeout)
        self.guard(lambda: trim_cache(self.folder, self.cache_gb))

    def check(self) -> None:
        """Name the winners, and read back that all of the experiment is on the server."""
        import wandb

        from lth.tracking.upload import give_names, missing

        api = wandb.Api(timeout=max(1, round(self.init_timeout)))
        for record in latest(load_records(self.folder)):
            if gaps := missing(api, record):
                raise RuntimeError(f"it lacks of round {record.round}: {', '.join(gaps)}")
            give_names(api, self.folder, record)


def open_tracker(
    mode: str,
    *,
    experiment: str,
    experiment_id: str,
    folder: Path,
    project: str,
    entity: str | None = None,
    group: str | None = None,
    config: Mapping,
    init_timeout: float = 30,
    finish_timeout: float = 120,
    about: Mapping = MappingProxyType({}),
    uses: Sequence[str] = (),
    cache_gb: float = 5,
) -> Tracker:
    """The tracker of an experiment.

    Args:
        mode: `offline` (recorded on disk, uploaded by `python -m lth sync`), `online`, or `disabled` (no W&B file at
            all, and the wandb package is not imported).
        experiment: its name; the start of the artifacts' names.
        experiment_id: tells experiments of the same name apart; stays the same when one is resumed.
        folder: the experiment's own, `outputs/<experiment>`; all W&B files go to `wandb/` in it.
        project, entity: where in W&B; entity None is the user's default.
        group: the runs' group; None is the experiment's name.
        config: the resolved config, as plain containers.
        init_timeout, finish_timeout: seconds an unwilling server may hold up a round's start and end.
        about: what another machine needs to resume the experiment; lies in every `round` artifact.
        uses: the artifacts that round 0 was made from, as "entity/project/name:version".
        cache_gb: what of the client's cache `close` leaves, in gigabytes.

    Raises:
        UserError: unknown mode, or `online` without a login.
    """
    if mode not in ("offline", "online", "disabled"):
        raise UserError(f"tracking mode {mode!r} is unknown: use offline, online or disabled.")
    tracker = Tracker(
        mode,
        experiment=experiment,
        experiment_id=experiment_id,
        folder=folder,
        project=project,
        entity=entity,
        group=group,
        config=config,
        init_timeout=init_timeout,
        finish_timeout=finish_timeout,
        about=about,
        uses=uses,
        cache_gb=cache_gb,
    )
    if mode != "disabled":
        keep_files_in(tracker.folder)
    if mode == "online" and not logged_in():
        raise UserError("tracking=online needs a W&B login: run `wandb login` once, or use tracking=offline.")
    return tracker
