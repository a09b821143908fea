"""Sections as files: tables as CSV with plain numbers, charts as PNG and SVG."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from lth.analysis.document import Chart, Heat, Interval, Section, Table
from lth.analysis.show.picture import to_png, to_svg
from lth.analysis.show.words import value_of
from lth.files import replacing, write_text

Part = TypeVar("Part", Table, Chart | Heat)


def write_tables(sections: Sequence[Section], folder: Path) -> list[Path]:
    """Write every table as `NAME.csv`, and no other is left there; returns the files.

    Numbers are in full, rates and densities fractions. A column with intervals becomes three: NAME, NAME_low and
    NAME_high. What is not known is empty.

    Raises:
        ValueError: two tables have one name.
    """
    tables = [table for section in sections for table in section.tables]
    written = [write_text(path, _csv(table)) or path for path, table in _named(tables, folder, "csv")]
    return _only(written, folder, "csv")


def write_figures(sections: Sequence[Section], folder: Path, dpi: int = 200) -> list[Path]:
    """Write every chart as `NAME.png` and `NAME.svg`, and no other is left there; returns the files.

    The same charts give the same bytes.

    Raises:
        ValueError: two charts have one name.
    """
    charts = [chart for section in sections for chart in section.charts]
    written = []
    for path, chart in _named(charts, folder, "png"):
        svg = to_svg(chart, title=True)
        with replacing(path) as temporary:
            temporary.write_bytes(to_png(svg, dpi))
        write_text(path.with_suffix(".svg"), svg)
        written += [path, path.with_suffix(".svg")]
    return _only(written, folder, "png", "svg")


def _only(written: list[Path], folder: Path, *endings: str) -> list[Path]:
    """What an earlier analysis wrote and this one did not is gone: it would be taken for a result of this one."""
    for ending in endings:
        for path in set(Path(folder).glob(f"*.{ending}")) - set(written):
            path.unlink()
    return written


def file_name(name: str) -> str:
    """Return a name as a file's: letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "unnamed"


def _named(parts: Sequence[Part], folder: Path, ending: str) -> list[tuple[Path, Part]]:
    names = [file_name(part.name) for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two tables or charts are called {name!r}")
    return [(Path(folder) / f"{name}.{ending}", part) for name, part in zip(names, parts, strict=True)]


def _csv(table: Table) -> str:
    columns, names = list(zip(*table.rows, strict=True)) or [()] * len(table.columns), []
    plain: list[list[object]] = []
    for column, cells in zip(table.columns, columns, strict=True):
        if any(isinstance(cell, Interval) for cell in cells):
            names += [column.name, f"{column.name}_low", f"{column.name}_high"]
            spread = [cell if isinstance(cell, Interval) else Interval(cell) for cell in cells]
            plain += [list(ends) for ends in zip(*spread, strict=True)]
        else:
            names.append(column.name)
            plain.append(list(cells))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(["" if cell is None else value_of(cell) for cell in row] for row in zip(*plain, strict=True))
    return text.getvalue()
