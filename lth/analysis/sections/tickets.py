"""Who wins: every lottery's extreme and best ticket against its dense network, over seeds, and against its controls."""

from collections.abc import Iterator, Sequence

from lth.analysis.compare import CONTROLS, Group, Win, by_density, flags, title_of, wins
from lth.analysis.document import Column, Interval, Section, Table
from lth.analysis.experiments import Experiment, Round
from lth.analysis.inputs import Analysis
from lth.analysis.measure.statistics import holm, verdict
from lth.analysis.phrases import percent

RULE = (
    "A ticket wins when its dev WER is no worse than the dense network's. Differences are ticket less dense on the "
    "same resampled test utterances (95 % interval); p is two-sided and Holm-corrected over the table."
)


def section(analysis: Analysis) -> Section:
    """Return the answer, and tables of tickets, of means over seeds, of controls and of transfers, for every group."""
    groups, tables, text = analysis.groups, [], [lead(analysis.groups)]
    for number, group in enumerate(groups):
        made = [maker(group) for maker in (_tickets, _over_seeds, _controls, _transfers)]
        ending = f"_{group.corpus}_{number + 1}" if len(groups) > 1 else ""
        for table in made:
            if table is not None and table.rows:
                title = table.title + title_of(group, groups)
                tables.append(Table(table.name + ending, title, table.columns, table.rows, table.note))
        if all(len(ones) == 1 for ones in group.lotteries.values()) and group.lotteries:
            text.append(
                f"Every lottery on {group.corpus} was played with one seed: intervals are over utterances, and nothing "
                "is known of how much another seed would change."
            )
    everyone = [one for group in groups for one in group.experiments]
    return Section(
        "tickets", "Who wins", [*dict.fromkeys(text), *analysis.remarks, *analysis.apart, *flags(everyone)], tables
    )


def lead(groups: Sequence[Group]) -> str:
    """Return the answer in a sentence or two, about the group with most experiments."""
    if not groups:
        return "There is nothing to compare: no experiment has a finished round in the store."
    group, name = groups[0], "test" if "test" in groups[0].sets else "dev"
    on = f" on {group.corpus}"
    if not group.lotteries:
        return f"No lottery{on} has both a dense round and a pruned one yet."
    found = wins(group)
    if not found:
        best = min((one.best for ones in group.lotteries.values() for one in ones if one.best), key=_dev, default=None)
        near = f"; the best ticket keeps {percent(best.density)} of the weights" if best else ""
        return f"No ticket wins{on}: none reaches its dense network's dev WER{near}."
    win = found[0]
    trust = {
        "better": "a difference beyond chance",
        "worse": "worse beyond chance on that set, though not on dev",
        "no evidence either way": "no evidence of a difference either way",
        "not tested": "which could not be tested",
    }[_verdict_in_its_table(group, win)]
    seeds = f", mean of {len(win.rounds)} seeds" if len(win.rounds) > 1 else ", one seed"
    wer, reference = _wer(group.mean(win.rounds, name)), _wer(group.mean(win.dense, name))
    sentence = f"{win.label} wins{on} at {percent(win.density)} of the weights, {name} WER {wer}"
    sentence += f" against {reference} dense{seeds}: {trust}"
    compared = [
        f"{CONTROLS.get(one.control, one.control)} at the same density {_wer(group.interval(one.rounds[-1], name))}"
        for one in _controls_of(group, win.experiments[0])
        if one.rounds and one.control in ("random", "fresh")
    ]
    return sentence + (f"; {'; '.join(compared)}." if compared else ".")


def _verdict_in_its_table(group: Group, win: Win) -> str:
    """The verdict on a ticket as its table has it: corrected for all that the table compares."""
    table = _over_seeds(group) if len(win.rounds) > 1 else _tickets(group)
    rows = [row for row in table.rows if row[0] == win.label and win.density in row] if table else []
    return str(rows[0][-1]) if rows else "not tested"


def _tickets(group: Group) -> Table:
    name, rows, p_values = _set(group), [], []
    for label, one, kind, ticket in _each(group):
        difference, p = group.difference([one.reference], [ticket], name)
        wer, dense = group.interval(ticket, name), group.interval(one.reference, name)
        won = "yes" if ticket.row.dev_wer <= one.reference.row.dev_wer else "no"
        rows.append([label, one.seed, kind, ticket.density, ticket.row.dev_wer, one.reference.row.dev_wer, won])
        rows[-1] += [wer, dense, difference]
        p_values.append(p)
    columns = [Column("strategy"), Column("seed", "count"), Column("ticket"), Column("weights", "percent")]
    columns += [Column("dev WER", "percent"), Column("dense dev", "percent"), Column("wins")]
    columns += [Column(f"{name} WER", "percent"), Column("dense", "percent"), Column("difference", "points")]
    return _judged(Table("tickets", "Tickets against their dense networks", columns, rows, RULE), p_values)


def _over_seeds(group: Group) -> Table | None:
    name, rows, p_values = _set(group), [], []
    for label, ones in group.lotteries.items():
        dense = [one.reference for one in ones]
        for rounds in by_density(ones).values():
            if len(ones) > 1 and rounds[0].density < 1:
                difference, p = group.difference(dense, rounds, name)
                dev = [sum(one.row.dev_wer for one in some) / len(ones) for some in (rounds, dense)]
                means = [group.mean(rounds, name), group.mean(dense, name)]
                won = "yes" if dev[0] <= dev[1] else "no"
                rows.append([label, len(ones), rounds[0].density, *dev, won, *means, difference])
                p_values.append(p)
    columns = [Column("strategy"), Column("seeds", "count"), Column("weights", "percent"), Column("dev WER", "percent")]
    columns += [Column("dense dev", "percent"), Column("wins"), Column(f"{name} WER", "percent")]
    columns += [Column("dense", "percent"), Column("difference", "points")]
    note = "Means over seeds. Intervals resample utterances, the same ones for every seed, and then seeds."
    return _judged(Table("seeds", "Every density, over seeds", columns, rows, note), p_values)


def _controls(group: Group) -> Table | None:
    name, rows, p_values = _set(group), [], []
    for one in group.experiments:
        ticket = _ticket_of(group, one) if one.control and one.rounds else None
        if ticket is None:
            continue
        parent, found = ticket
        own = one.rounds[-1]
        difference, p = group.difference([found], [own], name)
        kind = CONTROLS.get(str(one.control), one.control)
        rows.append([f"{parent.label}, seed {parent.seed}", kind, own.density, own.row.epochs, own.row.dev_wer])
        rows[-1] += [found.row.dev_wer, group.interval(own, name), group.interval(found, name), difference]
        p_values.append(p)
    columns = [Column("ticket of"), Column("control"), Column("weights", "percent"), Column("epochs", "count")]
    columns += [Column("dev WER", "percent"), Column("ticket's dev", "percent"), Column(f"{name} WER", "percent")]
    columns += [Column("ticket's", "percent"), Column("difference", "points")]
    note = "Differences are control less ticket: above 0 the ticket is better than its control."
    return _judged(Table("controls", "Tickets against their controls", columns, rows, note), p_values)


def _transfers(group: Group) -> Table | None:
    name, rows = _set(group), []
    for one in group.experiments:
        if one.control is None and one.source and one.about.get("transfer") and one.rounds:
            first = one.rounds[0]
            start = first.metrics.get(f"start_{name}_wer")
            rows.append([str(one.source.get("name")), one.source.get("round"), one.name, one.about["transfer"]])
            rows[-1] += [one.seed, first.density, start, first.row.dev_wer, group.interval(first, name)]
    columns = [Column("ticket from"), Column("round", "count"), Column("experiment"), Column("what is taken")]
    columns += [Column("seed", "count"), Column("weights", "percent"), Column(f"{name} WER before", "percent")]
    columns += [Column("dev WER", "percent"), Column(f"{name} WER", "percent")]
    return Table(
        "transfers", "Tickets taken elsewhere", columns, rows, "Round 0 of every experiment that began with one."
    )


def _judged(table: Table, p_values: Sequence[float | None]) -> Table:
    """The table with a corrected p-value and a verdict on the difference, its last column."""
    tested = {n: p for n, p in enumerate(p_values) if p is not None}
    corrected = dict(zip(tested, holm([*tested.values()]), strict=True))
    rows = []
    for n, row in enumerate(table.rows):
        difference = row[-1].value if isinstance(row[-1], Interval) else None
        rows.append([*row, corrected.get(n), verdict(difference or 0.0, corrected.get(n))])
    columns = [*table.columns, Column("p"), Column("verdict")]
    columns[-2] = Column("p", "number")
    note = table.note
    if len(tested) < len(rows):
        note += " Not tested: hypotheses are gone from the store, or there is one utterance only."
    return Table(table.name, table.title, columns, rows, note)


def _each(group: Group) -> Iterator[tuple[str, Experiment, str, Round]]:
    for label, ones in group.lotteries.items():
        for one in ones:
            if one.extreme is not None and one.extreme is one.best:
                yield label, one, "extreme, best", one.extreme
                continue
            for kind, ticket in (("extreme", one.extreme), ("best", one.best)):
                if ticket is not None:
                    yield label, one, kind, ticket


def _controls_of(group: Group, parent: Experiment) -> list[Experiment]:
    return [one for one in group.experiments if one.control and (one.source or {}).get("experiment") == parent.id]


def _ticket_of(group: Group, control: Experiment) -> tuple[Experiment, Round] | None:
    """The experiment that found a control's ticket, and the ticket's round in it."""
    key = (control.source or {}).get("key")
    for one in group.experiments:
        if one.control is None and (control.source or {}).get("experiment") in (one.id, None):
            found = next((r for r in one.rounds if r.row.key == key), None)
            if found is not None:
                return one, found
    return None


def _set(group: Group) -> str:
    return "test" if "test" in group.sets else "dev"


def _dev(one: Round) -> float:
    return one.row.dev_wer


def _wer(rate: Interval) -> str:
    if rate.value is None:
        return "unknown"
    if rate.low is None or rate.high is None:
        return f"{100 * rate.value:.1f}"
    return f"{100 * rate.value:.1f} ± {50 * (rate.high - rate.low):.1f}"
