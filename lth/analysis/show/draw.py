"""Charts and heat maps drawn with matplotlib, for print and for pages without scripts."""

import math
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullFormatter, NullLocator

from lth.analysis.document import Axis, Chart, Heat, Series
from lth.analysis.look import BOLD, GRID, INK, MUTED, PAPER, SERIES, blank, headline, plain
from lth.analysis.show.heat import heat_map
from lth.analysis.show.words import heading, scaled

#: Steps within a decade, from the finest to the coarsest.
STEPS = ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))

#: On paper a legend names so many series at most, and bands of more series than this hide each other.
NAMED, BANDS = 30, 12


def draw(part: Chart | Heat, width: float = 7.0, title: bool = False) -> Figure:
    """A chart or heat map `width` inches wide; a heat map grows to the right when its columns do not fit."""
    said = textwrap.fill(part.title, int(12 * width)) if title else ""
    if isinstance(part, Heat):
        return plain(heat_map(part, width, said))
    return plain(_bars(part, width, said) if part.kind == "bars" else _xy_chart(part, width, said))


def lies(chart: Chart) -> bool:
    """Whether the bars of a chart lie: their names are too long or too many to stand in a row."""
    names = categories(chart)
    return len(names) > 10 or max((len(name) for name in names), default=0) > 8


def categories(chart: Chart) -> list[str]:
    """The names under a bar chart, in the order they first appear."""
    return list(dict.fromkeys(str(x) for series in chart.series for x in series.x))


def log_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round numbers from `low` to `high`, as fine as `most` of them allow."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in STEPS:
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(ticks) <= most:
            break
    return ticks


def opacity(chart: Chart) -> float:
    """Of the bands of a chart: fainter where there are many, none where there are too many."""
    bands = sum(1 for series in chart.series if series.low)
    return 0.0 if bands > BANDS else min(0.13, 0.4 / max(1, bands))


def look(n: int) -> tuple[str, str, bool]:
    """Colour and marker of series n, and whether its line is broken: colours come again, told apart by these."""
    again = n // len(SERIES)
    return SERIES[n % len(SERIES)][0], SERIES[(n + again) % len(SERIES)][1], again % 2 == 1


def _xy_chart(chart: Chart, width: float, title: str) -> Figure:
    figure, axes = blank(width, max(3.3, 0.52 * width))
    axes.grid(axis="y", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    handles, n = [], 0
    for series in chart.series:
        if series.style == "dashed":
            handles += axes.plot(*_xy(chart, series), color=MUTED, lw=1.1, ls=(0, (5, 3)), label=series.label)
        else:
            handles.append(_series(axes, chart, series, look(n), opacity(chart)))
            n += 1
    for axis, side, most in ((chart.x, axes.xaxis, int(1.15 * width)), (chart.y, axes.yaxis, 8)):
        _scale(axes, axis, side, most)
    _legend(figure, handles, width, title)
    return figure


def _xy(chart: Chart, series: Series) -> tuple[list[float], list[float]]:
    return [scaled(x, chart.x.kind) for x in series.x], [scaled(y, chart.y.kind) for y in series.y]


def _series(axes: Axes, chart: Chart, series: Series, how: tuple[str, str, bool], alpha: float) -> Line2D:
    x, y = _xy(chart, series)
    colour, marker, broken = how
    low, high = ([scaled(v, chart.y.kind) for v in ends] for ends in (series.low, series.high))
    if low and high and (series.style == "points" or len(x) == 1):
        axes.vlines(x, low, high, color=colour, lw=1.0, alpha=0.6)
    elif low and high and alpha:
        axes.fill_between(x, low, high, color=colour, alpha=alpha, lw=0)
    line = {"lw": 1.6, "ls": "-." if broken else "-"} if series.style == "line" else {"lw": 0}
    thin = marker in "PX"
    mark = {"marker": marker, "ms": 6.5 if thin else 5, "mec": PAPER, "mew": 0.4 if thin else 0.7}
    return axes.plot(x, y, color=colour, zorder=3, label=series.label, **line, **mark)[0]


def _scale(axes: Axes, axis: Axis, side, most: int) -> None:
    which = side.axis_name
    getattr(axes, f"set_{which}label")(heading(axis.label, axis.kind))
    if axis.log and getattr(axes.dataLim, f"interval{which}")[1] > 0:
        getattr(axes, f"set_{which}scale")("log", nonpositive="mask")
        low, high = sorted(side.get_view_interval())
        ticks = log_ticks(low, high, most)
        side.set_major_locator(FixedLocator(ticks))
        side.set_major_formatter(FixedFormatter([f"{tick:.6g}" for tick in ticks]))
        side.set_minor_locator(NullLocator())
        side.set_minor_formatter(NullFormatter())
        side.set_view_interval(low, high, ignore=True)
    else:
        side.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 5, 10], integer=axis.kind == "count"))
    if axis.reverse:
        side.set_inverted(True)


def _bars(chart: Chart, width: float, title: str) -> Figure:
    names, across = categories(chart), lies(chart)
    thick = 0.8 / max(1, len(chart.series))
    length = 0.9 + len(names) * max(0.22, 0.13 * len(chart.series))
    figure, axes = blank(width, length if across else max(3.0, 0.45 * width))
    axes.grid(axis="x" if across else "y", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    handles = []
    for n, series in enumerate(chart.series):
        values = [scaled(y, chart.y.kind) for y in series.y]
        place = [names.index(str(x)) - 0.4 + thick * (n + 0.5) for x in series.x]
        bar = axes.barh if across else axes.bar
        handles.append(bar(place, values, thick * 0.92, color=look(n)[0], label=series.label))
        if series.low and series.high:
            ends = [[scaled(v, chart.y.kind) for v in side] for side in (series.low, series.high)]
            (axes.hlines if across else axes.vlines)(place, *ends, color=INK, lw=0.9)
    words, number = (axes.yaxis, axes.xaxis) if across else (axes.xaxis, axes.yaxis)
    words.set_ticks(range(len(names)), names)
    words.set_tick_params(length=0)
    (axes.set_ylim if across else axes.set_xlim)((len(names) - 0.45, -0.55) if across else (-0.55, len(names) - 0.45))
    _scale(axes, chart.y, number, 7)
    words.set_label_text(heading(chart.x.label, chart.x.kind))
    _legend(figure, handles if len(handles) > 1 else [], width, title)
    return figure


def _legend(figure: Figure, handles: Sequence, width: float, title: str) -> None:
    """Title and legend above the axes, which keep their height."""
    if not handles:
        return headline(figure, title)
    if len(handles) > NAMED:
        more = Line2D([], [], ls="none", label=f"and {len(handles) - NAMED + 1} more")
        handles = [*handles[: NAMED - 1], more]
    longest = max(len(handle.get_label()) for handle in handles)
    columns = max(1, min(len(handles), int(width * 11 / (longest + 6))))
    lines = -(-len(handles) // columns) + 1.3 * bool(title) + title.count("\n")
    figure.set_figheight(figure.get_figheight() + 0.19 * (lines - 1))
    place = {"loc": "outside upper left", "ncols": columns, "alignment": "left"}
    said = {"title": title, "title_fontproperties": BOLD} if title else {}
    figure.legend(handles=handles, frameon=False, fontsize=9, labelcolor=INK, **place, **said)
