"""The finished rounds of an experiment as rows: which tickets win, `rounds.csv`, a run's last table."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from lth.files import write_text
from lth.store.records import read_records


@dataclass(frozen=True)
class Row:
    """One finished round. Densities and error rates are fractions, not percent.

    `density` is kept / prunable weights, `density_total` kept / all parameters. `test_wer` and `test_cer` are
    those of the corpus's primary test set, `further` maps each other test set to its (WER, CER). `reused`:
    found in the store, where another experiment had put it; `earlier`: trained by this one, but not in this call, which
    no file says. What was not measured is None.
    """

    round: int
    density: float
    density_total: float
    dev_wer: float
    dev_cer: float
    test_wer: float | None
    test_cer: float | None
    train_loss: float | None
    epochs: int | None
    seconds: float | None
    audio_seconds_per_second: float | None
    reused: bool
    key: str
    further: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    earlier: bool = False

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any], number: int | None = None, *, reused: bool = False) -> "Row":
        """Return the row of a round's `metrics.json`; its first entry under `tests` is the primary test set.

        `number` is the round's number in this experiment, if it is not the one it was first trained as.
        """
        tests = metrics.get("tests", {})
        further = [(shown, tests[name]) for name, shown in list(set_names(tests).items())[1:]]
        values: dict[str, Any] = {name: metrics.get(name) for name in COLUMNS}
        values |= {"reused": reused, "round": metrics["round"] if number is None else number}
        return cls(**values, further={name: (s["wer"], s["cer"]) for name, s in further})


def set_names(tests: Iterable[str]) -> dict[str, str]:
    """Return the names of test sets in tables: "test" for a corpus's first, its primary; every other has its own."""
    return {name: ("test" if n == 0 else "test-2" if name == "test" else name) for n, name in enumerate(tests)}


COLUMNS = tuple(f.name for f in fields(Row) if f.name not in ("further", "earlier"))


def dense(rows: Iterable[Row]) -> Row | None:
    """Return the round that keeps every weight, or None (a transferred ticket has none)."""
    return next((row for row in rows if row.density == 1), None)


def wins(row: Row, rows: Iterable[Row]) -> bool:
    """Return whether `row` is a winning ticket: pruned, and on dev no worse than the dense round among `rows`."""
    reference = dense(rows)
    return reference is not None and row.density < 1 and row.dev_wer <= reference.dev_wer


def winning(rows: Sequence[Row]) -> tuple[Row | None, Row | None]:
    """Return (extreme, best): the sparsest ticket that wins, and the ticket with the lowest dev WER.

    Only dev decides; test is never looked at. Equal dev WERs go to the sparser ticket. The dense round is no
    ticket. `best` need not win. None where there is no such ticket; a ticket whose dev WER is NaN is none.
    """
    tickets = [row for row in rows if row.density < 1 and row.dev_wer == row.dev_wer]
    extreme = min((r for r in tickets if wins(r, rows)), key=lambda r: (r.density, r.dev_wer), default=None)
    best = min(tickets, key=lambda r: (r.dev_wer, r.density), default=None)
    return extreme, best


def note(row: Row, rows: Sequence[Row]) -> str:
    """Return what a round is: 'dense', 'extreme', 'best', 'extreme, best' or nothing."""
    if row.density == 1:
        return "dense"
    return ", ".join(name for name, chosen in zip(("extreme", "best"), winning(rows), strict=True) if row is chosen)


def write_csv(path: str | Path, rows: Sequence[Row]) -> None:
    """Write `rounds.csv` atomically: one line a round in round order, floats in full."""
    rows = sorted(rows, key=lambda row: row.round)
    sets = list(dict.fromkeys(name for row in rows for name in row.further))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"{s}_{rate}" for s in sets for rate in ("wer", "cer")), "winning", "note"])
    for row in rows:
        values = [getattr(row, name) for name in COLUMNS]
        values += [rate for name in sets for rate in row.further.get(name, (None, None))]
        writer.writerow(map(_cell, [*values, wins(row, rows), note(row, rows)]))
    write_text(Path(path), text.getvalue())


def read_csv(path: str | Path) -> list[Row]:
    """Return the rows of a `rounds.csv`. `winning` and `note` are not read: they follow from the rest.

    Raises:
        UserError: no such file, a missing column, or a value that is not a number.
    """
    missing, damaged = "no round of the experiment has finished yet", "run the experiment again to rewrite it"
    return read_records(path, COLUMNS, _row, missing=missing, damaged=damaged)


def summary_table(rows: Sequence[Row]) -> Table:
    """Return the table a run ends with, at most 80 columns wide for one test set; error rates in percent."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    table.caption = "Rates in %. Dev alone decides extreme and best; test is only reported."
    table.caption_justify = "left"
    sets = list(dict.fromkeys(name for row in rows for name in row.further))
    for name in ("round", "weights\n%", "dev\nWER", "dev\nCER", "test\nWER", "test\nCER"):
        table.add_column(name, justify="right")
    for name in sets:
        table.add_column(f"{name}\nWER", justify="right")
    table.add_column("time\ns", justify="right")
    table.add_column("audio\ns/s", justify="right")
    table.add_column("how")
    table.add_column("")
    for row in sorted(rows, key=lambda row: row.round):
        mark = note(row, rows)
        table.add_row(
            str(row.round),
            density_text(row.density),
            *map(rate_text, (row.dev_wer, row.dev_cer, row.test_wer, row.test_cer)),
            *(rate_text(row.further.get(name, (None,))[0]) for name in sets),
            "" if row.seconds is None else f"{row.seconds:.0f}",
            "" if row.audio_seconds_per_second is None else f"{row.audio_seconds_per_second:.1f}",
            "reused" if row.reused else "trained",
            mark,
            style={"": None, "dense": "dim"}.get(mark, "bold"),
        )
    return table


def density_text(density: float) -> str:
    """Return a density in percent with three digits: '100', '32.8', '4.40', '0.86'."""
    percent = 100 * density
    if percent == 100:
        return "100"
    return f"{percent:.1f}" if percent >= 10 else f"{percent:.2f}"


def rate_text(rate: float | None) -> str:
    """Return an error rate in percent: '5.43', '100.0', '' where there is none."""
    if rate is None:
        return ""
    return f"{100 * rate:.1f}" if rate >= 1 else f"{100 * rate:.2f}"


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value


def _row(record: Mapping[str, str]) -> Row:
    if None in record or None in record.values():
        raise ValueError(f"the line of round {record['round']} has too few or too many values")
    values: dict[str, Any] = {}
    for name in COLUMNS:
        text = record[name]
        if name == "key":
            values[name] = text
        elif name == "reused":
            values[name] = text == "true"
        elif text == "":
            values[name] = None
        else:
            values[name] = int(text) if name in ("round", "epochs") else float(text)
    sets = [c.removesuffix("_wer") for c in record if c and c.endswith("_wer") and c not in COLUMNS]
    further = {s: (float(record[f"{s}_wer"]), float(record[f"{s}_cer"])) for s in sets if record[f"{s}_wer"]}
    return Row(**values, further=further)
