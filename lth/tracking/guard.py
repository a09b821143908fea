"""W&B cannot hurt training: its calls never raise to the caller and never wait longer than agreed."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)


class Guard:
    """Makes calls to W&B and catches what they raise; warns of the first failure, and how to make up for it."""

    def __init__(self, experiment: str) -> None:
        self.experiment = experiment
        self.broken = False

    def __call__(self, call: Callable[[], T], seconds: float | None = None, remedy: str = "") -> T | None:
        """Return the result of `call`, or None if it raised, or took longer than `seconds` (None: no limit)."""
        try:
            return call() if seconds is None else call_with_timeout(seconds, call)
        except Exception as error:
            if not self.broken:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                remedy = (
                    remedy or f"upload what is missing later with: python -m lth sync experiments={self.experiment}"
                )
                log.warning("W&B tracking failed (%s). Training goes on and nothing is lost; %s", reason, remedy)
            self.broken = True
            return None

    def unless_broken(self, call: Callable[[], T], seconds: float | None = None) -> T | None:
        """Return the result of `call` as above; None, without calling it, once a call has failed."""
        return None if self.broken else self(call, seconds)


def call_with_timeout(seconds: float, call: Callable[[], T]) -> T:
    """Return the result of `call`; what it raises is raised here.

    Raises:
        TimeoutError: after `seconds`; the call goes on in a thread that dies with the process.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="wandb-call", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return results[0]
