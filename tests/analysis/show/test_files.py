"""CSV read back by the csv module, figures by an XML parser and PIL, against the sections they came from."""

import csv
import io
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from PIL import Image

from lth.analysis.document import Column, Section, Table
from lth.analysis.show.files import file_name, write_figures, write_tables
from tests.analysis.show.samples import BARS, CURVES, EVIL, SECTIONS, TICKETS, hostile


def read(path):
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_every_kind_of_cell_comes_back(tmp_path):
    (path,) = write_tables(SECTIONS, tmp_path)
    assert path == tmp_path / "tickets.csv"
    head, *rows = read(path)
    assert head == [
        *("strategy", "seed", "density", "test WER", "test WER_low", "test WER_high"),
        *("difference", "difference_low", "difference_high", "p", "time", "wins"),
    ]
    for cells, row in zip(TICKETS.rows, rows, strict=True):
        strategy, seed, density, wer, difference, p, time, wins = cells
        ends = [*(wer or [None] * 3), *(difference or [None] * 3)]
        assert (row[0], row[-1]) == (strategy, wins)
        assert [float(text) if text else None for text in row[1:-1]] == [seed, density, *ends, p, time]


def test_text_with_commas_quotes_and_lines_comes_back(tmp_path):
    cells = ['a, "b"', "two\nlines", EVIL, "é", ""]
    table = Table("t", "T", [Column("a,b")], [[cell] for cell in cells])
    (path,) = write_tables([Section("s", "S", tables=[table])], tmp_path)
    assert [row[0] if row else "" for row in read(path)] == ["a,b", *cells]


def test_a_table_without_rows_keeps_its_head(tmp_path):
    (path,) = write_tables([Section("s", "S", tables=[replace(TICKETS, rows=[])])], tmp_path)
    assert read(path) == [[column.name for column in TICKETS.columns]]


def test_what_an_earlier_analysis_left_is_gone(tmp_path):
    for write, old in ((write_tables, "old.csv"), (write_figures, "old.png"), (write_figures, "old.svg")):
        (tmp_path / old).touch()
        (tmp_path / "mine.txt").touch()
        written = write(SECTIONS, tmp_path)
        assert not (tmp_path / old).exists() and (tmp_path / "mine.txt").exists()
        assert all(path.exists() for path in written)


def test_names_stay_in_the_folder(tmp_path):
    inside = tmp_path / "deep"
    written = write_tables(hostile(), inside) + write_figures(hostile(), inside, dpi=30)
    assert all(path.parent == inside and path.is_file() for path in written)
    assert file_name("..") == file_name("") == "unnamed"


def test_two_of_one_name_are_refused(tmp_path):
    twice = [Section(key, key, tables=[TICKETS], charts=[CURVES]) for key in "ab"]
    with pytest.raises(ValueError, match="tickets"):
        write_tables(twice, tmp_path)
    with pytest.raises(ValueError, match="curves"):
        write_figures(twice, tmp_path)


def test_figures_are_repeatable_and_say_what_they_show(tmp_path):
    first = write_figures(SECTIONS, tmp_path / "a", dpi=40)
    second = write_figures(SECTIONS, tmp_path / "b", dpi=40)
    assert [path.name for path in first] == [
        f"{name}.{ending}" for name in ("curves", "densities", "overlap", "pareto", "bars") for ending in ("png", "svg")
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    texts = {path.stem: said(path) for path in first if path.suffix == ".svg"}
    assert {"WER against density", "layerwise", "dense", "test WER, %", "weights remaining, %", "100", "20"} <= texts[
        "curves"
    ]
    assert {"rnn.weight", "round", "17", "100"} <= texts["densities"]
    assert {"1.80", "0.90"} <= texts["overlap"]
    assert {"TWENTY", "OH", "ERASE", "errors more, points"} <= texts["bars"]
    assert Image.open(first[0]).size[0] == pytest.approx(7 * 40, abs=1)


def test_hostile_names_are_drawn_as_they_are(tmp_path):
    written = write_figures(hostile(), tmp_path, dpi=30)
    for path in written:
        if path.suffix == ".svg":
            assert any("<script>" in text for text in said(path))
            assert not [node for node in ET.parse(path).iter() if node.tag.endswith(("script", "}img"))]


def test_bars_without_values_are_drawn(tmp_path):
    empty = replace(BARS, series=[replace(BARS.series[1], y=[None, None])])
    assert write_figures([Section("s", "S", charts=[empty])], tmp_path, dpi=30)


def said(path):
    return {"".join(node.itertext()).strip() for node in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")}
