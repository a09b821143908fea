"""One self-contained HTML page of sections: it opens offline, on a phone and on paper.

Every chart stands there as SVG. In a live page with scripts the same Vega-Lite specification comes alive (values on
hover, a legend to click on, zoom): the page carries the library once, packed by gzip and unpacked by the browser,
0.4 MB instead of 0.9.

The page may load nothing and run nothing but its own two scripts, named by their hashes (Content-Security-Policy);
Vega's expressions are interpreted, not evaluated.
"""

import base64
import gzip
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from lth.analysis.document import Chart, Heat, Hypothesis, Section, Table
from lth.analysis.show.chart import specification
from lth.analysis.show.heat import crowded
from lth.analysis.show.picture import inline, themed
from lth.analysis.show.values import values
from lth.analysis.show.words import Cell, column_texts, heading, value_of
from lth.files import write_text

HERE = Path(__file__).parent


def write_page(
    sections: Sequence[Section],
    path: str | Path,
    *,
    title: str,
    lead: str,
    facts: Mapping[str, object],
    refresh: float | None = None,
    live: bool = True,
) -> Path:
    """Write the page atomically; returns its path.

    Args:
        lead: the answer, in a sentence or two; a section that says the same does not repeat it.
        facts: what was compared, said in a line below it.
        refresh: the page loads itself anew every so many seconds.
        live: with scripts: charts that show their values, tables that sort. Without, it is small and quickly made.
    """
    parts, figures = [], []
    for number, section in enumerate(sections):
        charts = [_chart(chart, f"chart-{number}-{n}") for n, chart in enumerate(section.charts)]
        for chart, part in zip(charts, section.charts, strict=True) if live else ():
            chart["first"] = not figures
            figures.append({"id": chart["id"], "spec": specification(part, live=True), "labels": _labels(part)})
        anchor = f"{number + 1}-{_slug(section.key)}"
        tables = [_table(table) for table in section.tables]
        parts.append({"anchor": anchor, "section": section, "tables": tables, "charts": charts})
    script = (HERE / "page.js").read_text(encoding="utf-8") if live else ""
    library, packed = _library() if figures else ("", "")
    html = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            lead=lead,
            facts=facts,
            refresh=refresh and max(1, math.ceil(refresh)),
            parts=parts,
            live=live,
            script=Markup(script),
            library=packed,
            hashes=[_hash(text) for text in (script, library) if text],
            figures=Markup(themed(_json(figures))),
        )
    )
    write_text(Path(path), html)
    return Path(path)


def _chart(chart: Chart | Heat, id: str) -> dict[str, Any]:
    return {
        "id": id,
        "title": chart.title,
        "note": chart.note,
        "svg": inline(chart, id),
        "values": None if isinstance(chart, Heat) and crowded(chart) else _table(values(chart)),
    }


def _labels(chart: Chart | Heat) -> list[str]:
    return [] if isinstance(chart, Heat) else [series.label for series in chart.series]


def _table(table: Table) -> dict[str, Any]:
    columns = []
    for n, column in enumerate(table.columns):
        cells = [row[n] for row in table.rows]
        texts = zip(cells, column_texts(cells, column.kind), strict=True)
        columns.append([_cell(cell, said, ends) for cell, (said, ends) in texts])
    heads = [{"name": heading(c.name, c.kind), "numeric": c.kind != "text"} for c in table.columns]
    return {"title": table.title, "note": table.note, "heads": heads, "rows": list(zip(*columns, strict=True))}


def _cell(cell: Cell, said: str, interval: str) -> dict[str, Any]:
    words = cell.words if isinstance(cell, Hypothesis) else None
    return {"value": _sortable(cell), "text": said, "interval": interval, "words": words}


def _sortable(cell: Cell) -> str | int | float:
    value = value_of(cell)
    return "" if value is None or value != value else value


@cache
def _library() -> tuple[str, str]:
    """Return Vega-Lite's JavaScript, and the same packed."""
    import vl_convert

    text = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode()
    return text.decode(), base64.b64encode(gzip.compress(text, 9, mtime=0)).decode()


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _json(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "section"


@cache
def _environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["tied"] = lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")
    return environment
