"""What a ticket is made of: where its weights are, what it shares with others, what training did to them."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from lth.analysis import kinship
from lth.analysis.cache import remembered
from lth.analysis.document import Column, Heat, Section, Table
from lth.analysis.experiments import Experiment, Round
from lth.analysis.overlap import Packed
from lth.errors import UserError
from lth.tickets.anatomy import Change, change, effective_rank, units

#: Tickets that are looked into; a figure of more cannot be read.
MOST = 12
#: Characters of a name beside a picture.
LONGEST = 45
#: Raised when what is kept of a body would come out otherwise.
VERSION = 1


class Specimen(NamedTuple):
    """A ticket under the microscope."""

    experiment: Experiment
    round: Round
    name: str  # 'layerwise, seed 0'

    @property
    def title(self) -> str:
        """'layerwise, seed 0, 16.6 %'"""
        return f"{self.name}, {100 * self.round.density:.1f} %"


@dataclass(frozen=True)
class Looked:
    """What is left of a mask once it has been looked at: bits, densities and dead units."""

    packed: Packed
    densities: Mapping[str, float]
    units: int
    deaf: int
    unread: int | None
    dead: int


def section(experiments: Sequence[Experiment], folder: Path | None = None) -> Section | None:
    """Densities of the layers, overlaps of the masks, and what became of signs, ranks and units.

    Args:
        folder: where what takes long is kept.
    """
    title = "Anatomy of the tickets"
    chosen, remarks = specimens(experiments)
    seen: dict[str, Looked | None] = {}
    found = [one for one in chosen if look(one.round, seen)]
    if damaged := [one.experiment.name for one in chosen if one not in found]:
        remarks.append(f"The mask of {few(damaged)} cannot be read: python -m lth store do=verify says more.")
    if not found:
        return Section("anatomy", title, remarks) if remarks else None
    names = {one.experiment.id: one.name for one in found}
    pairs = kinship.pairs([one.experiment for one in found], lambda played: _packed(look(played, seen)))
    bodies = {one.title: kept for one in found if (kept := body(one, folder))}
    if gone := [one.title for one in found if one.title not in bodies]:
        remarks.append(f"The trained weights of {few(gone)} are not in the store: nothing is said of their signs.")
    tables = [kinship.kind_table(pairs), kinship.pair_table(pairs, names)] if pairs else []
    tables.append(_units(found, seen))
    tables += [_bodies(bodies)] if bodies else []
    charts = [_densities(found, seen)]
    charts += [kinship.heat(pairs, names)] if pairs else []
    charts += [_ranks(bodies)] if bodies else []
    return Section("anatomy", title, [_first(found, seen), *kinship.said(pairs), *remarks], tables, charts)


def specimens(experiments: Sequence[Experiment]) -> tuple[list[Specimen], list[str]]:
    """The ticket of every lottery, the sparsest `MOST`, in the experiments' order; and what is left out, in words."""
    lotteries = [one for one in experiments if one.control is None and one.dense and one.ticket]
    there = [one for one in lotteries if (one.ticket.stored.path / "mask.lth").is_file()]
    chosen = sorted(there, key=lambda one: one.ticket.density)[:MOST]
    remarks = []
    if gone := [one.name for one in lotteries if one not in there]:
        remarks.append(f"The mask of {few(gone)} is gone from the store, and with it all that could be said of it.")
    if len(chosen) < len(there):
        remarks.append(
            f"The {MOST} sparsest tickets are looked into; {len(there) - MOST} more are left out: experiments= chooses."
        )
    corpora = {one.corpus for one in chosen}
    names: dict[str, int] = {}
    found = []
    for one in there:
        if one in chosen:
            name = f"{one.label}, seed {one.seed}" + (f", {one.corpus}" if len(corpora) > 1 else "")
            name = name if len(name) <= LONGEST else one.name  # a trial of a search is called by many words
            names[name] = names.get(name, 0) + 1
            found.append(Specimen(one, one.ticket, name if names[name] == 1 else f"{name} ({one.name})"))
    return found, remarks


def look(played: Round, seen: dict[str, Looked | None]) -> Looked | None:
    """A round's mask, read once for all experiments that share the round; None where it cannot be read."""
    if played.row.key not in seen:
        try:
            mask = played.mask()
        except (OSError, UserError):
            seen[played.row.key] = None
        else:
            modules = units(mask).values()
            known = all(one.no_reader is not None for one in modules)
            seen[played.row.key] = Looked(
                Packed.of(mask),
                mask.densities(),
                sum(len(one.no_input) for one in modules),
                sum(int(one.no_input.sum()) for one in modules),
                sum(int(one.no_reader.sum()) for one in modules) if known else None,
                sum(int(one.dead.sum()) for one in modules),
            )
    return seen[played.row.key]


def body(one: Specimen, folder: Path | None = None) -> dict | None:
    """What training did to a ticket's weights and to the dense network's; None where weights or init are gone.

    ``ticket`` and ``dense`` are a `Change` each over the weights that the ticket keeps, ``ranks`` maps every
    parameter to the effective ranks of both.
    """
    dense, init = one.experiment.dense, one.experiment.path / "init.safetensors"
    inputs = {"version": VERSION, "round": one.round.row.key, "dense": dense.row.key}
    try:
        return remembered(
            folder, "bodies", inputs | {"init": one.experiment.about.get("init")}, lambda: _body(one, init)
        )
    except (OSError, UserError):
        return None


def _body(one: Specimen, file: Path) -> dict:
    from lth.lottery.setup.find import read_init

    init, mask = read_init(file), one.round.mask()
    trained, dense = one.round.weights(), one.experiment.dense.weights()
    for what, tensors in (("init", init), ("round", trained), ("dense round", dense)):
        try:
            mask.check_fits(tensors, what)
        except ValueError as error:
            raise UserError(f"{one.experiment.name}: {error}") from None
    ours = sum((change(init[name], trained[name], bits) for name, bits in mask.items()), Change(0, 0, 0))
    theirs = sum((change(init[name], dense[name], bits) for name, bits in mask.items()), Change(0, 0, 0))
    with one_thread():
        ranks = {name: [effective_rank(trained[name]), effective_rank(dense[name])] for name in mask}
    return {"ticket": list(ours), "dense": list(theirs), "ranks": ranks}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """A sweep may be training beside the analysis, and torch threads that share cores are many times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _packed(looked: Looked | None) -> Packed | None:
    return looked and looked.packed


def few(names: Sequence[str], most: int = 3) -> str:
    """'a, b, c and 4 more'"""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _first(found: Sequence[Specimen], seen: Mapping[str, Looked | None]) -> str:
    one = min(found, key=lambda one: one.round.density)
    densities = seen[one.round.row.key].densities
    least, most = min(densities, key=densities.get), max(densities, key=densities.get)
    return (
        f"The sparsest ticket ({one.title}) keeps least of {least} ({100 * densities[least]:.2g} %) "
        f"and most of {most} ({100 * densities[most]:.3g} %)."
    )


def _densities(found: Sequence[Specimen], seen: Mapping[str, Looked | None]) -> Heat:
    parameters = list(dict.fromkeys(name for one in found for name in seen[one.round.row.key].densities))
    values = [[seen[one.round.row.key].densities.get(name) for one in found] for name in parameters]
    note = "Kept of every prunable parameter, in the model's order."
    return Heat("layers", "Where the weights are", parameters, [one.title for one in found], values, note=note)


def _ranks(bodies: Mapping[str, Mapping]) -> Heat:
    parameters = list(dict.fromkeys(name for kept in bodies.values() for name in kept["ranks"]))
    values = [[_ratio(*kept["ranks"].get(name, (None, None))) for kept in bodies.values()] for name in parameters]
    note = "Effective rank (Roy and Vetterli 2007) of the ticket's trained matrix over that of the dense network's."
    return Heat(
        "ranks", "Effective rank against dense", parameters, list(bodies), values, "number", middle=1.0, note=note
    )


def _units(found: Sequence[Specimen], seen: Mapping[str, Looked | None]) -> Table:
    columns = [Column("ticket"), Column("units", "count"), Column("nothing comes in", "count")]
    columns += [Column("nobody reads", "count"), Column("dead", "count")]
    looked = [(one.title, seen[one.round.row.key]) for one in found]
    rows = [[title, one.units, one.deaf, one.unread, one.dead] for title, one in looked]
    note = (
        "Units are filters, rows, and recurrent units with all their gates. Dead: no weight brings anything in, or no "
        "weight takes what comes out."
    )
    return Table("units", "Dead units", columns, rows, note)


def _bodies(bodies: Mapping[str, Mapping]) -> Table:
    columns = [Column("ticket"), Column("signs as in init", "percent"), Column("dense: signs as in init", "percent")]
    columns += [Column("grown", "percent"), Column("dense: grown", "percent")]
    columns += [Column("effective rank", "number"), Column("dense: effective rank", "number")]
    rows = []
    for title, kept in bodies.items():
        ours, theirs = Change(*kept["ticket"]), Change(*kept["dense"])
        ranks = [sum(side) / len(side) for side in zip(*kept["ranks"].values(), strict=True)]
        rows.append([title, ours.signs, theirs.signs, ours.growth, theirs.growth, *ranks])
    note = (
        "Of the weights that the ticket keeps: those whose sign after training is that of the init, and those that "
        "are larger in magnitude than in the init; in the ticket, and the same weights in the dense network. "
        "Effective rank (Roy and Vetterli 2007): mean over the trained matrices."
    )
    return Table("bodies", "What training made of them", columns, rows, note)


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None
