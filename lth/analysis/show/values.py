"""The numbers behind a chart as a table, for readers who cannot see or point at it."""

from lth.analysis.document import Chart, Column, Heat, Table


def values(part: Chart | Heat) -> Table:
    """Return every point of a chart, or every cell of a heat map, as a table of the same name."""
    if isinstance(part, Heat):
        columns = [Column(part.y_label), *(Column(name, part.kind) for name in part.columns)]
        return Table(part.name, part.title, columns, [[n, *row] for n, row in zip(part.rows, part.values, strict=True)])
    rows = []
    for series in part.series:
        for x, y, text in series.points():
            rows.append([series.label, x, y, text])
    words = any(isinstance(x, str) for series in part.series for x in series.x)
    columns = [
        Column("series"),
        Column(part.x.label, "text" if words else part.x.kind),
        Column(part.y.label, part.y.kind),
        Column(""),
    ]
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table(part.name, part.title, columns, rows)
