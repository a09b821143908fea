"""Charts and heat maps as plotly figures: plain dictionaries, so nothing heavy is imported.

A colour is written `var(--series-0)`, or with an opacity `var(--series-0)/0.13`, and looked up in the page's style
sheet by page.js. Plotly reads some markup and mathematics in its texts, so every text is escaped.
"""

import html
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from matplotlib.colors import to_hex

from lth.analysis.document import Axis, Chart, Heat, Interval, Series
from lth.analysis.look import SERIES, ink_on
from lth.analysis.show.draw import categories, lies, look, opacity
from lth.analysis.show.heat import crowded, heat_texts, limits
from lth.analysis.show.words import heading, point_text, scaled

SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "v": "triangle-down",
    "D": "diamond",
    "P": "cross",
    "X": "x",
}


def interactive(part: Chart | Heat) -> dict[str, Any]:
    """`data` and `layout` for plotly; `height` and `least` (narrowest width) in pixels; the `labels` of the legend.
    A `still` one has no zoom, `right` is its margin.

    An axis whose `log` is set has its ticks chosen by page.js.
    """
    if isinstance(part, Heat):
        return _heat(part)
    figure = _bars(part) if part.kind == "bars" else _xy(part)
    labels = [series.label for series in part.series]
    figure["labels"] = labels if len(labels) > 1 or part.kind == "xy" else []
    figure["layout"] |= {"showlegend": bool(figure["labels"])}
    return figure


def _xy(chart: Chart) -> dict[str, Any]:
    data, n = [], 0
    alpha = opacity(chart)
    for group, series in enumerate(chart.series):
        if series.style == "dashed":
            line = {"color": "var(--muted)", "width": 1.5, "dash": "dash"}
            data.append(_points(chart, series, group) | {"mode": "lines", "line": line})
            continue
        _, marker, broken = look(n)
        colour = f"var(--series-{n % len(SERIES)})"
        mark = {"symbol": SYMBOLS[marker], "size": 8, "color": colour, "line": {"color": "var(--paper)", "width": 1}}
        trace = _points(chart, series, group) | {"mode": "markers", "marker": mark}
        if series.style == "line":
            line = {"color": colour, "width": 2, "dash": "dashdot" if broken else "solid"}
            trace |= {"mode": "lines+markers", "line": line}
        if series.low and series.high and (series.style == "points" or len(series.x) == 1):
            trace["error_y"] = _ends(chart, series) | {"color": f"{colour}/0.6"}
        elif series.low and series.high and alpha:
            data.append(_band(chart, series, group, f"{colour}/{alpha:.3f}"))
        data.append(trace)
        n += 1
    layout = {"xaxis": _axis(chart.x), "yaxis": _axis(chart.y), "hovermode": "closest"}
    return {"data": data, "layout": layout, "height": 400, "least": 0}


def _points(chart: Chart, series: Series, group: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": _numbers([scaled(x, chart.x.kind) for x in series.x]),
        "y": _numbers([scaled(y, chart.y.kind) for y in series.y]),
        "name": _text(series.label),
        "legendgroup": f"s{group}",
        "hoverinfo": "text",
        "hovertext": _hover(chart, series),
    }


def _hover(chart: Chart, series: Series) -> list[str]:
    low, high, extra = (_full(given, len(series.x)) for given in (series.low, series.high, series.text))
    kinds, labels = (chart.x.kind, chart.y.kind), (chart.x.label, chart.y.label)
    said = [
        point_text(x, Interval(y, a, b), kinds, labels, note or "")
        for x, y, a, b, note in zip(series.x, series.y, low, high, extra, strict=True)
    ]
    return [f"<b>{_text(series.label)}</b><br>{_text(text)}" for text in said]


def _band(chart: Chart, series: Series, group: int, colour: str) -> dict[str, Any]:
    """The polygon between low and high, in pieces where an end is not known."""
    ends = [[scaled(v, chart.y.kind) for v in side] for side in (series.low, series.high)]
    corners = zip([scaled(x, chart.x.kind) for x in series.x], *ends, strict=True)
    x, y = [], []
    for known, piece in groupby(corners, lambda corner: not any(map(math.isnan, corner))):
        if known:
            xs, lows, highs = map(list, zip(*piece, strict=True))
            x += [*xs, *xs[::-1], xs[0], None]
            y += [*lows, *highs[::-1], lows[0], None]
    shape = {"type": "scatter", "mode": "lines", "x": x, "y": y, "fill": "toself", "fillcolor": colour}
    return shape | {
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": f"s{group}",
    }


def _bars(chart: Chart) -> dict[str, Any]:
    across, names = lies(chart), categories(chart)
    words, numbers = ("y", "x") if across else ("x", "y")
    data = []
    for group, series in enumerate(chart.series):
        bar = {
            "type": "bar",
            "orientation": "h" if across else "v",
            words: [_text(str(x)) for x in series.x],
            numbers: _numbers([scaled(y, chart.y.kind) for y in series.y]),
            "name": _text(series.label),
            "marker": {"color": f"var(--series-{group % len(SERIES)})"},
            "hoverinfo": "text",
            "hovertext": _hover(chart, series),
            "textposition": "none",
        }
        if series.low and series.high:
            bar[f"error_{numbers}"] = _ends(chart, series) | {"color": "var(--ink)/0.7"}
        data.append(bar)
    order = {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": [_text(name) for name in names],
        "showgrid": False,
    }
    axis = _axis(chart.x) | order | {"autorange": "reversed" if across else True}
    layout = {f"{words}axis": axis, f"{numbers}axis": _axis(chart.y), "hovermode": "closest", "bargap": 0.25}
    height = 120 + len(names) * max(24, 14 * len(chart.series)) if across else 360
    return {"data": data, "layout": layout, "height": height, "least": 0}


def _ends(chart: Chart, series: Series) -> dict[str, Any]:
    value, low, high = ([scaled(v, chart.y.kind) for v in given] for given in (series.y, series.low, series.high))
    up = [b - v for v, b in zip(value, high, strict=True)]
    down = [v - a for v, a in zip(value, low, strict=True)]
    spread = {"array": _numbers(up), "arrayminus": _numbers(down)}
    return {"type": "data", "symmetric": False, "thickness": 1.2, "width": 0} | spread


def _axis(axis: Axis) -> dict[str, Any]:
    plain = {"title": _title(heading(axis.label, axis.kind)), "automargin": True, "zeroline": False}
    if axis.log:
        plain |= {"type": "log"}
    elif axis.kind == "count":
        plain |= {"tickformat": ",d"}
    return plain | {"autorange": "reversed" if axis.reverse else True}


def _heat(heat: Heat) -> dict[str, Any]:
    colours, norm = limits(heat)
    shades = [(n / 16, to_hex(colours(n / 16))) for n in range(17)]
    texts = heat_texts(heat.values, heat.kind)
    hover = [
        [
            "<br>".join([f"<b>{_text(row)}</b>", _text(f"{heat.x_label} {column}".strip()), texts[r][c] or "not known"])
            for c, column in enumerate(heat.columns)
        ]
        for r, row in enumerate(heat.rows)
    ]
    gap = 0 if crowded(heat) else 2
    trace = {
        "type": "heatmap",
        "z": [_numbers([scaled(v, heat.kind) for v in row]) for row in heat.values],
        "colorscale": shades,
        "zmin": scaled(norm.vmin, heat.kind),
        "zmax": scaled(norm.vmax, heat.kind),
        "showscale": crowded(heat),
        "xgap": gap,
        "ygap": gap,
        "hoverinfo": "text",
        "hovertext": hover,
        "hoverongaps": False,
    }
    notes = [
        {"x": c, "y": r, "text": text, "showarrow": False, "font": {"size": 11, "color": _ink(heat, r, c)}}
        for r, row in enumerate(texts)
        for c, text in enumerate(row)
        if text and not crowded(heat)
    ]
    longest = [max((len(name) for name in names), default=0) for names in (heat.rows, heat.columns)]
    wide = 16 + 7 * max((len(text) for row in texts for text in row), default=0)
    cell, tall, size = (14, 14, 10) if crowded(heat) else (max(wide, 30), 26, 12)
    steep = 7 * longest[1] > max(cell, 46)
    angle = {"side": "top", "tickangle": (-90 if crowded(heat) else -45) if steep else 0}
    axes = {
        "xaxis": _names(heat.columns, heat.x_label, size) | angle,
        "yaxis": _names(heat.rows, heat.y_label, size) | {"autorange": "reversed"},
    }
    right = 12 + (5 * len(heat.columns[-1]) if steep else 0)
    least = 28 + right + 7 * longest[0] + cell * len(heat.columns)
    extent = {
        "height": 60 + tall * len(heat.rows) + (6 * longest[1] if steep else 0) + (24 if heat.x_label else 0),
        "least": least,
        "widest": least + 34 * len(heat.columns),
        "right": right,
    }
    layout = {**axes, "annotations": notes, "showlegend": False}
    return {"data": [trace], "layout": layout, "labels": [], "still": not crowded(heat), **extent}


def _ink(heat: Heat, r: int, c: int) -> str:
    colours, norm = limits(heat)
    return ink_on(colours(norm(heat.values[r][c])))


def _names(names: Sequence[str], label: str, size: int) -> dict[str, Any]:
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": [_text(name) for name in names]}
    plain = {"automargin": True, "showgrid": False, "zeroline": False, "showline": False, "ticks": ""}
    return ticks | plain | {"title": _title(label), "tickfont": {"size": size}, "ticklabeloverflow": "allow"}


def _title(text: str) -> dict[str, Any]:
    return {"text": _text(text), "font": {"size": 13}, "standoff": 8}


def _full(given: Sequence, length: int) -> Sequence:
    return given or [None] * length


def _numbers(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _text(text: str) -> str:
    return html.escape(text, quote=False).replace("$", "&#36;").replace("\n", "<br>")
