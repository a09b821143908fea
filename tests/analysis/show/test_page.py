"""The page read back: it is one file that asks for nothing, says everything and runs nobody's script but its own."""

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace

import pytest

from lth.analysis.document import Column, Heat, Hypothesis, Section, Table
from lth.analysis.show.page import write_page
from tests.analysis.show.samples import CURVES, EVIL, SECTIONS, TICKETS, hostile
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
    assert (tmp_path / "report.html").stat().st_size < 7e5


def test_only_its_own_scripts_may_run(page):
    (policy,) = [value for name, value in page.attributes if name == "content" and "default-src" in value]
    run = re.findall(r"<script>(.*?)</script>", page.html, re.DOTALL)
    run.append(gzip.decompress(base64.b64decode(element(page, "library"))).decode())
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in run]
    assert f"script-src {' '.join(hashes)}" in policy
    assert "default-src 'none'" in policy
    assert "window.vegaEmbed=" in run[1][-200:]


def test_names_are_never_markup(tmp_path):
    words = {"title": EVIL, "lead": EVIL, "facts": {EVIL: EVIL}}
    page = Page(write_page(hostile(), tmp_path / "report.html", **words))
    assert page.tags.count("script") == 3
    assert not {"img", "b"} & set(page.tags)
    assert page.text.count("<script>alert(1)</script>") > 20
    assert "<" not in element(page, "figures")
    assert all(EVIL in json.dumps(figure) or EVIL in figure["labels"] for figure in figures(page)[:1])
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


def figures(page):
    return json.loads(element(page, "figures"))


def test_live_charts_are_those_that_stand_there_and_take_the_pages_colours(page):
    found = figures(page)
    assert [figure["id"] for figure in found] == [id for id in page.ids if re.fullmatch(r"chart-\d-\d", id)]
    points = found[0]["spec"]["layer"][-1]
    assert [row["y"] for row in points["data"]["values"]][:2] == [pytest.approx(8.93), pytest.approx(7.24)]
    assert {row["colour"] for row in points["data"]["values"]} == {f"var(--series-{n})" for n in range(3)}
    assert found[0]["labels"] == ["layerwise", "constant", "one round", "dense"]


def test_a_still_page_has_no_scripts_and_says_the_same(page, tmp_path):
    still = Page(write_page(SECTIONS, tmp_path / "report.html", **WORDS, live=False))
    assert not {"script", "button"} & set(still.tags)
    assert "script-src" not in still.html
    assert still.tags.count("svg") == still.tags.count("figure") == page.tags.count("figure")
    assert still.tags.count("td") == page.tags.count("td")


def test_what_was_heard_is_marked_and_a_listing_stands_as_it_is(tmp_path):
    words = (("go", "equal"), (EVIL, "substitute"), ("left", "insert"), ("on", "delete"))
    table = Table("t", "T", [Column("heard")], [[Hypothesis(words)]])
    section = Section("s", "S", tables=[table], listings={"Config": "a:\n  <b>: 1"})
    page = Page(write_page([section], tmp_path / "report.html", **WORDS, live=False))
    cell = page.text[page.text.rindex("heard") :]
    assert cell.startswith(f"heard go {' '.join(EVIL.split())} left on Config a: <b>: 1")
    assert {"ins", "del", "span", "pre"} <= set(page.tags) and "b" not in page.tags


def test_a_crowded_heat_map_has_a_scale_instead_of_numbers(tmp_path):
    names = [f"layer {n}" for n in range(40)]
    crowd = Heat("h", "H", names, names, [[n / 40] * 39 + [None] for n in range(40)])
    page = Page(write_page([Section("s", "S", charts=[crowd])], tmp_path / "report.html", **WORDS))
    assert "table" not in page.tags
    (rects,) = figures(page)[0]["spec"]["layer"]
    assert rects["encoding"]["fill"]["legend"]
