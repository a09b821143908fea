"""Somebody's ticket: a mask, the init it rewinds to, and the lottery that found it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lth.errors import UserError
from lth.store.rows import Row
from lth.tickets.mask import Mask


@dataclass(frozen=True)
class SourceExperiment:
    """The experiment that found a ticket."""

    name: str
    config: Mapping
    inputs: Mapping  # of the key of the ticket's round
    tracking: Mapping  # entity, project and group of its W&B runs
    rows: list[Row]  # its rounds up to the ticket's
    here: bool  # its config was recorded on this machine, and says where things lie

    def budget(self) -> int:
        """Return the epochs that the lottery trained in all to find the ticket and train it."""
        return sum(row.epochs or 0 for row in self.rows)


@dataclass(frozen=True)
class SourceTicket:
    """A mask, the init it rewinds to, and the way to what else is known of it.

    Args:
        source: where it was found, as the user typed it.
        about: what is known of it: ``experiment`` (id), ``name``, ``round``, ``key`` and ``mask`` (digest).
        tokens: key of what its model puts out, where that is known.
        uses: the W&B artifacts of its init and mask.
        weights: reads its trained weights.
        experiment: reads the experiment that found it.
        epoch: of late rewinding: ``init`` are the weights at its end, and training goes on from there.
        home: the folder of the experiment that found it, if that is here.
    """

    init: Mapping[str, Tensor]
    mask: Mask
    source: str
    about: Mapping
    tokens: str | None
    uses: tuple[str, ...]
    weights: Callable[[], dict[str, Tensor]]
    experiment: Callable[[], SourceExperiment]
    epoch: int = 0
    home: Path | None = None


class RewindSource(NamedTuple):
    """What a ticket of late rewinding returns to: the weights at the end of an epoch of a round's training."""

    epoch: int
    weights: str  # their digest
    round: str  # key of the round that stopped there; empty for a ticket that was given these weights as its init


def rewind_source(about: Mapping, what: str) -> RewindSource | None:
    """Return what a mask file says of late rewinding; None where its ticket rewinds to the init."""
    if "rewind_epoch" not in about:
        return None
    epoch, weights, round = about["rewind_epoch"], about.get("rewind_weights"), about.get("rewind_round", "")
    digests = all(isinstance(text, str) and re.fullmatch(r"[0-9a-f]*", text) for text in (weights, round))
    if not (type(epoch) is int and epoch >= 1 and digests and weights):
        raise UserError(f"{what}: its mask makes no sense of what it rewinds to; fetch it again")
    return RewindSource(epoch, weights, round)


def read_init(path: Path) -> dict[str, Tensor]:
    """Return the tensors of an init file; UserError when it is damaged."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}); fetch it again") from error
