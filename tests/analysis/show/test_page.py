"""The page read back: it is one file that asks for nothing, says everything and runs nobody's script but its own."""

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace

import pytest

from lth.analysis.document import Heat, Section
from lth.analysis.show.interactive import interactive
from lth.analysis.show.page import write_page
from tests.analysis.show.samples import BARS, CURVES, DENSITIES, EVIL, OVERLAP, SECTIONS, TICKETS, hostile
from tests.analysis.test_report import Page

WORDS = {"title": "Tickets of an4", "lead": "layerwise wins at 16.8 % of the weights.", "facts": {"experiments": 3}}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_page(SECTIONS, tmp_path_factory.mktemp("page") / "report.html", **WORDS)


@pytest.fixture(scope="module")
def page(path):
    return Page(path)


def element(page, id):
    return re.search(rf'<script [^>]*id="{id}">(.*?)</script>', page.html, re.DOTALL)[1]


def test_the_answer_comes_first_and_everything_is_there(page):
    body = page.text[page.text.rindex("Tickets of an4") :]
    assert body.startswith("Tickets of an4 layerwise wins at 16.8 % of the weights. experiments 3 Which tickets win")
    for section in SECTIONS:
        for said in (section.title, *section.text, *(part.title for part in (*section.tables, *section.charts))):
            assert said in body
    for said in ("9.2 7.4–11.1", "−0.2 −1.6 to +1.0", "0.00031", TICKETS.note, CURVES.note):
        assert said in body
    assert page.tags.count("svg") == page.tags.count("figure") == 5
    assert page.tags.count("table") == len([TICKETS]) + 5  # and the values of every chart
    assert [value for name, value in page.attributes if name == "scope"].count("col") >= len(TICKETS.columns)


def test_contents_lead_to_every_section(page):
    links = [value for name, value in page.attributes if name == "href" and re.match(r"#\d-", value)]
    assert {link[1:] for link in links} <= set(page.ids)
    assert len(set(links)) == len(SECTIONS)
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.parametrize("sections", [SECTIONS, hostile()], ids=["samples", "hostile"])
def test_one_file_that_asks_for_nothing(sections, tmp_path):
    page = Page(write_page(sections, tmp_path / "report.html", **WORDS))
    assert not {"link", "img", "iframe", "object", "base", "form", "embed"} & set(page.tags)
    pointing = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset", "action")]
    assert pointing
    assert all(value.startswith("#") for value in pointing)
    assert re.findall(r"@import|url\((?!#)", page.html) == []
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert (tmp_path / "report.html").stat().st_size < 2.5e6


def test_only_its_own_scripts_may_run(page):
    (policy,) = [value for name, value in page.attributes if name == "content" and "default-src" in value]
    run = re.findall(r"<script>(.*?)</script>", page.html, re.DOTALL)
    run.append(gzip.decompress(base64.b64decode(element(page, "library"))).decode())
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in run]
    assert f"script-src {' '.join(hashes)}" in policy
    assert "default-src 'none'" in policy
    assert "plotly.js" in run[1][:100]


def test_names_are_never_markup(tmp_path):
    words = {"title": EVIL, "lead": EVIL, "facts": {EVIL: EVIL}}
    page = Page(write_page(hostile(), tmp_path / "report.html", **words))
    assert page.tags.count("script") == 3
    assert not {"img", "b"} & set(page.tags)
    assert page.text.count("<script>alert(1)</script>") > 20
    for figure in json.loads(element(page, "figures")):
        texts = json.dumps([figure["data"], figure["layout"]])
        assert "&lt;script&gt;" in texts
        assert set(re.findall(r"</?\w+", texts)) <= {"<b", "</b", "<br"}
    assert len(page.ids) == len(set(page.ids))


def test_values_are_sorted_by_in_full(page):
    cells = re.findall(r'<td class="number" data-value="([^"]*)">([^<]*)', page.html)
    assert ("0.168", "16.8") in cells
    assert ("0.0918", "9.2") in cells
    assert ("", "–") in cells
    assert page.html.count("<button") == page.html.count('scope="col"')


def test_refresh_only_when_asked(page, tmp_path):
    assert 'http-equiv="refresh"' not in page.html
    again = Page(write_page(SECTIONS, tmp_path / "report.html", **WORDS, refresh=60))
    assert '<meta http-equiv="refresh" content="60">' in again.html
    assert "every 60 seconds" in again.text
    assert 'content="1"' in write_page(SECTIONS, tmp_path / "report.html", **WORDS, refresh=0.2).read_text()


def test_page_is_repeatable_and_an_empty_one_needs_no_library(path, tmp_path):
    again = write_page(SECTIONS, tmp_path / "report.html", **WORDS)
    assert again.read_bytes() == path.read_bytes()
    empty = [Section("s", "S", ["Nothing yet."], [replace(TICKETS, rows=[])])]
    small = Page(write_page(empty, tmp_path / "small.html", **WORDS))
    assert "Nothing to show." in small.text
    assert (tmp_path / "small.html").stat().st_size < 30_000


def test_interactive_points_and_bands():
    figure = interactive(CURVES)
    band, line, second, lonely, dashed = figure["data"]
    assert line["x"] == pytest.approx([100, 55, 30.25, 16.8])
    assert line["y"] == [pytest.approx(8.93), pytest.approx(7.24), None, pytest.approx(9.18)]
    assert line["hovertext"][3] == (
        "<b>layerwise</b><br>test WER 9.2 % (7.4–11.1)<br>weights remaining 16.8 %<br>extreme"
    )
    assert band["x"][:5] == pytest.approx([100, 55, 55, 100, 100])
    assert band["y"][:5] == pytest.approx([7.0, 5.6, 9.0, 10.9, 7.0])
    assert None in band["x"]  # the unknown end parts it in two
    assert band["legendgroup"] == line["legendgroup"] != second["legendgroup"]
    assert lonely["error_y"]["array"] == pytest.approx([1.0])
    assert dashed["line"]["dash"] == "dash"
    assert figure["layout"]["xaxis"]["autorange"] == "reversed"
    assert figure["labels"] == ["layerwise", "constant", "one round", "dense"]


def test_interactive_bars_and_heat_maps():
    first, second = interactive(BARS)["data"]
    assert (first["x"], first["y"]) == (["TWENTY", "OH"], pytest.approx([4, -2]))
    assert (first["error_y"]["array"], first["error_y"]["arrayminus"]) == (pytest.approx([3, 3]), pytest.approx([3, 3]))
    assert second["y"] == [pytest.approx(1), None]
    heat = interactive(OVERLAP)
    assert (heat["data"][0]["zmin"], heat["data"][0]["zmax"]) == (pytest.approx(0.2), pytest.approx(1.8))
    layers = interactive(DENSITIES)
    assert layers["data"][0]["z"][1] == [100.0, None]
    assert [note["text"] for note in layers["layout"]["annotations"]] == ["100", "17", "100"]


def test_a_crowded_heat_map_has_a_scale_instead_of_numbers(tmp_path):
    names = [f"layer {n}" for n in range(40)]
    crowd = Heat("h", "H", names, names, [[n / 40] * 39 + [None] for n in range(40)])
    figure = interactive(crowd)
    assert figure["data"][0]["showscale"]
    assert not figure["layout"]["annotations"]
    page = Page(write_page([Section("s", "S", charts=[crowd])], tmp_path / "report.html", **WORDS))
    assert "table" not in page.tags
