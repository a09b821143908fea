"""What a ticket is made of: where its weights are, which units are dead, what training did to what is left."""

from collections.abc import Mapping, Sequence

from lth.analysis.document import Column, Heat, Section, Table
from lth.analysis.inputs import Analysis
from lth.analysis.measure.bodies import weight_changes
from lth.analysis.measure.specimens import MaskSummary, TicketSample, look, specimens
from lth.analysis.phrases import join_names
from lth.tickets.anatomy import Change


def section(analysis: Analysis) -> Section | None:
    """Return the densities of the layers, and what became of signs, ranks and units; None without a ticket."""
    title = "Anatomy of the tickets"
    chosen, remarks = specimens(analysis.experiments)
    seen = {one.title: looked for one in chosen if (looked := look(one.round, analysis.masks))}
    found = [one for one in chosen if one.title in seen]
    if damaged := [one.experiment.name for one in chosen if one not in found]:
        remarks.append(f"The mask of {join_names(damaged)} cannot be read: python -m lth store do=verify says more.")
    if not found:
        return Section("anatomy", title, remarks) if remarks else None
    bodies = {one.title: kept for one in found if (kept := weight_changes(one, analysis.cache))}
    if gone := [one.title for one in found if one.title not in bodies]:
        remarks.append(
            f"The trained weights of {join_names(gone)} are not in the store; of their signs nothing is said."
        )
    tables = [_units(found, seen), *([_bodies(bodies)] if bodies else [])]
    charts = [_densities(found, seen), *([_ranks(bodies)] if bodies else [])]
    return Section("anatomy", title, [_first(found, seen), *remarks], tables, charts)


def _first(found: Sequence[TicketSample], seen: Mapping[str, MaskSummary]) -> str:
    one = min(found, key=lambda one: one.round.density)
    densities = seen[one.title].densities
    least, most = (end(densities, key=lambda name: densities[name]) for end in (min, max))
    return (
        f"The sparsest ticket ({one.title}) keeps least of {least} ({100 * densities[least]:.2g} %) "
        f"and most of {most} ({100 * densities[most]:.3g} %)."
    )


def _densities(found: Sequence[TicketSample], seen: Mapping[str, MaskSummary]) -> Heat:
    parameters = list(dict.fromkeys(name for one in found for name in seen[one.title].densities))
    values = [[seen[one.title].densities.get(name) for one in found] for name in parameters]
    note = "Kept of every prunable parameter, in the model's order."
    return Heat("layers", "Where the weights are", parameters, [one.title for one in found], values, note=note)


def _ranks(bodies: Mapping[str, Mapping]) -> Heat:
    parameters = list(dict.fromkeys(name for kept in bodies.values() for name in kept["ranks"]))
    values = [[_ratio(*kept["ranks"].get(name, (None, None))) for kept in bodies.values()] for name in parameters]
    note = "Effective rank (Roy and Vetterli 2007) of the ticket's trained matrix over that of the dense network's."
    return Heat(
        "ranks", "Effective rank against dense", parameters, list(bodies), values, "number", middle=1.0, note=note
    )


def _units(found: Sequence[TicketSample], seen: Mapping[str, MaskSummary]) -> Table:
    columns = [Column("ticket"), Column("units", "count"), Column("nothing comes in", "count")]
    columns += [Column("nobody reads", "count"), Column("dead", "count")]
    looked = [(one.title, seen[one.title]) for one in found]
    rows = [[title, one.units, one.no_input, one.no_reader, one.dead] for title, one in looked]
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
