"""Pictures of an experiment, drawn with matplotlib's objects: no global state, no window, no network."""

import itertools
import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

from lth.analysis.look import HEAT, INK, MUTED, PAPER, SERIES, blank, ink_on, plain
from lth.store.rows import Row, dense, density_text, winning

Intervals = Mapping[str, Mapping[int, tuple[float, float]]]


def wer_curve(rows: Sequence[Row], intervals: Intervals | None = None, width: float = 7.0) -> Figure:
    """WER in percent against remaining weights on a log axis, dense at the left.

    `rows` holds at least one round; `intervals` maps "dev", "test" or the name of a further test set to the
    (low, high) fractions of each round number, drawn as a band. `width` is in inches. A WER that would
    flatten the rest is named above an arrow at the upper edge.
    """
    rows = sorted(rows, key=lambda row: -row.density)
    intervals = intervals or {}
    figure, axes = blank(width, max(3.5, 0.54 * width))
    top, series = _ceiling(rows, intervals), _series(rows)
    for (name, wers), (colour, marker) in zip(series.items(), itertools.cycle(SERIES)):
        _line(axes, rows, wers, intervals.get(name, {}), colour, marker)
    _above(axes, rows, series, top)
    tickets = _tickets(axes, rows, top)
    shown, extent = _spread([row.density for row in rows], points=72 * width - 60)
    axes.set_xscale("log")
    axes.set_xlim(100 * extent[0], 100 * extent[1])
    axes.xaxis.set_major_locator(FixedLocator([100 * d for d in shown]))
    axes.xaxis.set_major_formatter(FixedFormatter([density_text(d) for d in shown]))
    axes.xaxis.set_minor_locator(FixedLocator([100 * row.density for row in rows]))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(0, top)
    axes.set_xlabel("weights remaining, %")
    axes.set_ylabel("word error rate, %")
    _legend(
        figure,
        series,
        tickets,
        dense(rows) is not None,
        any(intervals.values()),
        columns=4 if width > 5 else 2,
    )
    return plain(figure)


def layer_densities(densities: Mapping[int, Mapping[str, float]], width: float = 7.0) -> Figure:
    """Heat map of density in percent: one line a parameter in the model's order, one column a round.

    `densities` maps a round's number to its parameters' densities as fractions. Darker is denser. The figure
    grows to the right when the rounds do not fit `width` (inches).
    """
    rounds = sorted(densities)
    names = list(dict.fromkeys(name for number in rounds for name in densities[number]))
    left = 0.25 + 0.068 * max((len(name) for name in names), default=0)
    cell = max(0.3, min(0.62, (width - left - 0.1) / len(rounds)))
    figure, axes = blank(left + cell * len(rounds) + 0.1, 0.45 + 0.2 * len(names))
    values = [[densities[number].get(name, math.nan) for number in rounds] for name in names]
    lowest = min((v for line in values for v in line if v > 0), default=1.0)
    norm = LogNorm(min(lowest, 0.5), 1.0, clip=True)
    axes.pcolormesh(values, cmap=HEAT, norm=norm, edgecolors=PAPER, linewidth=1.0)
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if not math.isnan(value):
                axes.text(x + 0.5, y + 0.5, _cell_text(value), ha="center", va="center", fontsize=7)
                axes.texts[-1].set_color(ink_on(HEAT(norm(max(value, lowest)))))
    axes.set_yticks([y + 0.5 for y in range(len(names))], names, fontsize=8)
    axes.set_xticks([x + 0.5 for x in range(len(rounds))], [str(number) for number in rounds], fontsize=8)
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("round")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return plain(figure)


def _series(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    series = {"dev": [r.dev_wer for r in rows], "test": [r.test_wer for r in rows]}
    for name in dict.fromkeys(name for row in rows for name in row.further):
        series[name] = [r.further.get(name, (None,))[0] for r in rows]
    return {name: wers for name, wers in series.items() if any(w is not None for w in wers)}


def _ceiling(rows: Sequence[Row], intervals: Intervals) -> float:
    """The upper end of the WER axis in percent: everything, unless that would flatten what is compared."""
    compared = {row.round for row in (dense(rows), *winning(rows)) if row is not None}
    near, far = [0.005], [0.005]
    for name, wers in _series(rows).items():
        for row, wer in zip(rows, wers, strict=True):
            if wer is not None and math.isfinite(wer):
                high = intervals.get(name, {}).get(row.round, (wer, wer))[1]
                far.append(max(wer, high))
                near.append(far[-1] if row.round in compared else 0)
    limit = 1.7 * max(near) if compared else max(far)
    return 108 * max(far) if max(far) <= 2 * limit else 100 * limit


def _line(axes: Axes, rows: Sequence[Row], wers, intervals, colour: str, marker: str) -> None:
    kept = [100 * row.density for row in rows]
    wer = [math.nan if w is None else 100 * w for w in wers]
    bands = [intervals.get(row.round, (math.nan, math.nan)) for row in rows]
    low, high = [100 * band[0] for band in bands], [100 * band[1] for band in bands]
    if len(rows) == 1:  # a band needs two rounds
        axes.vlines(kept, low, high, color=colour, lw=8, alpha=0.18)
    else:
        axes.fill_between(kept, low, high, color=colour, alpha=0.13, lw=0)
    if rows[0].density == 1:
        axes.axhline(wer[0], color=colour, lw=0.9, ls=(0, (5, 3)))
    axes.plot(kept, wer, color=colour, lw=1.6, marker=marker, ms=5, mec=PAPER, mew=0.7, zorder=3)


def _above(axes: Axes, rows: Sequence[Row], series: Mapping[str, Sequence[float | None]], top: float) -> None:
    """Name the WERs beyond the upper edge, above it."""
    for n, row in enumerate(rows):
        beyond = [(wers[n], look[0]) for wers, look in zip(series.values(), itertools.cycle(SERIES))]
        beyond = [(wer, colour) for wer, colour in beyond if wer is not None and 100 * wer > top]
        for line, (wer, colour) in enumerate(beyond):
            place = {
                "xy": (100 * row.density, top),
                "xytext": (0, 5 + 9 * line),
                "textcoords": "offset points",
            }
            axes.annotate(f"{100 * wer:.0f}", **place, ha="center", fontsize=8, color=colour, annotation_clip=False)
        if beyond:
            axes.plot(100 * row.density, top, marker="^", ms=5, color=MUTED, mew=0, clip_on=False, zorder=4)


def _tickets(axes: Axes, rows: Sequence[Row], top: float) -> list[Line2D]:
    """Mark extreme and best on the dev line; returns what the legend says about them."""
    handles = []
    looks = (
        {"marker": "D", "ms": 10, "mfc": "none", "mew": 1.3},
        {"marker": "*", "ms": 11, "mfc": INK, "mew": 0},
    )
    for ticket, name, look in zip(winning(rows), ("extreme", "best"), looks, strict=True):
        if ticket is None:
            continue
        if 100 * ticket.dev_wer <= top:
            axes.plot(100 * ticket.density, 100 * ticket.dev_wer, mec=INK, zorder=5, **look)
        label = f"{name}, {density_text(ticket.density)} %"
        handles.append(Line2D([], [], ls="none", mec=INK, label=label, **{**look, "ms": 0.75 * look["ms"]}))
    return handles


def _spread(densities: Sequence[float], points: float) -> tuple[list[float], tuple[float, float]]:
    """The densities to label, at least 34 points apart on an axis of this length, and the axis's ends."""
    first, last = max(densities), min(densities)
    margin = 1.35 if first == last else (first / last) ** 0.04
    extent = (first * margin, last / margin)
    scale = points / math.log(extent[0] / extent[1])
    shown = [first]
    for density in sorted(densities, reverse=True):
        far = [math.log(other / density) * scale >= 34 for other in (shown[-1], density**2 / last)]
        if density == last or all(far):
            shown.append(density)
    return list(dict.fromkeys(shown)), extent


def _legend(figure: Figure, series, tickets, has_dense: bool, has_bands: bool, columns: int) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=5, mec=PAPER, mew=0.7, lw=1.6, label=f"{name} WER")
        for name, (colour, marker) in zip(series, itertools.cycle(SERIES))
    ]
    if has_dense:
        handles.append(Line2D([], [], color=MUTED, lw=0.9, ls=(0, (5, 3)), label="dense"))
    if has_bands:
        handles.append(Patch(color=MUTED, alpha=0.25, lw=0, label="95 % interval"))
    figure.legend(
        handles=[*handles, *tickets],
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )


def _cell_text(density: float) -> str:
    percent = 100 * density
    return f"{percent:.0f}" if percent >= 9.95 else f"{percent:.1f}"
