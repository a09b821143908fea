"""What an analysis says, free of how it is shown: sections of sentences, tables and charts.

Every part of the analysis returns a `Section`; the terminal, CSV files, PNG and SVG figures, the HTML page and the
W&B report are made from the same sections, so they cannot disagree. Rates, densities and shares are fractions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["text", "count", "percent", "points", "number", "hours"]


class Interval(NamedTuple):
    """A value and its 95 % interval; without an interval both ends are None."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Hypothesis(NamedTuple):
    """What a network heard, as (word, kind): "equal", "substitute", "insert" or "delete" of a word it missed.

    As text `+word` was inserted, `[word]` is wrong and `-word` was missed.
    """

    words: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        ways = {"equal": "{}", "insert": "+{}", "substitute": "[{}]", "delete": "-{}"}
        return " ".join(ways[kind].format(word) for word, kind in self.words)


Cell = str | int | float | Interval | Hypothesis | None


@dataclass(frozen=True)
class Column:
    """`kind` says how a cell is shown: percent is a fraction times 100, points a signed difference of percents."""

    name: str
    kind: Kind = "text"


@dataclass(frozen=True)
class Table:
    """`name` is a file name without its ending. A cell that is None is not known."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Axis:
    """`kind` as in `Column`; a log axis runs downwards where `reverse`, as densities do.

    `ticks` are the values to label, as far as there is room; without them they are round numbers. `zero`: it begins
    there, however far away the values are.
    """

    label: str
    kind: Kind = "number"
    log: bool = False
    reverse: bool = False
    ticks: Sequence[float] = ()
    zero: bool = False


@dataclass(frozen=True)
class Series:
    """Points of one colour; `low` and `high` make a band, `text` is shown at a point on demand.

    `x` may be words in a bar chart. `style`: "line" (with markers), "points", "dashed" (a reference line, no markers,
    in the colour of the series whose label is `like`) or "mark" (points that stand out from the others).
    """

    label: str
    x: Sequence[float | str]
    y: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    text: Sequence[str] = ()
    style: Literal["line", "points", "dashed", "mark"] = "line"
    like: str = ""

    def points(self) -> Iterator[tuple[float | str, Interval, str]]:
        """Yield x, y with its interval, and the text of every point."""
        unknown = [None] * len(self.x)
        ends = zip(self.low or unknown, self.high or unknown, strict=True)
        for x, y, (low, high), text in zip(self.x, self.y, ends, self.text or [""] * len(self.x), strict=True):
            yield x, Interval(y, low, high), text


@dataclass(frozen=True)
class Chart:
    """Lines, points or bars over two axes."""

    name: str
    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    kind: Literal["xy", "bars"] = "xy"
    note: str = ""


@dataclass(frozen=True)
class Heat:
    """A matrix: `values[r][c]` belongs to `rows[r]` and `columns[c]`; None is left blank.

    `middle` makes the colours diverge around that value (0 for differences, 1 for ratios to chance).
    """

    name: str
    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    kind: Kind = "percent"
    middle: float | None = None
    x_label: str = ""
    y_label: str = ""
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One question and its answer. `key` is an anchor; `text` are sentences, the first of them the answer.

    `listings` are texts to be shown as they are, such as a config, by their titles.
    """

    key: str
    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = field(default=())
    charts: Sequence[Chart | Heat] = field(default=())
    listings: Mapping[str, str] = field(default_factory=dict)
