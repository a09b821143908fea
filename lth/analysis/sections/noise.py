"""What noise changes: WER of the dense network and of the winning tickets in every noise of `test_noise=grid`."""

from collections.abc import Iterable, Sequence

from lth.analysis.document import Column, Heat, Interval, Section, Table
from lth.analysis.experiments import Experiment
from lth.analysis.inputs import Analysis
from lth.store.noise_rows import NoiseRow, read_noise_csv

#: What an experiment trained in, and the rows of its noise.csv.
Surface = tuple[str, list[NoiseRow]]
TICKETS = ("dense", "extreme", "best")


def surfaces(experiments: Sequence[Experiment]) -> list[Surface]:
    """Return what each experiment trained in ('level 0 to 0.5') and its `noise.csv`; those without one are left out.

    Names are told apart by what else differs: the experiment's label, then its name.

    Raises:
        UserError: a `noise.csv` is damaged.
    """
    measured = [one for one in experiments if (one.path / "noise.csv").is_file()]
    names = [one.train_noise for one in measured]
    for further in (lambda one: one.label, lambda one: f"seed {one.seed}", lambda one: one.name):
        if len(set(names)) < len(names):
            extra = [further(one) for one in measured]
            if len(set(extra)) > 1:
                names = [", ".join(filter(None, pair)) for pair in zip(names, extra, strict=True)]
    return [(name, read_noise_csv(one.path / "noise.csv")) for name, one in zip(names, measured, strict=True)]


def section(analysis: Analysis) -> Section | None:
    """Return heat maps of WER and of the difference for each ticket, and the table behind them; None without a grid."""
    found = surfaces(analysis.experiments)
    if not found:
        return None
    rows = [row for _, of_one in found for row in of_one]
    split = "test" if any(row.split == "test" for row in rows) else "dev"
    heats = [heat for ticket in TICKETS for heat in heats_of(found, ticket, split)]
    return Section("noise", "What noise changes", answer(found, split), [table(found)], heats)


def answer(found: Sequence[Surface], split: str) -> list[str]:
    """Say in how many noises a ticket is better or worse than the dense network, beyond what utterances explain."""
    said = []
    for ticket in TICKETS[1:]:
        noisy = [
            row
            for _, rows in found
            for row in rows
            if (row.ticket, row.split) == (ticket, split) and row.kind != "none"
        ]
        noisy = [row for row in noisy if row.difference is not None]
        if not noisy:
            continue
        better = sum((row.difference_high or 0) < 0 for row in noisy)
        worse = sum((row.difference_low or 0) > 0 for row in noisy)
        said.append(
            f"On {split}, the {ticket} ticket has a lower WER than its dense network in {better} of {len(noisy)} "
            f"noises, a higher one in {worse}, and in {len(noisy) - better - worse} there is no evidence either way."
        )
    said = said or ["There is no ticket to hold against a dense network in noise."]
    return [*said, "Intervals are 95 %, paired over utterances that hear the same noise, one noise at a time."]


def heats_of(found: Sequence[Surface], ticket: str, split: str) -> list[Heat]:
    """Train noise by test noise: the WER of a ticket, and its difference from the dense network; [] without it."""
    conditions = list(dict.fromkeys(row.condition for _, rows in found for row in rows))
    by = {
        (name, row.condition): row for name, rows in found for row in rows if (row.ticket, row.split) == (ticket, split)
    }
    if not by:
        return []
    names = [name for name, _ in found]

    def matrix(value: str) -> list[list[float | None]]:
        return [[getattr(by.get((name, noise)), value, None) for noise in conditions] for name in names]

    axes = {"rows": names, "columns": conditions, "x_label": "tested in", "y_label": "trained in"}
    wer = Heat(f"noise_{ticket}", f"{split} WER, {ticket}", values=matrix("wer"), kind="percent", **axes)
    if ticket == "dense" or not any(row.difference is not None for row in by.values()):
        return [wer]
    change = Heat(
        f"noise_{ticket}_difference",
        f"{split} WER, {ticket} minus dense",
        values=matrix("difference"),
        kind="points",
        middle=0,
        **axes,
    )
    return [wer, change]


def table(found: Sequence[Surface]) -> Table:
    """Return every row of every `noise.csv`."""
    columns = [
        Column("trained in"),
        Column("tested in"),
        Column("set"),
        Column("ticket"),
        Column("round", "count"),
        Column("weights", "percent"),
        Column("WER", "percent"),
        Column("CER", "percent"),
        Column("ticket − dense", "points"),
    ]
    cells = [[name, *_cells(row)] for name, rows in found for row in _ordered(rows)]
    return Table("noise", "WER in noise", columns, cells, note="95 % intervals; differences are paired.")


def _ordered(rows: Iterable[NoiseRow]) -> list[NoiseRow]:
    """By set, then noise, then ticket: what is compared stands together."""
    rows = list(rows)
    splits, noises = ([*dict.fromkeys(getattr(row, name) for row in rows)] for name in ("split", "condition"))
    return sorted(rows, key=lambda r: (splits.index(r.split), noises.index(r.condition), TICKETS.index(r.ticket)))


def _cells(row: NoiseRow) -> list:
    difference = None if row.difference is None else Interval(row.difference, row.difference_low, row.difference_high)
    wer = Interval(row.wer, row.low, row.high)
    return [row.condition, row.split, row.ticket, row.round, row.density, wer, row.cer, difference]
