"""What a person watches while a lottery runs: round, epoch, loss, dev WER, time left."""

import contextlib
import time
from collections.abc import Iterator

from lightning import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

WIDE = 100  # columns that hold the whole live line


def clock(seconds: float) -> str:
    """Format seconds as ``h:mm:ss`` or ``m:ss``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Display(Callback):
    """A live line on a terminal; elsewhere (a log file, CI) one line an epoch.

    Args:
        rounds: pruned rounds after the dense one.
    """

    def __init__(self, console: Console, rounds: int):
        self.console, self.rounds = console, rounds
        self.round, self.density = 0, 1.0
        self._bar: Progress | None = None
        self._dev = ""

    def begin(self, number: int, density: float) -> None:
        """Announce the round that is trained next."""
        self.round, self.density, self._dev = number, density, ""

    @contextlib.contextmanager
    def aside(self, number: int, density: float) -> Iterator[None]:
        """Show another round that has to be trained in the middle of this one."""
        own = self.round, self.density, self._dev
        self.begin(number, density)
        try:
            yield
        finally:
            self.round, self.density, self._dev = own

    def on_train_start(self, trainer, module) -> None:
        self._started, self._first = time.perf_counter(), trainer.current_epoch
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[status]}"),
                console=self.console,
                transient=True,
            )
            title = self._title() if self.console.width >= WIDE else self._title().removesuffix(" of the weights")
            self._task = self._bar.add_task(title, total=trainer.max_epochs, status="")
            self._bar.start()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if self._bar is not None:
            done = trainer.current_epoch + module.seen / module.utterances
            self._bar.update(self._task, completed=done, status=self._status(trainer, done, outputs["loss"].item()))

    def on_validation_end(self, trainer, module) -> None:
        self._dev = f" · dev WER {trainer.callback_metrics['dev_wer'].item():.1%}"
        if self._bar is None:
            done = trainer.current_epoch + 1
            loss = trainer.callback_metrics["loss"].item()
            self.console.print(f"{self._title()} {self._status(trainer, done, loss)}", highlight=False, soft_wrap=True)

    def on_train_end(self, trainer, module) -> None:
        self._close()

    def on_exception(self, trainer, module, exception) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _title(self) -> str:
        return f"round {self.round}/{self.rounds} · {self.density:.1%} of the weights"

    def _status(self, trainer, done: float, loss: float) -> str:
        epoch = time.perf_counter() - self._started
        epoch /= max(done - self._first, 1e-9)
        left = epoch * (trainer.max_epochs - done + (self.rounds - self.round) * trainer.max_epochs)
        current = min(trainer.current_epoch + 1, trainer.max_epochs)
        return f"epoch {current}/{trainer.max_epochs} · loss {loss:.3f}{self._dev} · {clock(left)} left"

    def end(self, metrics: dict, *, reused: bool) -> None:
        """Print the line of a finished round, which stays."""
        how = "reused" if reused else f"{clock(metrics['seconds'])}"
        dev, test = (_before(metrics, name) for name in ("dev_wer", "test_wer"))
        self.console.print(
            f"round {self.round}/{self.rounds} · {self.density:.1%} of the weights · "
            f"dev WER {metrics['dev_wer']:.1%}{dev} · test WER {metrics['test_wer']:.1%}{test} · {how}",
            highlight=False,
            soft_wrap=True,
        )


def _before(metrics: dict, name: str) -> str:
    """What trained weights scored before this round trained them further."""
    return f" (before {metrics[f'start_{name}']:.1%})" if f"start_{name}" in metrics else ""
