"""Charts as Vega takes them, and as it draws them: positions, colours and ticks against the charts they came from."""

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest
from PIL import Image

from lth.analysis.document import Axis, Chart, Heat, Series
from lth.analysis.show.chart import (
    BANDS,
    DASHED,
    NAMED,
    is_horizontal,
    log_ticks,
    specification,
    spread_ticks,
)
from lth.analysis.show.heat import MANY, limits
from lth.analysis.show.look import DIVERGING, INK, SERIES, ink_on, series_look, shade
from lth.analysis.show.picture import inline, to_png, to_svg
from tests.analysis.show.samples import BARS, CURVES, DENSITIES, OVERLAP, PARETO, SECTIONS, hostile

PARTS = [part for section in SECTIONS for part in section.charts]


def layers(part, **options):
    """Mark -> its layer."""
    spec = specification(part, **options)
    return {layer["mark"]["type"]: layer for layer in spec["layer"]}


def values(layer):
    return layer["data"]["values"]


def texts(svg):
    return [" ".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def box(svg):
    return [float(size) for size in re.search(r'<svg [^>]*viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()]


def test_curves_stand_where_their_points_are():
    found = layers(CURVES)
    scale = found["point"]["encoding"]["x"]["scale"]
    assert (scale["type"], scale["reverse"]) == ("log", True)
    line = [row for row in values(found["line"]) if row["series"] == "layerwise"]
    assert [row["x"] for row in line] == pytest.approx([100, 55, 30.25, 16.8])
    assert [row["y"] for row in line] == [pytest.approx(8.93), pytest.approx(7.24), None, pytest.approx(9.18)]
    band = values(found["area"])
    assert [(row["x"], row["low"], row["high"]) for row in band[:2]] == [
        pytest.approx((100, 7, 10.9)),
        pytest.approx((55, 5.6, 9)),
    ]
    assert len({row["piece"] for row in band if row["series"] == "layerwise"}) == 2  # the unknown end parts it
    assert [row["dash"] for row in values(found["line"]) if row["series"] == "dense"] == [DASHED, DASHED]
    assert "dense" not in {row["series"] for row in values(found["point"])}
    (span,) = values(found["rule"])
    assert (span["series"], span["low"], span["high"]) == ("one round", pytest.approx(7), pytest.approx(9))


def test_a_point_says_series_value_interval_and_place():
    found = layers(CURVES)["point"]
    last = values(found)[3]
    assert [last[name] for name in ("point", "at", "value")] == ["layerwise · extreme", "16.8 %", "9.2 % (7.4–11.1)"]
    titles = [one["title"] for one in found["encoding"]["tooltip"]]
    assert titles == ["title", "test WER", "weights remaining"]


def test_marks_and_dashed_lines_look_as_what_they_belong_to():
    lines = [Series("dev", [1, 0.5], [0.1, 0.2]), Series("test", [1, 0.5], [0.2, 0.3])]
    dashed = Series("dense", [1, 0.5], [0.2, 0.2], style="dashed", like="test")
    marks = [Series(name, [0.5], [0.2], style="mark") for name in ("extreme", "best")]
    scales = specification(replace(CURVES, series=[*lines, dashed, *marks]))["layer"][0]["encoding"]
    colours, shapes = ([*scales[name]["scale"]["range"]] for name in ("fill", "shape"))
    assert colours == [SERIES[0][0], SERIES[1][0], SERIES[1][0], INK, INK]
    assert shapes[3] != shapes[4]


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (10, 110, 8, [10, 15, 20, 30, 40, 50, 70, 100]),
        (10, 110, 5, [10, 20, 30, 50, 100]),
        (58, 110, 8, [60, 70, 80, 90, 100]),
        (0.5, 110, 6, [1, 3, 10, 30, 100]),
        (0.001, 100, 6, [0.001, 0.01, 0.1, 1, 10, 100]),
    ],
)
def test_log_ticks_are_round_and_few(low, high, most, ticks):
    assert log_ticks(low, high, most) == pytest.approx(ticks)


@pytest.mark.parametrize("width", [300, 600])
def test_spread_ticks_never_touch_and_keep_both_ends(width):
    densities = [100 * 0.8**n for n in range(25)]
    shown = spread_ticks(densities, width)
    assert len(shown) >= 4 and (shown[0], shown[-1]) == (densities[0], densities[-1])
    scale = width / (24 * -0.2231435513)
    places = [(densities.index(tick) * -0.2231435513) * scale for tick in shown]
    assert all(b - a >= 40 for a, b in pairwise(places))
    axis = replace(CURVES.x, ticks=[0.8**n for n in range(25)])
    rounds = Series("s", [0.8**n for n in range(25)], [0.1] * 25)
    assert {"100", "0.472"} <= set(texts(to_svg(replace(CURVES, x=axis, series=[rounds]))))  # 0.8 ** 24 = 0.00472


def test_no_two_series_look_alike():
    looks = [series_look(n) for n in range(3 * len(SERIES))]
    assert len(set(looks)) == len(looks)
    assert len({colour for colour, *_ in looks[: len(SERIES)]}) == len(SERIES)


def test_bars_stand_or_lie():
    bars = layers(BARS)["bar"]
    assert bars["encoding"]["x"]["sort"] == ["TWENTY", "OH", "ERASE"]
    assert [(row["x"], row["y"]) for row in values(bars)] == [
        ("TWENTY", pytest.approx(4)),
        ("OH", pytest.approx(-2)),
        ("OH", pytest.approx(1)),
        ("ERASE", None),
    ]
    ends = [(row["low"], row["high"]) for row in values(layers(BARS)["rule"])]
    assert ends == [pytest.approx((1, 7)), pytest.approx((-5, 1))]
    long = replace(BARS, series=[Series("s", ["a rather long name", "b"], [0.1, 0.2])])
    assert is_horizontal(long) and not is_horizontal(BARS)
    assert layers(long)["bar"]["encoding"]["y"]["sort"] == ["a rather long name", "b"]


def test_colours_diverge_around_the_middle():
    colours, low, high = limits(OVERLAP)
    assert (low, high) == pytest.approx((0.2, 1.8))
    assert shade(colours, 0.5) == "#f7f7f7" and shade(colours, 0) == DIVERGING[0] and shade(colours, 1) == DIVERGING[-1]
    assert limits(DENSITIES)[2] == 1.0
    assert limits(Heat("h", "H", ["a"], ["b"], [[None]]))[2] > limits(Heat("h", "H", [], [], []))[1]
    assert shade(("#000000", "#ff8000"), 0.25) == "#402000"
    assert (ink_on("#f1f6fb"), ink_on("#08306b")) == ("#000000", "#ffffff")


def test_cells_of_heat_maps_have_their_numbers():
    spec = specification(DENSITIES)
    cells = {(cell["row"], cell["column"]): cell["text"] for cell in spec["data"]["values"]}
    assert cells == {("rnn.weight", "0"): "100", ("rnn.weight", "1"): "17", ("out.weight", "0"): "100"}
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == ["rnn.weight", "out.weight"]
    empty = Heat("h", "H", ["a", "b"], ["0", "1"], [[1.0, 0.0], [None, 0.5]])
    assert [cell["text"] for cell in specification(empty)["data"]["values"]] == ["100", "0.0", "50"]


@pytest.mark.parametrize("width", [380, 672])
@pytest.mark.parametrize("title", [False, True])
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_nothing_is_cut_off(part, width, title):
    part = replace(part, title="A title that is long enough to need a second line in a narrow figure, or even a third")
    svg = to_svg(part, width=width, title=title)
    wide, tall = box(svg)
    assert tall > 40 and (isinstance(part, Heat) or abs(wide - width) <= 2)
    assert (part.title in texts(svg)) == title
    image = Image.open(io.BytesIO(to_png(svg, dpi=96))).convert("L")
    across, down = image.size
    edges = [(0, 0, across, 2), (0, down - 2, across, down), (0, 0, 2, down), (across - 2, 0, across, down)]
    assert {image.crop(edge).getextrema() for edge in edges} == {(255, 255)}


def test_an_empty_or_lonely_chart_is_drawn():
    to_svg(Chart("c", "C", Axis("x"), Axis("y"), []), title=True)
    to_svg(replace(CURVES, series=[Series("one", [1.0], [None], [None], [None])]))
    to_svg(replace(PARETO, series=[Series("zero", [1], [0.0])]))
    to_svg(Heat("h", "H", [], [], []))
    assert {row["colour"] for row in values(layers(PARETO)["point"])} == {SERIES[0][0]}


def test_series_of_one_name_stay_two():
    twice = [replace(CURVES.series[1]), replace(CURVES.series[1], y=[0.1, 0.1, 0.1])]
    found = layers(replace(CURVES, series=twice))["line"]
    assert len({row["series"] for row in values(found)}) == 2


def test_many_series_and_cells_stay_readable():
    many = [replace(CURVES.series[0], label=f"{n}") for n in range(200)]
    chart = replace(CURVES, series=many)
    svg = to_svg(chart)
    assert [text for text in texts(svg) if "entries" in text] == [f"…{200 - NAMED + 1} entries"]
    assert box(svg)[1] < 700
    assert "area" not in layers(chart)
    assert "area" in layers(replace(CURVES, series=many[:BANDS]))
    names = [f"layer {n}" for n in range(40)]
    assert len(names) ** 2 > MANY
    crowd = specification(Heat("h", "H", names, names, [[0.5] * 39 + [None]] * 40))
    assert [layer["mark"]["type"] for layer in crowd["layer"]] == ["rect"]  # no numbers
    assert crowd["layer"][0]["encoding"]["fill"]["legend"] is not None  # a scale instead


def test_the_page_gets_what_print_gets_and_what_a_reader_can_do():
    still, live = layers(CURVES), layers(CURVES, live=True)
    assert {mark: values(layer) for mark, layer in still.items()} == {
        mark: values(layer) for mark, layer in live.items()
    }
    parameters = [one["name"] for layer in specification(CURVES, live=True)["layer"] for one in layer.get("params", ())]
    assert parameters == ["chosen", "zoom"]
    assert not any("params" in layer or "opacity" in layer["encoding"] for layer in still.values())


def test_inline_pictures_are_repeatable_keep_their_ids_apart_and_take_the_pages_colours():
    names = [f"layer {n}" for n in range(40)]
    scale = Heat("h", "H", names, names, [[n / 40] * 40 for n in range(40)])
    first, second = (inline(scale, "p") for _ in range(2))
    assert first == second
    ids = re.findall(r'\bid="([^"]*)"', first)
    assert ids and len(ids) == len(set(ids)) and all(id.startswith("p-") for id in ids)
    used = re.findall(r'(?:url\(|href=")#([^")]*)', first)
    assert used and set(used) <= set(ids)
    first = inline(CURVES, "p")
    assert "var(--series-0)" in first and "var(--ink)" in first and SERIES[0][0] not in first
    assert "font-family" not in first


def test_names_are_neither_mathematics_nor_markup():
    name = r"a$\frac{1}$<b>&amp;"
    assert name in texts(to_svg(Heat("h", "H", [name], ["0"], [[1.0]])))
    for part in hostile()[0].charts:
        assert not [
            node for node in ET.fromstring(to_svg(part)).iter() if node.tag.endswith(("script", "}img", "}image"))
        ]
