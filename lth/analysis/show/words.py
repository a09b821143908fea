"""Cells and axes in words: the same rounding, units and interval wherever a section is shown."""

import math
from collections.abc import Iterable, Sequence

from lth.analysis.document import Cell, Hypothesis, Interval, Kind

MINUS, UNKNOWN = "\N{MINUS SIGN}", "\N{EN DASH}"
UNITS = {"percent": "%", "points": "points", "hours": "h"}
#: By how much a shown number is larger than what a section holds.
SCALE = {"percent": 100.0, "points": 100.0}


def value_of(cell: Cell) -> str | int | float | None:
    """Return what a cell is sorted by."""
    if isinstance(cell, Hypothesis):
        return str(cell)
    return cell.value if isinstance(cell, Interval) else cell


def scaled(value: float | None, kind: Kind) -> float:
    """Return the number as it is shown: percents for rates; NaN where it is not known."""
    return math.nan if value is None else SCALE.get(kind, 1.0) * value


def heading(name: str, kind: Kind, joint: str = ", ") -> str:
    """Return a column's or an axis's name with its unit: 'test WER, %'."""
    unit = UNITS.get(kind)
    return name if not unit or unit in name.split() else f"{name}{joint}{unit}" if name else unit


def places(values: Iterable[Cell], kind: Kind) -> int:
    """Decimals for a column of such values: one, or two where one would leave less than two digits to tell by."""
    sizes = [abs(scaled(v, kind)) for v in map(value_of, values) if isinstance(v, int | float) and v]
    sizes = [size for size in sizes if math.isfinite(size)]
    if kind == "points":
        return 2 if max(sizes, default=10.0) < 1 else 1
    return 2 if min(sizes, default=10.0) < (3 if kind == "percent" else 1) else 1


def number_text(value: float | None, kind: Kind, decimals: int) -> str:
    """Format a number: '16.8', '+1.2', '1,234', '0.00031'; a dash where it is not known."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        text = f"{value:+}" if kind == "points" else f"{value}"
    elif kind == "count" or (kind == "number" and float(value).is_integer() and abs(value) < 1e15):
        text = f"{value:,.0f}"
    elif kind in ("number", "text"):
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    else:
        text = f"{scaled(value, kind):{'+' if kind == 'points' else ''}.{decimals}f}"
    return text.replace("-", MINUS)


def cell_text(cell: Cell, kind: Kind, decimals: int) -> tuple[str, str]:
    """Return what a cell says, and its interval ('7.3–10.6', '−2.5 to +0.1') or ''."""
    if isinstance(cell, str | Hypothesis):
        return str(cell), ""
    if not isinstance(cell, Interval):
        return number_text(cell, kind, decimals), ""
    value = number_text(cell.value, kind, decimals)
    if cell.low is None or cell.high is None:
        return value, ""
    low, high = (number_text(end, kind, decimals) for end in cell[1:])
    return value, f"{low} to {high}" if MINUS in low + high or "+" in low + high else f"{low}\N{EN DASH}{high}"


def column_texts(cells: Sequence[Cell], kind: Kind) -> list[tuple[str, str]]:
    """Return the texts of one column, all with the same decimals."""
    decimals = places(cells, kind)
    return [cell_text(cell, kind, decimals) for cell in cells]


def quantity(cell: Cell, kind: Kind) -> str:
    """Return a value with its unit and interval: '8.9 % (7.3–10.6)'."""
    value, interval = cell_text(cell, kind, places([cell], kind))
    unit = f" {UNITS[kind]}" if kind in UNITS and value != UNKNOWN else ""
    return value + unit + (f" ({interval})" if interval else "")


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names told apart where several are the same, by what cannot be seen."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, -1) + 1
        found.append(name + "\N{ZERO WIDTH SPACE}" * seen[name])
    return found
