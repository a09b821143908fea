"""Figures read back: positions, colours and ticks against the charts they were drawn from."""

from dataclasses import replace

import pytest
from lth.analysis.look import SERIES
from lth.analysis.show.draw import BANDS, NAMED, draw, log_ticks, look
from matplotlib import _pylab_helpers
from matplotlib.colors import to_hex

from lth.analysis.document import Axis, Chart, Heat, Series
from lth.analysis.show.heat import MANY, limits
from tests.analysis.show.samples import BARS, CURVES, DENSITIES, OVERLAP, PARETO, SECTIONS


def test_curves_stand_where_their_points_are():
    axes = draw(CURVES).axes[0]
    left, right = axes.get_xlim()
    assert left > 100 > 16.8 > right
    assert axes.get_xscale() == "log"
    line = next(line for line in axes.lines if line.get_label() == "layerwise")
    assert line.get_xdata() == pytest.approx([100, 55, 30.25, 16.8])
    assert line.get_ydata() == pytest.approx([8.93, 7.24, float("nan"), 9.18], nan_ok=True)
    dashed = next(line for line in axes.lines if line.get_label() == "dense")
    assert dashed.is_dashed()
    band = axes.collections[0].get_paths()[0].vertices
    assert {(100.0, 7.0), (100.0, 10.9), (55.0, 5.6)} <= {(round(x, 6), round(y, 6)) for x, y in band}


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (10, 110, 8, [10, 15, 20, 30, 40, 50, 70, 100]),
        (10, 110, 5, [10, 20, 30, 50, 100]),
        (0.5, 110, 6, [1, 3, 10, 30, 100]),
        (0.001, 100, 6, [0.001, 0.01, 0.1, 1, 10, 100]),
    ],
)
def test_log_ticks_are_round_and_few(low, high, most, ticks):
    assert log_ticks(low, high, most) == pytest.approx(ticks)


def test_no_two_series_look_alike():
    looks = [look(n) for n in range(3 * len(SERIES))]
    assert len(set(looks)) == len(looks)
    assert len({colour for colour, *_ in looks[: len(SERIES)]}) == len(SERIES)


def test_bars_stand_or_lie():
    standing = draw(BARS).axes[0]
    assert [label.get_text() for label in standing.get_xticklabels()] == ["TWENTY", "OH", "ERASE"]
    assert sorted(round(bar.get_height(), 6) for bar in standing.patches[:2]) == [-2, 4]
    long = replace(BARS, series=[Series("s", ["a rather long name", "b"], [0.1, 0.2])])
    lying = draw(long).axes[0]
    assert [round(bar.get_width(), 6) for bar in lying.patches] == [10, 20]
    assert lying.get_ylim()[0] > lying.get_ylim()[1]


def test_colours_diverge_around_the_middle():
    colours, norm = limits(OVERLAP)
    assert norm(1.0) == pytest.approx(0.5)
    assert norm(1.8) == pytest.approx(1.0)
    red, green, blue, _ = colours(norm(1.0))
    assert red == pytest.approx(green, abs=0.02) == pytest.approx(blue, abs=0.02)
    assert limits(DENSITIES)[1](1.0) == 1.0
    assert limits(Heat("h", "H", ["a"], ["b"], [[None]]))[1].vmax > limits(Heat("h", "H", [], [], []))[1].vmin


@pytest.mark.parametrize("width", [3.9, 7.0])
@pytest.mark.parametrize("title", [False, True])
@pytest.mark.parametrize("part", [part for section in SECTIONS for part in section.charts], ids=lambda part: part.name)
def test_nothing_is_cut_off_and_no_title_covers_the_legend(part, width, title):
    part = replace(part, title="A title that is long enough to need a second line in a narrow figure, or even a third")
    figure = draw(part, width, title)
    figure.draw_without_rendering()
    box = figure.get_tightbbox(figure.canvas.get_renderer())
    assert box.xmin >= -0.01
    assert box.ymin >= -0.01
    assert box.xmax <= figure.get_figwidth() + 0.01
    assert box.ymax <= figure.get_figheight() + 0.01
    for legend in figure.legends:
        assert legend.get_window_extent().y0 >= figure.axes[0].bbox.y1


def test_an_empty_or_lonely_chart_is_drawn():
    draw(Chart("c", "C", Axis("x"), Axis("y"), []), title=True)
    draw(replace(CURVES, series=[Series("one", [1.0], [None], [None], [None])]))
    draw(replace(PARETO, series=[Series("zero", [1], [0.0])]))
    assert to_hex(draw(PARETO).axes[0].lines[0].get_color()) == SERIES[0][0]


def test_many_series_and_cells_stay_readable():
    many = [replace(CURVES.series[0], label=f"{n}") for n in range(200)]
    figure = draw(replace(CURVES, series=many))
    assert [text.get_text() for text in figure.legends[0].get_texts()][-2:] == [str(NAMED - 2), "and 171 more"]
    assert figure.get_figheight() < 8
    assert not figure.axes[0].collections
    assert draw(replace(CURVES, series=many[:BANDS])).axes[0].collections
    names = [f"layer {n}" for n in range(40)]
    assert len(names) ** 2 > MANY
    crowd = Heat("h", "H", names, names, [[0.5] * 39 + [None]] * 40)
    figure = draw(crowd)
    assert not figure.axes[0].texts
    assert len(figure.axes) == 2  # the cells and their scale


def test_no_global_figures():
    draw(CURVES)
    assert not _pylab_helpers.Gcf.figs
