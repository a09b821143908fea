"""What a terminal shows: no line too long, nothing lost in silence, no control sequence."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from lth.analysis.document import Column, Section, Table
from lth.analysis.show.terminal import show
from tests.analysis.show.samples import EVIL, SECTIONS, TICKETS, hostile


def shown(sections, width):
    out = io.StringIO()
    show(sections, Console(file=out, width=width, color_system=None))
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80, 100, 200])
@pytest.mark.parametrize("sections", [SECTIONS, hostile()], ids=["samples", "hostile"])
def test_no_line_is_too_long(sections, width):
    assert max(map(len, shown(sections, width).splitlines())) <= width


def test_a_wide_terminal_shows_every_cell_on_one_line():
    text = shown(SECTIONS, 200)
    line = next(line for line in text.splitlines() if line.startswith("layerwise"))
    said = "layerwise, 0, 16.8, 9.2, (7.4–11.1), −0.2, (−1.6…+1.0), 0.0312, 1.50, yes"
    assert line.split() == said.split(", ")
    assert "Layerwise wins at 16.8 % of the weights." in text
    assert TICKETS.note in text
    assert "Figures: densities, overlap" in text


def test_columns_without_room_are_named():
    text = " ".join(shown(SECTIONS, 40).split())
    assert "layerwise 0 16.8" in text
    assert "cost" not in text
    assert "Too wide to show:" in text
    assert "wins: in tickets.csv." in text
    assert "Too wide" not in shown(SECTIONS, 200)


def test_intervals_fold_below_their_value():
    text = shown(SECTIONS, 80)
    assert "(7.4–11.1)" in text
    assert "Too wide" not in text


def test_a_column_that_never_changes_gives_way_to_the_others():
    rows = [["a" * 20, "an4", "x" * 10, "y" * 10], ["b" * 20, "an4", "x" * 9, "z" * 10]]
    table = Table("t", "T", [Column("name"), Column("corpus"), Column("one"), Column("two")], rows)
    text = shown([Section("s", "S", tables=[table])], 46)
    assert "In every row: corpus an4." in text
    assert "y" * 10 in text
    assert "In every row" not in shown([Section("s", "S", tables=[table])], 80)


def test_no_row_is_said():
    assert "nothing to show" in shown([Section("s", "S", tables=[replace(TICKETS, rows=[])])], 80)


def test_names_are_neither_markup_nor_control_sequences():
    assert "[red]" in shown(hostile(), 200)
    table = Table("t", "\x1b[2J", [Column("\x1b]0;")], [["\x07"]], note="\x1b[31m")
    text = shown([Section("s", "\x1b[1m" + EVIL, ["\x1b[H"], [table])], 200)
    assert not set("\x1b\x07") & set(text)
