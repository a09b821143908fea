"""The run of a trial under `wandb agent`: it carries the objectives, round by round."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from lth.store.rows import Row
from lth.tracking.client import keep_files_in, step_out_of_sweep
from lth.tracking.guard import Guard
from lth.tracking.session import TrackingOptions

if TYPE_CHECKING:
    import wandb


def in_sweep() -> bool:
    """Return whether `wandb agent` has started this process."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def trial_words(config: DictConfig) -> dict:
    """Return what the agent decides about the experiment: a name that no other trial has, and where its runs go."""
    places = {"project": os.environ.get("WANDB_PROJECT"), "entity": os.environ.get("WANDB_ENTITY")}
    return {
        "name": f"{config.name}-{os.environ.get('WANDB_RUN_ID', 'trial')}",
        "tracking": {name: value for name, value in places.items() if value},
    }


class TrialRun:
    """Reports a trial in its own run; a context manager. Online whatever `tracking` says, for the sweep reads it.

    W&B failing never ends the trial: its rounds are in the store, and only the sweep does not hear of it.

    Args:
        name: of the trial; the run's name and group.
        folder: the run's files go to `wandb/` in it.
        config: the trial's resolved config goes into the run's under `resolved`.
    """

    def __init__(self, name: str, folder: Path, config: DictConfig):
        self.name, self.folder = name, folder.resolve()
        self.config = OmegaConf.to_container(config, resolve=True)
        self.options = TrackingOptions(**config.tracking)
        self.stopped = False
        self.step = 0
        self.run: wandb.Run | None = None
        self.guard = Guard(name)

    def __enter__(self) -> "TrialRun":
        self.guard(self.start, self.options.init_timeout + 10, remedy="the sweep does not hear of this trial")
        step_out_of_sweep()
        self._handler = signal.signal(signal.SIGTERM, self.stop)
        return self

    def start(self) -> None:
        """Start the trial's run; `wandb agent` has set its id."""
        import wandb

        keep_files_in(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        os.environ.pop("WANDB_MODE", None)
        self.run = wandb.init(
            mode="online",
            name=self.name,
            group=self.name,
            job_type="trial",
            dir=str(self.folder),
            resume="allow",
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_code=True,
                disable_git=True,
                x_disable_stats=True,
                init_timeout=self.options.init_timeout,
                finish_timeout=self.options.finish_timeout,
                stop_fn=lambda: os.kill(os.getpid(), signal.SIGTERM),
            ),
        )
        self.run.config.update({"resolved": self.config})

    def stop(self, *_: Any) -> None:
        """End the trial: the sweep, or the agent, wants no more of it."""
        if not self.stopped:
            self.stopped = True
            raise KeyboardInterrupt

    def log(self, row: Row, seed: int, objectives: Mapping[str, float]) -> None:
        """Log a finished round. With one seed the step is the round's number; further seeds count on."""
        values = {"round": row.round, "seed": seed, "density": row.density, "dev_wer": row.dev_wer, **objectives}
        step, self.step = self.step, self.step + 1
        if (run := self.run) is not None and step >= run.starting_step:
            self.guard.unless_broken(lambda: run.log(values, step=step, commit=True))

    def finish(self, summary: Mapping[str, Any] | None = None, failed: str = "") -> None:
        """End the run: with its summary, or as a failed one with the reason."""
        if self.run is None:
            return
        run, self.run = self.run, None
        summary = {"reason": failed} if failed else dict(summary or {})
        seconds = self.options.finish_timeout + 10

        def end() -> None:
            run.summary.update(summary)
            run.finish(exit_code=1 if failed else 0)

        self.guard(end, seconds, remedy="the sweep does not hear how this trial ended")

    def __exit__(self, *error: Any) -> None:
        signal.signal(signal.SIGTERM, self._handler)
        self.finish(failed="interrupted")
