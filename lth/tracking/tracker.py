"""Every round is a W&B run; its init and mask are versioned artifacts.

    tracker = Tracker.open(TrackingOptions("offline", "my-project"), experiment="demo", experiment_id=..., ...)
    with tracker.round(1, inputs={"key": key, ...}) as run:
        run.log({"step": 10, "epoch": 0.5, "loss": 2.1, "lr": 1e-3})
        run.finish(metrics, [Artifact("mask", [mask_path])])
    tracker.close(extreme=5, best=3)

The store is the source of truth: whatever W&B does, these calls do not raise and return within a bounded
time, and `python -m lth sync` uploads later what is missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from lth.errors import UserError
from lth.tracking.artifacts import artifact_name
from lth.tracking.client import keep_files_in, logged_in, trim_cache
from lth.tracking.record import experiment_hash, latest, load_record, load_records, run_id, save_winners
from lth.tracking.rounds import RoundRun, SilentRun, open_run
from lth.tracking.session import Session, TrackingOptions


class Tracker(Session):
    """Tells W&B of an experiment, round by round. Made by `Tracker.open`."""

    @classmethod
    def open(
        cls,
        options: TrackingOptions,
        *,
        experiment: str,
        experiment_id: str,
        folder: Path,
        config: Mapping[str, Any],
        about: Mapping[str, Any] = MappingProxyType({}),
        uses: Sequence[str] = (),
    ) -> Self:
        """Return the tracker of an experiment; the arguments are those of `Session`.

        Raises:
            UserError: `online` without a login.
        """
        tracker = cls(options, experiment, experiment_id, Path(folder).resolve(), config, about, uses)
        if options.mode != "disabled":
            keep_files_in(tracker.folder)
        if options.mode == "online" and not logged_in():
            raise UserError("tracking=online needs a W&B login: run `wandb login` once, or use tracking=offline.")
        return tracker

    def round(self, number: int, *, inputs: Mapping[str, Any], history: Iterable[Mapping] = ()) -> RoundRun | SilentRun:
        """Return the W&B run of round `number`; a context manager.

        Args:
            number: 0 for the dense round.
            inputs: what the round was made from; goes into the run's config. `inputs["key"]`, the round's key
                in the store, tells a finished run of this round from one of another experiment's past.
            history: rows logged before (of a resumed round); they are replayed.
        """
        record = self.record(
            number,
            key=str(inputs.get("key", "")),
            run_id=run_id(self.experiment_id, number),
            name=f"round-{number:02d}",
            config={"round": number, "inputs": dict(inputs)},
            uses=self.inputs_of(number, inputs),
        )
        return open_run(self, record, history)

    def inputs_of(self, number: int, inputs: Mapping[str, Any]) -> list[str]:
        """Return the artifacts that a round is made from, as "name:run id".

        They are the init, which round 0 logs, and the mask of the round before; for round 0 those of the ticket it
        starts from. A gradual round begins with round 0's mask. What late rewinding returns to is logged by round 1.
        """
        if number == 0:
            return list(self.uses)
        sources = [("init", 0), ("mask", 0 if "gradual" in inputs else number - 1)]
        first = load_record(self.folder, run_id(self.experiment_id, 1)) if number > 1 else None
        if first is not None and any(artifact.type == "rewind" for artifact in first.artifacts):
            sources.append(("rewind", 1))
        return [
            f"{artifact_name(self.experiment, kind)}:{run_id(self.experiment_id, source)}" for kind, source in sources
        ]

    def close(self, *, extreme: int | None = None, best: int | None = None) -> None:
        """Give two masks the aliases `extreme` and `best`; online, check that W&B has everything; trim the cache."""
        if self.options.mode == "disabled":
            return
        winners = {name: n for name, n in {"extreme": extreme, "best": best}.items() if n is not None}
        self.guard(lambda: save_winners(self.folder, experiment_hash(self.experiment_id), winners))
        if self.options.mode == "online":
            self.guard.unless_broken(self.check, self.options.finish_timeout)
        self.guard(lambda: trim_cache(self.folder, self.options.cache_gb))

    def check(self) -> None:
        """Name the winners, and read back that all of the experiment is on the server."""
        import wandb

        from lth.tracking.upload import give_names, missing

        api = wandb.Api(timeout=max(1, round(self.options.init_timeout)))
        for record in latest(load_records(self.folder)):
            if gaps := missing(api, record):
                raise RuntimeError(f"it lacks of round {record.round}: {', '.join(gaps)}")
            give_names(api, self.folder, record)
