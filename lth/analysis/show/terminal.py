"""Sections on a terminal: sentences, and tables that fit its width."""

from collections.abc import Sequence

from rich import box
from rich import table as rich_table
from rich.console import Console, Group
from rich.text import Text

from lth.analysis.document import Section, Table
from lth.analysis.show.words import column_texts, heading
from lth.analysis.tables import printable

GAP = 2  # between columns
WORD = 24  # a longer word is folded rather than pushing other columns out


def show(sections: Sequence[Section], console: Console, lead: str = "") -> None:
    """Print the sections, without the sentence `lead`; no line is longer than the console is wide.

    A table that is too wide first folds its cells at spaces, then leaves out columns from the right and says so.
    """
    for section in sections:
        console.print(Text(printable(section.title), style="bold"))
        for sentence in section.text:
            if sentence != lead:
                console.print(Text(printable(sentence)))
        for table in section.tables:
            console.print("", _table(table, console.width), sep="\n")
        if section.charts:
            listed = ", ".join(printable(chart.name) for chart in section.charts)
            console.print("", Text(f"Figures: {listed}", style="dim"), sep="\n")
        console.print()


def _table(table: Table, width: int) -> Group:
    title = Text(printable(table.title), style="italic")
    if not table.rows:
        return Group(title, Text("nothing to show", style="dim"))
    names = [printable(heading(column.name, column.kind, " ")) for column in table.columns]
    cells = [_column(table, n) for n in range(len(names))]
    natural = [max(map(len, [name, *column])) for name, column in zip(names, cells, strict=True)]
    least = [max(_longest(text) for text in (name, *column)) for name, column in zip(names, cells, strict=True)]
    shown, same = list(range(len(names))), []
    if _span(natural, shown) > width and len(table.rows) > 1:
        same = [n for n in shown[1:] if len(set(cells[n])) == 1]
        shown = [n for n in shown if n not in same]
        same = [n for n in same if cells[n][0].strip()]
    order = list(shown)
    while len(shown) > 1 and _span(least, shown) > width:
        shown.pop()
    widths = _share([natural[n] for n in shown], [least[n] for n in shown], width - GAP * (len(shown) - 1))
    grid = rich_table.Table(box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for n, room in zip(shown, widths, strict=True):
        side = "left" if table.columns[n].kind == "text" else "right"
        grid.add_column(Text(names[n]), justify=side, width=room, overflow="fold")
    for row in zip(*(cells[n] for n in shown), strict=True):
        grid.add_row(*map(Text, row))
    notes = [f"In every row: {', '.join(f'{names[n]} {cells[n][0]}' for n in same)}."] if same else []
    if left_out := [names[n] for n in order[len(shown) :]]:
        notes.append(f"Too wide to show: {', '.join(left_out)}: in {printable(table.name)}.csv.")
    notes += [printable(table.note)] if table.note else []
    return Group(title, grid, *(Text(note, style="dim") for note in notes))


def _column(table: Table, n: int) -> list[str]:
    """A column's cells; an interval follows its value, or stands below it where there is no room."""
    texts = column_texts([row[n] for row in table.rows], table.columns[n].kind)
    tied = [interval.replace(" to ", "\N{HORIZONTAL ELLIPSIS}") for _, interval in texts]
    return [printable(value) + (f" ({ends})" if ends else "") for (value, _), ends in zip(texts, tied, strict=True)]


def _longest(text: str) -> int:
    return min(WORD, max(map(len, text.split(" ")), default=0))


def _span(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[n] for n in shown) + GAP * (len(shown) - 1)


def _share(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Widths of columns: all they need up to one common limit, and never less than the least."""
    for limit in range(max(natural), 0, -1):
        widths = [max(low, min(full, limit)) for full, low in zip(natural, least, strict=True)]
        if sum(widths) <= width:
            return widths
    return [min(width, low) for low in least]
