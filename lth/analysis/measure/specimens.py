"""The tickets that are looked into, and what is left of a mask once it has been looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lth.analysis.experiments import Experiment, Round
from lth.analysis.measure.overlap import Packed
from lth.analysis.phrases import join_names
from lth.errors import UserError
from lth.tickets.anatomy import units

#: Tickets that are looked into; a figure of more cannot be read.
MOST = 12
#: Characters of a name beside a picture.
LONGEST = 45


class TicketSample(NamedTuple):
    """A ticket under the microscope."""

    experiment: Experiment
    round: Round
    name: str  # 'layerwise, seed 0'

    @property
    def title(self) -> str:
        """Return its title: 'layerwise, seed 0, 16.6 %'."""
        return f"{self.name}, {100 * self.round.density:.1f} %"


@dataclass(frozen=True)
class MaskSummary:
    """What is left of a mask once it has been looked at: bits, densities and dead units."""

    packed: Packed
    densities: Mapping[str, float]
    units: int
    no_input: int
    no_reader: int | None
    dead: int


#: Masks that were read, by the key of their round; None of one that cannot be read.
Masks = dict[str, MaskSummary | None]


def specimens(experiments: Sequence[Experiment]) -> tuple[list[TicketSample], list[str]]:
    """Return every lottery's ticket, the sparsest `MOST`, in the experiments' order; and what is left out, in words."""
    lotteries = [(one, one.ticket) for one in experiments if one.control is None and one.dense and one.ticket]
    there = [(one, ticket) for one, ticket in lotteries if (ticket.stored.path / "mask.lth").is_file()]
    chosen = sorted(there, key=lambda pair: pair[1].density)[:MOST]
    remarks = []
    if gone := [pair[0].name for pair in lotteries if pair not in there]:
        remarks.append(f"The mask of {join_names(gone)} is gone from the store, and with it what it could say.")
    if len(chosen) < len(there):
        remarks.append(
            f"The {MOST} sparsest tickets are looked into; {len(there) - MOST} more are left out: experiments= chooses."
        )
    corpora = {one.corpus for one, _ in chosen}
    names: dict[str, int] = {}
    found = []
    for one, ticket in there:
        if (one, ticket) in chosen:
            name = f"{one.label}, seed {one.seed}" + (f", {one.corpus}" if len(corpora) > 1 else "")
            name = name if len(name) <= LONGEST else one.name  # a trial of a search is called by many words
            names[name] = names.get(name, 0) + 1
            found.append(TicketSample(one, ticket, name if names[name] == 1 else f"{name} ({one.name})"))
    return found, remarks


def look(played: Round, seen: Masks) -> MaskSummary | None:
    """Return what a round's mask holds, read once into `seen` for all that ask; None where it cannot be read."""
    if played.row.key not in seen:
        try:
            mask = played.mask()
        except (OSError, UserError):
            seen[played.row.key] = None
        else:
            modules = units(mask).values()
            unread = [int(one.no_reader.sum()) for one in modules if one.no_reader is not None]
            seen[played.row.key] = MaskSummary(
                Packed.of(mask),
                mask.densities(),
                sum(len(one.no_input) for one in modules),
                sum(int(one.no_input.sum()) for one in modules),
                sum(unread) if len(unread) == len(modules) else None,
                sum(int(one.dead.sum()) for one in modules),
            )
    return seen[played.row.key]
