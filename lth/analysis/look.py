"""How every picture looks: colours, a bare figure, and the ways out of matplotlib. No global state, no window."""

import io
import re
from pathlib import Path

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.text import Text

INK = "#1b1f24"
MUTED = "#6e7681"
GRID = "#d8dee4"
PAPER = "#fffffe"
BOLD = {"weight": "bold", "size": 10.5}
#: Okabe and Ito's colours, told apart by every kind of colour vision, each with a shape; yellow, too pale for a line
#: on white, is left out.
SERIES = (
    ("#0072b2", "o"),
    ("#d55e00", "s"),
    ("#009e73", "^"),
    ("#cc79a7", "v"),
    ("#e69f00", "D"),
    ("#56b4e9", "P"),
    ("#4d4d4d", "X"),
)
HEAT = LinearSegmentedColormap.from_list("density", ["#f1f6fb", "#9ecae1", "#3182bd", "#08306b"])
DIVERGING = LinearSegmentedColormap.from_list("around", ["#0b5c8f", "#7fb9da", "#f7f7f7", "#f2a56b", "#b34a00"])

#: What the pages' style sheet recolours, so that figures follow the reader's light or dark preference.
VARIABLES = {INK: "currentColor", MUTED: "var(--muted)", GRID: "var(--rule)", PAPER: "var(--paper)"}
VARIABLES |= {colour: f"var(--series-{n})" for n, (colour, _) in enumerate(SERIES)}

_METADATA = ("Creator", "Date", "Format", "Type")


def blank(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of this size in inches, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor="none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=9)
    axes.xaxis.label.set(color=INK, size=9)
    axes.yaxis.label.set(color=INK, size=9)
    return figure, axes


def plain(figure: Figure) -> Figure:
    """Names come from users: a `$` in one is a dollar, not mathematics."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure


def headline(figure: Figure, text: str) -> None:
    """A title at the left of a figure without a legend; none where it is empty."""
    if text:
        figure.suptitle(text, x=0.01, ha="left", color=INK, **BOLD)


def ink_on(colour: tuple[float, ...]) -> str:
    """Black or white, whichever is read better on this red, green and blue (0 to 1)."""
    red, green, blue = colour[:3]
    return "#000000" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.55 else "#ffffff"


def to_svg(figure: Figure, prefix: str = "") -> str:
    """The figure as an SVG document whose text stays text; the same figure gives the same bytes.

    Every id starts with `prefix`, so that several figures can share one HTML page.
    """
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lth"}):
        figure.savefig(text, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", text.getvalue())


def to_png(figure: Figure, path: str | Path, dpi: int = 200) -> Path:
    """Write the figure as a PNG on white; returns the path."""
    figure.savefig(path, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return Path(path)


def inline(figure: Figure, prefix: str) -> Markup:
    """A figure as SVG to stand in a page: ids of its own, the page's font, colours from its style sheet."""
    svg = to_svg(figure, f"{prefix}-")
    svg = re.sub(r".*?(<svg )", r"\1", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    natural = f"{105 * figure.get_figwidth():.0f}px"
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', f' role="img" style="--natural: {natural}"', svg, count=1)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return Markup(svg)
