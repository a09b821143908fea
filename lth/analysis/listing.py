"""Experiments and their rounds as plain tables, for a notebook: `lth.experiments` and `lth.rounds`."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from lth.analysis.describe import words
from lth.analysis.experiments import Experiment, Round, gather
from lth.store.rows import note

#: The scores of a further test set, by their places in `Row.further`.
RATES = ((0, "wer"), (1, "cer"))


class Table(list[dict[str, Any]]):
    """A list of rows, each a dictionary with the same keys, that shows itself as a table.

    ``pandas.DataFrame(table)`` makes a data frame of it.
    """

    def columns(self) -> dict[str, list[str]]:
        """Return the heading of each column and its cells, as texts."""
        return {name: [_text(row[name]) for row in self] for name in (self[0] if self else ())}

    def __repr__(self) -> str:
        columns = self.columns()
        widths = {name: max(map(len, (name, *cells))) for name, cells in columns.items()}
        lines = [columns.keys(), *zip(*columns.values(), strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths.values())).rstrip() for line in lines)

    def _repr_html_(self) -> str:
        columns = self.columns()
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        lines = ("".join(f"<td>{escape(cell)}</td>" for cell in line) for line in zip(*columns.values(), strict=True))
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def experiments(outputs: str | Path = "outputs", names: Sequence[str] | None = None) -> Table:
    """Return a row for every experiment: what it is, and its dense, extreme and best round.

    Densities and word error rates are fractions; what is not known is None.

    Args:
        outputs: the folder with the experiments.
        names: the experiments to take, with ``*`` for anything; None takes all.

    Raises:
        UserError: there is no such experiment.
    """
    return Table(_experiment(one) for one in _gathered(outputs, names))


def rounds(outputs: str | Path = "outputs", names: Sequence[str] | None = None) -> Table:
    """Return a row for every finished round of every experiment, with what its `rounds.csv` says.

    ``note`` says which round is dense, extreme or best. For the arguments see `experiments`.

    Raises:
        UserError: there is no such experiment.
    """
    found = _gathered(outputs, names)
    sets = dict.fromkeys(name for one in found for row in one.rows for name in row.further)
    table = Table()
    for one in found:
        for row in one.rows:
            values = asdict(row)
            further = values.pop("further")
            scores = {f"{name}_{rate}": further.get(name, (None, None))[n] for name in sets for n, rate in RATES}
            table.append({"experiment": one.name, **values, **scores, "note": note(row, one.rows)})
    return table


def _gathered(outputs: str | Path, names: Sequence[str] | None) -> Sequence[Experiment]:
    found, remarks = gather(Path(outputs), names)
    for remark in remarks:
        warnings.warn(remark, stacklevel=3)
    return found


def _experiment(one: Experiment) -> dict[str, Any]:
    known = words(one.config)
    return {
        "name": one.name,
        **{name: known.get(name) for name in ("corpus", "model", "strategy")},
        "seed": one.seed,
        "rounds": len(one.rounds),
        "finished": one.finished,
        "dense_dev_wer": one.dense and one.dense.row.dev_wer,
        **_ticket("extreme", one.extreme),
        **_ticket("best", one.best),
    }


def _ticket(name: str, found: Round | None) -> dict[str, float | None]:
    return {f"{name}_{what}": found and getattr(found.row, what) for what in ("density", "dev_wer", "test_wer")}


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
