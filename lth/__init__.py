"""Winning lottery tickets for speech recognition.

For notebooks: `lth.experiments`, `lth.rounds` and `lth.load_ticket`. Nothing is imported until one is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lth.analysis.listing import experiments, rounds
    from lth.inference.load import load_ticket

__all__ = ["experiments", "load_ticket", "rounds"]

_ROOMS = {
    "experiments": "lth.analysis.listing",
    "rounds": "lth.analysis.listing",
    "load_ticket": "lth.inference.load",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'lth' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
