"""W&B cannot hurt training: its calls never raise to the caller and never wait longer than agreed."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)


class Guard:
    """Makes calls to W&B until the first one fails; then says so once, and how to make up for it."""

    def __init__(self, experiment: str) -> None:
        self.experiment = experiment
        self.broken = False

    def __call__(self, call: Callable[[], T], seconds: float | None = None, remedy: str = "") -> T | None:
        """The result of `call`, or None if it raised, or took longer than `seconds` (None: no limit)."""
        try:
            return call() if seconds is None else within(seconds, call)
        except Exception as error:
            if not self.broken:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                remedy = remedy or f"upload what is missing later with: python -m lth sync experiments={self.experiment}"
                log.warning("W&B tracking failed (%s). Training goes on and nothing is lost; %s", reason, remedy)
            self.broken = True
            return None


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of `call`; what it raises is raised here.

    Raises:
        TimeoutError: after `seconds`; the call goes on in a thread that dies with the process.
    """
    outcome: list = []

    def work() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=work, name="wandb-call", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer within {seconds:g} s")
    result, error = outcome[0]
    if error is not None:
        raise error
    return result
