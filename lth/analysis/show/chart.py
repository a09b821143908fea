"""Charts as Vega-Lite specifications: plain dictionaries, the same for print and for the page."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from lth.analysis.document import Axis, Chart, Heat, Series
from lth.analysis.show.heat import heat_map
from lth.analysis.show.look import CONFIG, INK, MUTED, PAPER, series_look
from lth.analysis.show.words import distinct, heading, quantity, scaled

Spec = dict[str, Any]

#: Pixels of a figure of its own, and of one in a page.
WIDTH, PAGE_WIDTH = 672, 730
#: Bands of more series than this hide each other; a legend names so many series at most.
BANDS, NAMED = 12, 30
#: Steps within a decade, from the finest to the coarsest.
STEPS = (tuple(range(1, 10)), (1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
SOLID, DASHED, BROKEN = [1, 0], [6, 4], [8, 3, 2, 3]
#: A click on a name in the legend leaves that series alone; dragging moves, the wheel with Ctrl zooms.
CHOOSE = {"name": "chosen", "select": {"type": "point", "fields": ["series"]}, "bind": "legend"}
ZOOM = {"name": "zoom", "select": {"type": "interval", "zoom": "wheel![event.ctrlKey]"}, "bind": "scales"}
CHOSEN = {"opacity": {"condition": {"param": "chosen", "value": 1}, "value": 0.08}}


def specification(part: Chart | Heat, width: int = WIDTH, *, title: bool = False, live: bool = False) -> Spec:
    """Return the Vega-Lite specification of a chart or a heat map.

    Args:
        width: in pixels; a heat map grows to the right where its columns need it.
        title: whether the picture says its title itself.
        live: for a page with scripts: as wide as its place there, with zoom and a legend to click on.
    """
    if isinstance(part, Heat):
        spec = heat_map(part, width)
    else:
        spec = (_bars if part.kind == "bars" else _lines)(part, width, live)
        spec |= {"width": "container" if live else width, "autosize": {"type": "fit-x", "contains": "padding"}}
    if title and part.title:
        spec["title"] = textwrap.wrap(part.title, max(20, width // 9))
    return {"background": None, "padding": 6, "config": CONFIG, **spec}


def categories(chart: Chart) -> list[str]:
    """Return the names under a bar chart, in the order they first appear."""
    return list(dict.fromkeys(str(x) for series in chart.series for x in series.x))


def is_horizontal(chart: Chart) -> bool:
    """Return whether bars go to the right: their names are too long or too many to stand in a row."""
    names = categories(chart)
    return len(names) > 10 or max((len(name) for name in names), default=0) > 8


def log_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Return round numbers from `low` to `high`, as fine as `most` of them allow."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in STEPS:
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [float(f"{tick:.6g}") for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(ticks) <= most:
            break
    return ticks


def spread_ticks(values: Sequence[float], width: float, least: float = 40) -> list[float]:
    """Return the values to label on a falling log axis of `width` pixels: at least `least` apart, both ends kept."""
    ordered = sorted(set(values), reverse=True)
    first, last = ordered[0], ordered[-1]
    if first == last or last <= 0:
        return [first]
    scale, shown = width / math.log(first / last), [first]
    for value in ordered[1:-1]:
        if math.log(shown[-1] / value) * scale >= least and math.log(value / last) * scale >= least:
            shown.append(value)
    return [*shown, last]


def opacity(chart: Chart) -> float:
    """Return the opacity of a chart's bands: fainter where there are many, 0 where there are too many."""
    bands = sum(1 for series in chart.series if series.low)
    return 0.0 if bands > BANDS else min(0.13, 0.4 / max(1, bands))


def legend_columns(labels: Sequence[str], width: int) -> int:
    """Return how many names of a legend stand in a row."""
    longest = max((len(label) for label in labels), default=0)
    return max(1, min(len(labels), width // (7 * longest + 45)))


def _lines(chart: Chart, width: int, live: bool) -> Spec:
    looks, points, bands, spans = {}, [], [], []
    labels = distinct([series.label for series in chart.series])
    for label, series in zip(labels, chart.series, strict=True):
        looks[label] = _look(series, looks)
        rows = list(_rows(chart, series, label, looks[label]))
        points += rows
        if series.style == "points" or len(rows) == 1:
            spans += [row for row in rows if "low" in row]
        elif opacity(chart):
            pieces = groupby(rows, lambda row: "low" in row)
            bands += [row | {"piece": n} for n, (known, piece) in enumerate(pieces) if known for row in piece]
    drawn = [row for row in points if row["style"] in ("line", "dashed")]
    marked = [row for row in points if row["style"] != "dashed"]
    x, y = _axis("x", chart, width), _axis("y", chart, width)
    place, ends = {"x": x, "y": y}, {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}}
    parts = {"detail": [{"field": "series"}, {"field": "piece"}]}
    dot = {"type": "point", "filled": True, "opacity": 1, "stroke": PAPER, "strokeWidth": 0.8}
    size = {"condition": {"test": "datum.style == 'mark'", "value": 130}, "value": 60}
    layers = [
        _layer(bands, {"type": "area", "fillOpacity": opacity(chart)}, ends | _own(fill="colour") | parts),
        _layer(spans, {"type": "rule", "strokeWidth": 1.3}, ends | _own(stroke="colour")),
        _layer(drawn, {"type": "line", "strokeWidth": 2}, place | _own(stroke="colour", strokeDash="dash") | parts),
        _layer(marked, dot, place | _own(fill="colour", shape="shape") | {"size": size} | _tooltip(chart)),
    ]
    layers = [layer for layer in layers if layer["data"]["values"]] or layers[-1:]
    if live:
        for layer in layers:
            layer["encoding"] |= CHOSEN
        layers[-1]["params"] = [ZOOM]
    return {"layer": [_names(looks, width, live), *layers], "height": min(330, round(0.45 * width))}


def _names(looks: Mapping[str, tuple], width: int, live: bool) -> Spec:
    """Return a layer that shows nothing but the legend: one layer alone must make it, or it cannot be clicked."""
    legend = {"columns": legend_columns(list(looks), width), "symbolLimit": NAMED, "symbolSize": 70, "title": None}
    encoding: Spec = {"x": {"value": 0}, "y": {"value": 0}, "size": {"value": 0}}
    for channel, n in (("fill", 0), ("stroke", 0), ("shape", 1), ("strokeDash", 2)):
        scale = {"domain": list(looks), "range": [look[n] for look in looks.values()]}
        encoding[channel] = {"field": "series", "type": "nominal", "scale": scale, "legend": legend if looks else None}
    layer = _layer([{"series": label} for label in looks], {"type": "point", "opacity": 1}, encoding)
    return layer | ({"params": [CHOOSE]} if live else {})


def _own(**fields: str) -> Spec:
    """Return encodings by what the rows say themselves."""
    return {channel: {"field": field, "type": "nominal", "scale": None} for channel, field in fields.items()}


def _layer(rows: Sequence[Mapping], mark: Mapping, encoding: Mapping) -> Spec:
    return {"data": {"values": list(rows)}, "mark": mark, "encoding": encoding}


def _look(series: Series, looks: Mapping[str, tuple]) -> tuple[str, str, list[int]]:
    """Return colour, shape and dash; what has a look of its own is not counted."""
    if series.style == "dashed":
        return (looks[series.like][0] if series.like in looks else MUTED), "stroke", DASHED
    if series.style == "mark":
        return INK, ("diamond", "triangle-up", "square")[sum(look[0] == INK for look in looks.values()) % 3], SOLID
    own = sum(look[0] != INK and look[1] != "stroke" for look in looks.values())
    colour, shape, broken = series_look(own)
    return colour, shape, BROKEN if broken else SOLID


def _rows(chart: Chart, series: Series, label: str, look: tuple[str, str, list[int]]) -> Iterator[dict[str, Any]]:
    """Yield the points of a series as Vega takes them; a value that an axis cannot show is null."""
    for x, y, text in series.points():
        row: Spec = dict(zip(("colour", "shape", "dash"), look, strict=True))
        row |= {"series": label, "style": series.style, "y": _shown(y.value, chart.y)}
        row["x"] = str(x) if isinstance(x, str) or chart.kind == "bars" else _shown(x, chart.x)
        low, high = _shown(y.low, chart.y), _shown(y.high, chart.y)
        row |= {"low": low, "high": high} if low is not None and high is not None else {}
        row["point"] = f"{series.label} · {text}" if text and text != series.label else series.label
        row |= {"at": quantity(x, chart.x.kind), "value": quantity(y, chart.y.kind)}
        yield row


def _shown(value: float | None, axis: Axis) -> float | None:
    number = scaled(value, axis.kind)
    return number if math.isfinite(number) and (number > 0 or not axis.log) else None


def _axis(which: str, chart: Chart, width: int) -> Spec:
    axis = getattr(chart, which)
    values = [scaled(value, axis.kind) for series in chart.series for value in getattr(series, which)]
    values = [value for value in values if math.isfinite(value) and (value > 0 or not axis.log)]
    told: Spec = {"grid": which == "y", "ticks": which == "x", "domain": which == "x"}
    if axis.kind == "count":
        told |= {"format": ",d", "tickMinStep": 1}
    scale: Spec = {"reverse": axis.reverse, "nice": which == "y" and not axis.log}
    if which == "x" or axis.log:
        scale["padding"] = 16 if which == "x" else 8
    if axis.log and values:
        scale["type"] = "log"
        ticks = [scaled(tick, axis.kind) for tick in axis.ticks]
        room = width // 65 if which == "x" else 8
        told["values"] = (
            spread_ticks(ticks, 0.85 * width) if ticks else log_ticks(min(values) / 1.1, 1.1 * max(values), room)
        )
        told |= {"labelOverlap": False, "format": ".3~g"}
    else:
        scale["zero"] = axis.zero
    title = heading(axis.label, axis.kind)
    return {"field": which, "type": "quantitative", "scale": scale, "axis": told, "title": title}


def _tooltip(chart: Chart) -> Spec:
    told = {"point": "title", "value": chart.y.label or "value", "at": chart.x.label or "at"}
    return {"tooltip": [{"field": field, "type": "nominal", "title": title} for field, title in told.items()]}


def _bars(chart: Chart, width: int, live: bool) -> Spec:
    names, labels = categories(chart), distinct([series.label for series in chart.series])
    looks = {label: (series_look(n)[0], "square", SOLID) for n, label in enumerate(labels)}
    rows = [
        row
        for label, series in zip(labels, chart.series, strict=True)
        for row in _rows(chart, series, label, looks[label])
    ]
    across = is_horizontal(chart)
    words, numbers = ("y", "x") if across else ("x", "y")
    told = {"labelAngle": 0, "ticks": False, "domain": False, "labelOverlap": False}
    title = heading(chart.x.label, chart.x.kind) or None
    name = {"field": "x", "type": "nominal", "sort": names, "title": title, "axis": told}
    value = _axis("y", chart, width)
    value |= {"scale": {"zero": True}, "axis": value["axis"] | {"grid": True, "domain": False}}
    places = {words: name, f"{words}Offset": {"field": "series", "type": "nominal", "sort": labels}}
    ends = {numbers: value | {"field": "low"}, f"{numbers}2": {"field": "high"}}
    spans = [row for row in rows if "low" in row]
    layers = [_layer(rows, {"type": "bar"}, places | {numbers: value} | _own(fill="colour") | _tooltip(chart))]
    layers += [_layer(spans, {"type": "rule", "stroke": INK}, places | ends)] if spans else []
    if len(labels) > 1:
        for layer in layers if live else ():
            layer["encoding"] |= CHOSEN
        layers.insert(0, _names(looks, width, live))
    height = 40 + len(names) * max(22, 14 * len(labels)) if across else round(0.4 * width)
    return {"layer": layers, "height": height}
