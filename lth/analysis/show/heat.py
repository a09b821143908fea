"""Heat maps drawn with matplotlib, and what their interactive kin share with them."""

import math
from collections.abc import Sequence

from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from lth.analysis.document import Heat, Kind
from lth.analysis.look import DIVERGING, HEAT, INK, PAPER, blank, headline, ink_on
from lth.analysis.show.words import SCALE, UNITS, number_text, places

#: More cells than this are told by their colour alone.
MANY = 1500


def crowded(heat: Heat) -> bool:
    """Whether a heat map has too many cells to write a number into each."""
    return len(heat.rows) * len(heat.columns) > MANY


def limits(heat: Heat) -> tuple[Colormap, Normalize]:
    """Colours of a heat map, and the values at their ends."""
    known = [v for row in heat.values for v in row if v is not None and math.isfinite(v)]
    if heat.middle is None:
        low, high = min(known, default=0.0), max(known, default=1.0)
        return HEAT, Normalize(low, high if high > low else low + 1)
    far = max((abs(v - heat.middle) for v in known), default=0.0) or 1.0
    return DIVERGING, Normalize(heat.middle - far, heat.middle + far)


def heat_map(heat: Heat, width: float, title: str) -> Figure:
    """A heat map, wider than `width` inches where its columns need it; a crowded one has a scale, no numbers."""
    if crowded(heat):
        return _crowded(heat, width, title)
    texts = heat_texts(heat.values, heat.kind)
    left = 0.35 + 0.068 * max((len(name) for name in heat.rows), default=0)
    widest = 0.12 + 0.06 * max((len(text) for row in texts for text in row), default=0)
    cell = max(widest, 0.3, min(0.7, (width - left - 0.1) / max(1, len(heat.columns))))
    steep = max((len(name) for name in heat.columns), default=0) * 0.068 > cell
    top = 0.5 + (0.05 * max(len(name) for name in heat.columns) if steep else 0.0)
    wide = max(left + cell * len(heat.columns) + 0.1, min(width, 0.095 * len(title)))
    figure, axes = blank(wide, max(top + 0.22 * len(heat.rows), top + 0.08 * len(heat.y_label)))
    colours, norm = limits(heat)
    values = [[math.nan if v is None else v for v in row] for row in heat.values]
    axes.pcolormesh(values, cmap=colours, norm=norm, edgecolors=PAPER, linewidth=1.0)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if not math.isnan(value):
                colour = ink_on(colours(norm(value)))
                axes.text(x + 0.5, y + 0.5, texts[y][x], ha="center", va="center", fontsize=7, color=colour)
    axes.set_yticks([y + 0.5 for y in range(len(heat.rows))], heat.rows, fontsize=8)
    axes.set_xticks([x + 0.5 for x in range(len(heat.columns))], heat.columns, fontsize=8)
    axes.xaxis.tick_top()  # before its labels are turned: it makes others
    axes.xaxis.set_label_position("top")
    if steep:
        axes.tick_params("x", labelrotation=45)
        for label in axes.get_xticklabels():
            label.set(ha="left", rotation_mode="anchor")
    axes.invert_yaxis()
    axes.set_xlabel(heat.x_label)
    axes.set_ylabel(heat.y_label)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    headline(figure, title)
    return figure


def _crowded(heat: Heat, width: float, title: str) -> Figure:
    longest = max(len(name) for name in heat.rows), max(len(name) for name in heat.columns)
    left, top = 0.3 + 0.05 * longest[0], 0.4 + 0.05 * longest[1]
    cell = max(0.08, min(0.2, (width - left - 0.9) / len(heat.columns)))
    figure, axes = blank(left + cell * len(heat.columns) + 0.9, max(2.0, top + 0.08 * len(heat.rows)))
    colours, norm = limits(heat)
    values = [[math.nan if v is None else SCALE.get(heat.kind, 1.0) * v for v in row] for row in heat.values]
    norm = Normalize(*(SCALE.get(heat.kind, 1.0) * end for end in (norm.vmin, norm.vmax)))
    mesh = axes.pcolormesh(values, cmap=colours, norm=norm, rasterized=True)
    axes.set_yticks([y + 0.5 for y in range(len(heat.rows))], heat.rows, fontsize=5)
    axes.set_xticks([x + 0.5 for x in range(len(heat.columns))], heat.columns, fontsize=5, rotation=90)
    axes.invert_yaxis()
    axes.set(xlabel=heat.x_label, ylabel=heat.y_label)
    axes.tick_params(length=0)
    scale = figure.colorbar(mesh, ax=axes, fraction=0.05, label=UNITS.get(heat.kind, ""))
    scale.outline.set_visible(False)
    scale.ax.tick_params(labelsize=8, colors=INK)
    headline(figure, title)
    return figure


def heat_texts(values: Sequence[Sequence[float | None]], kind: Kind) -> list[list[str]]:
    """The number in each cell of a heat map, '' where it is not known; no unit."""
    decimals = places([v for row in values for v in row], kind)
    return [["" if v is None or math.isnan(v) else _short(v, kind, decimals) for v in row] for row in values]


def _short(value: float, kind: Kind, decimals: int) -> str:
    if kind == "percent":
        if 0 < value < 0.0005:
            return "<0.1"
        return f"{100 * value:.0f}" if value >= 0.0995 else f"{100 * value:.1f}"
    return f"{value:.2f}" if kind == "number" and abs(value) < 100 else number_text(value, kind, decimals)
