"""Rounding, units and intervals, worked by hand."""

import math

import pytest

from lth.analysis.document import Interval
from lth.analysis.show.words import column_texts, distinct, heading, quantity


@pytest.mark.parametrize(
    ("cells", "kind", "texts"),
    [
        ([1.0, 0.168, 0.0918], "percent", ["100.0", "16.8", "9.2"]),
        ([1.0, 0.0044, None], "percent", ["100.00", "0.44", "–"]),
        ([0.0, 0.5], "percent", ["0.0", "50.0"]),
        ([0.012, -0.0155, 0.0], "points", ["+1.2", "−1.6", "+0.0"]),
        ([0.004, -0.0021], "points", ["+0.40", "−0.21"]),
        ([3, 12345, None], "count", ["3", "12,345", "–"]),
        ([0.000312, 0.0312, 1.0, 12345.6], "number", ["0.000312", "0.0312", "1", "12,346"]),
        ([0.25, 0.5], "hours", ["0.25", "0.50"]),
        ([1.25, 12.0], "hours", ["1.2", "12.0"]),
        ([math.nan, math.inf], "number", ["–", "inf"]),
        (["yes", "-", ""], "text", ["yes", "-", ""]),
    ],
)
def test_numbers(cells, kind, texts):
    assert [value for value, _ in column_texts(cells, kind)] == texts


def test_intervals():
    cells = [Interval(0.0918, 0.074, 0.111), Interval(0.1035), Interval(None)]
    assert column_texts(cells, "percent") == [("9.2", "7.4–11.1"), ("10.3", ""), ("–", "")]
    assert column_texts([Interval(-0.021, -0.0155, 0.0103)], "points") == [("−2.1", "−1.6 to +1.0")]


def test_units_are_said_once():
    assert heading("test WER", "percent") == "test WER, %"
    assert heading("test WER %", "percent") == "test WER %"
    assert heading("", "hours") == "h"
    assert heading("seed", "count", " ") == "seed"


def test_a_quantity_says_value_unit_and_interval():
    assert quantity(Interval(0.0918, 0.074, 0.111), "percent") == "9.2 % (7.4–11.1)"
    assert quantity(0.168, "percent") == "16.8 %"
    assert (quantity(Interval(None), "points"), quantity("OH", "text")) == ("–", "OH")


def test_equal_names_are_told_apart_and_look_the_same():
    names = distinct(["a", "b", "a", "a"])
    assert len(set(names)) == 4 and names[:2] == ["a", "b"]
    assert [name.strip("\N{ZERO WIDTH SPACE}") for name in names] == ["a", "b", "a", "a"]
