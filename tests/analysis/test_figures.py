"""Figures read back: what is drawn where, what the SVG holds, against the rows they were drawn from."""

import itertools
import re
import xml.etree.ElementTree as ET

import pytest
from lth.analysis.look import SERIES, to_png, to_svg
from matplotlib import _pylab_helpers
from matplotlib.colors import to_hex
from PIL import Image

from lth.analysis.figures import layer_densities, wer_curve
from tests.store.test_rows import row

ROWS = [row(0, 1, 0.10, 0.12), row(1, 0.5, 0.08, 0.11), row(2, 0.25, 0.10, 0.13), row(3, 0.05, 0.11, 0.5)]
INTERVALS = {"dev": {n: (r.dev_wer - 0.02, r.dev_wer + 0.03) for n, r in enumerate(ROWS)}}


def drawn(figure, colour):
    return [line for line in figure.axes[0].lines if to_hex(line.get_color()) == colour]


def test_curve_runs_from_dense_at_the_left_on_a_log_axis():
    axes = wer_curve(ROWS[::-1]).axes[0]
    left, right = axes.get_xlim()
    assert left > 100 > 5 > right
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[0] == 0
    assert [label.get_text() for label in axes.get_xticklabels()] == ["100", "50.0", "25.0", "5.00"]
    assert list(axes.get_xticks()) == [100, 50, 25, 5]


def test_curve_draws_every_round_and_the_dense_line():
    figure = wer_curve(ROWS)
    for (colour, _), wers in zip(SERIES, ([10, 8, 10, 11], [12, 11, 13, 50]), strict=False):
        dashed, solid = drawn(figure, colour)
        assert dashed.get_ydata() == pytest.approx([wers[0]] * 2)
        assert solid.get_xdata() == pytest.approx([100, 50, 25, 5])
        assert solid.get_ydata() == pytest.approx(wers)


def test_extreme_and_best_are_marked_on_the_dev_line():
    figure = wer_curve(ROWS)
    marks = {
        m.get_marker(): (m.get_xdata()[0], m.get_ydata()[0]) for m in figure.axes[0].lines if m.get_marker() in "D*"
    }
    assert marks == {"D": pytest.approx((25, 10)), "*": pytest.approx((50, 8))}
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"dev WER", "test WER", "dense", "extreme, 25.0 %", "best, 50.0 %"} == set(legend)


def test_a_collapse_does_not_flatten_the_rest():
    axes = wer_curve(ROWS).axes[0]
    assert axes.get_ylim()[1] < 30
    assert [note.get_text() for note in axes.texts] == ["50"]
    assert axes.texts[0].xy[0] == pytest.approx(5)
    near = wer_curve(ROWS[:3]).axes[0]
    assert near.get_ylim()[1] > 13
    assert not near.texts


def test_bands_reach_from_low_to_high():
    figure = wer_curve(ROWS, INTERVALS)
    (band,) = [c for c in figure.axes[0].collections if to_hex(c.get_facecolor()[0]) == SERIES[0][0]]
    corners = {(round(x, 6), round(y, 6)) for x, y in band.get_paths()[0].vertices}
    assert {(100, 8), (100, 13), (5, 9), (5, 14)} <= corners
    assert "95 % interval" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_curve_of_the_dense_round_alone_and_of_a_further_set():
    assert to_svg(wer_curve(ROWS[:1], INTERVALS)).count("</svg>") == 1
    figure = wer_curve([row(0, 1, 0.1, further={"other": (0.3, 0.1)}), row(1, 0.5, 0.2)])
    assert "other WER" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert drawn(figure, SERIES[2][0])[1].get_ydata()[0] == pytest.approx(30)


@pytest.mark.parametrize("width", [3.9, 7.0])
def test_tick_labels_never_touch(width):
    figure = wer_curve([row(n, 0.8**n, 0.1) for n in range(25)], width=width)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert len(boxes) >= 4
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))
    shown = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert (shown[0], shown[-1]) == ("100", "0.47")  # 0.8 ** 24 = 0.00472


def test_layer_densities_in_model_order():
    figure = layer_densities({0: {"b": 1.0, "a": 1.0}, 2: {"b": 0.333, "a": 0.0456}})
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["b", "a"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0", "2"]
    cells = {t.get_position(): t.get_text() for t in axes.texts}
    assert cells == {(0.5, 0.5): "100", (1.5, 0.5): "33", (0.5, 1.5): "100", (1.5, 1.5): "4.6"}
    assert axes.yaxis_inverted()


def test_layer_densities_with_empty_and_missing_layers():
    figure = layer_densities({0: {"a": 1.0}, 1: {"a": 0.0, "b": 0.5}})
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["0.0", "100", "50"]
    to_svg(figure)


def test_names_are_neither_mathematics_nor_markup():
    name = r"a$\frac{1}$<b>&amp;"
    root = ET.fromstring(to_svg(layer_densities({0: {name: 1.0}})))
    assert name in [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_svg_is_repeatable_and_keeps_its_ids_apart():
    first, second = (to_svg(wer_curve(ROWS, INTERVALS), prefix="p-") for _ in range(2))
    assert first == second
    ids = re.findall(r'\bid="([^"]*)"', first)
    assert len(ids) == len(set(ids))
    assert all(id.startswith("p-") for id in ids)
    used = re.findall(r'(?:url\(|href=")#([^")]*)', first)
    assert used
    assert set(used) <= set(ids)


def test_png_is_the_size_asked_for(tmp_path):
    path = to_png(wer_curve(ROWS, width=7), tmp_path / "curve.png", dpi=100)
    with Image.open(path) as image:
        assert image.size[0] == 700
        assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def test_no_global_figures():
    to_svg(wer_curve(ROWS))
    assert _pylab_helpers.Gcf.get_all_fig_managers() == []
