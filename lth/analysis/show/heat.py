"""Heat maps as Vega-Lite specifications: a number in every cell, or a scale where there are too many."""

import math
from collections.abc import Sequence
from typing import Any

from lth.analysis.document import Heat, Kind
from lth.analysis.show.look import DIVERGING, HEAT, PAPER, ink_on, shade
from lth.analysis.show.words import UNITS, distinct, number_text, places, scaled

#: More cells than this are told by their colour alone.
MANY = 1500


def crowded(heat: Heat) -> bool:
    """Return whether a heat map has too many cells to write a number into each."""
    return len(heat.rows) * len(heat.columns) > MANY


def limits(heat: Heat) -> tuple[Sequence[str], float, float]:
    """Return the colours of a heat map, and the values at their ends."""
    known = [v for row in heat.values for v in row if v is not None and math.isfinite(v)]
    if heat.middle is None:
        low, high = min(known, default=0.0), max(known, default=1.0)
        return HEAT, low, high if high > low else low + 1
    far = max((abs(v - heat.middle) for v in known), default=0.0) or 1.0
    return DIVERGING, heat.middle - far, heat.middle + far


def heat_map(heat: Heat, width: int) -> dict[str, Any]:
    """Return the specification of a heat map, wider than `width` pixels where its columns need it."""
    crowd, texts = crowded(heat), heat_texts(heat.values, heat.kind)
    names, columns = distinct(heat.rows), distinct(heat.columns)
    colours, low, high = limits(heat)
    cells = []
    for r, row in enumerate(heat.values):
        for c, value in enumerate(row):
            if value is not None and math.isfinite(value):
                colour = shade(colours, (value - low) / (high - low))
                cell = {"row": names[r], "column": columns[c], "value": scaled(value, heat.kind), "colour": colour}
                cells.append(cell | {"ink": ink_on(colour), "text": texts[r][c]})
    longest = [max((len(name) for name in some), default=0) for some in (names, columns)]
    wide = 14 + 7 * max((len(text) for row in texts for text in row), default=0)
    left = 20 + 7 * longest[0]
    cell = 13 if crowd else max(wide, 34, min(70, (width - left) // max(1, len(columns))))
    steep = 7 * longest[1] > cell
    angle = (-90 if crowd else -45) if steep else 0
    told = {"orient": "top", "labelAngle": angle, "labelAlign": "left" if steep else "center"}
    if angle == -90:
        told["labelBaseline"] = "middle"
    x = _names("column", columns, heat.x_label, crowd) | {"axis": _plain(crowd) | told}
    y = _names("row", names, heat.y_label, crowd) | {"axis": _plain(crowd)}
    place = {"x": x, "y": y}
    if crowd:
        scale = {"domain": [scaled(low, heat.kind), scaled(high, heat.kind)], "range": list(colours)}
        legend = {"orient": "right", "title": UNITS.get(heat.kind), "gradientLength": 180}
        fill = {"field": "value", "type": "quantitative", "scale": scale, "legend": legend}
    else:
        fill = {"field": "colour", "type": "nominal", "scale": None}
    tip = [("row", "title"), ("column", heat.x_label or "column"), ("text", heat.title or "value")]
    tooltip = [{"field": field, "type": "nominal", "title": title} for field, title in tip]
    square = {"type": "rect"} if crowd else {"type": "rect", "stroke": PAPER, "strokeWidth": 2}
    layers = [{"mark": square, "encoding": place | {"fill": fill, "tooltip": tooltip}}]
    if not crowd:
        ink = {"field": "ink", "type": "nominal", "scale": None}
        text = {"field": "text", "type": "nominal"}
        number = {"type": "text", "fontSize": 11, "tooltip": None}
        layers.append({"mark": number, "encoding": place | {"text": text, "fill": ink}})
    extent = {"width": {"step": cell}, "height": {"step": 13 if crowd else 24}}
    return {"data": {"values": cells}, "layer": layers, **extent}


def heat_texts(values: Sequence[Sequence[float | None]], kind: Kind) -> list[list[str]]:
    """Return the number in each cell of a heat map, '' where it is not known; no unit."""
    decimals = places([v for row in values for v in row], kind)
    return [["" if v is None or math.isnan(v) else _short(v, kind, decimals) for v in row] for row in values]


def _names(field: str, names: Sequence[str], label: str, crowd: bool) -> dict[str, Any]:
    scale = {"domain": list(names), "paddingInner": 0, "paddingOuter": 0}
    return {"field": field, "type": "nominal", "scale": scale, "title": label or None}


def _plain(crowd: bool) -> dict[str, Any]:
    size = {"labelFontSize": 8} if crowd else {"labelFontSize": 11}
    return {"ticks": False, "domain": False, "labelPadding": 6, "labelOverlap": False, **size}


def _short(value: float, kind: Kind, decimals: int) -> str:
    if kind == "percent":
        if 0 < value < 0.0005:
            return "<0.1"
        return f"{100 * value:.0f}" if value >= 0.0995 else f"{100 * value:.1f}"
    return f"{value:.2f}" if kind == "number" and abs(value) < 100 else number_text(value, kind, decimals)
