"""How every picture looks: colours, sizes and fonts, told once as a Vega-Lite config."""

from collections.abc import Sequence

INK = "#1b1f24"
MUTED = "#6e7681"
GRID = "#d8dee4"
PAPER = "#fffffe"
FONT = "DejaVu Sans, Liberation Sans, Arial, sans-serif"
#: Okabe and Ito's colours, told apart by every kind of colour vision, each with a shape; yellow, too pale for a line
#: on white, is left out.
SERIES = (
    ("#0072b2", "circle"),
    ("#d55e00", "square"),
    ("#009e73", "triangle-up"),
    ("#cc79a7", "triangle-down"),
    ("#e69f00", "diamond"),
    ("#56b4e9", "cross"),
    ("#4d4d4d", "triangle-right"),
)
HEAT = ("#f1f6fb", "#9ecae1", "#3182bd", "#08306b")
DIVERGING = ("#0b5c8f", "#7fb9da", "#f7f7f7", "#f2a56b", "#b34a00")

#: What the pages' style sheet recolours, so that pictures follow the reader's light or dark preference.
VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--rule)", PAPER: "var(--paper)"}
VARIABLES |= {colour: f"var(--series-{n})" for n, (colour, _) in enumerate(SERIES)}

_TEXT = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
CONFIG = {
    "aria": False,  # the page says what a chart shows, and has its values as a table
    "font": FONT,
    "view": {"stroke": None},
    "axis": _TEXT | {"domainColor": MUTED, "tickColor": MUTED, "gridColor": GRID, "labelLimit": 0, "maxExtent": 2000},
    "legend": _TEXT | {"orient": "top", "labelLimit": 0, "offset": 12, "symbolStrokeWidth": 2, "columnPadding": 18},
    "title": {"anchor": "start", "frame": "bounds", "color": INK, "fontSize": 14, "offset": 10},
}


def series_look(n: int) -> tuple[str, str, bool]:
    """Return colour and marker of series ``n``, and whether its line is broken: colours recur, told apart by these."""
    again = n // len(SERIES)
    return SERIES[n % len(SERIES)][0], SERIES[(n + again) % len(SERIES)][1], again % 2 == 1


def shade(colours: Sequence[str], share: float) -> str:
    """Return the colour at ``share`` (0 to 1) of the way along evenly spaced ones, as #rrggbb."""
    place = min(max(share, 0.0), 1.0) * (len(colours) - 1)
    left = min(int(place), len(colours) - 2)
    ends = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours[left : left + 2]]
    return "#" + "".join(f"{round(a + (place - left) * (b - a)):02x}" for a, b in zip(*ends, strict=True))


def ink_on(colour: str) -> str:
    """Return black or white, whichever is read better on #rrggbb."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return "#000000" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.55 else "#ffffff"
