"""Sections with every kind of cell, axis and chart, worked by hand."""

from lth.analysis.document import Axis, Chart, Column, Heat, Interval, Section, Series, Table

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> $x^{$ [red]"
DENSITY = Axis("weights remaining", "percent", log=True, reverse=True)
WER = Axis("test WER", "percent")

TICKETS = Table(
    "tickets",
    "Tickets of every experiment",
    [
        Column("strategy"),
        Column("seed", "count"),
        Column("density", "percent"),
        Column("test WER", "percent"),
        Column("difference", "points"),
        Column("p", "number"),
        Column("time", "hours"),
        Column("wins"),
    ],
    [
        ["layerwise", 0, 0.168, Interval(0.0918, 0.074, 0.111), Interval(-0.0021, -0.0155, 0.0103), 0.0312, 1.5, "yes"],
        ["constant", 1, 0.3025, Interval(0.1035), Interval(0.0168, 0.001, 0.0325), None, None, "no"],
        ["random", None, 1.0, None, None, 0.00031, 0.25, ""],
    ],
    note="Intervals are 95 % bootstrap intervals over utterances.",
)

CURVES = Chart(
    "curves",
    "WER against density",
    DENSITY,
    WER,
    [
        Series(
            "layerwise",
            [1.0, 0.55, 0.3025, 0.168],
            [0.0893, 0.0724, None, 0.0918],
            [0.07, 0.056, None, 0.074],
            [0.109, 0.09, None, 0.111],
            ["dense", "", "", "extreme"],
        ),
        Series("constant", [1.0, 0.55, 0.3025], [0.0893, 0.0776, 0.0867]),
        Series("one round", [0.5], [0.08], [0.07], [0.09], style="points"),
        Series("dense", [1.0, 0.168], [0.0893, 0.0893], style="dashed"),
    ],
    note="Bands are 95 % intervals.",
)

PARETO = Chart(
    "pareto",
    "Trials",
    Axis("rounds", "count"),
    Axis("hypervolume", "number", log=True),
    [Series("trials", [1, 2, 3, 10], [0.001, 0.02, 0.3, 0.5], style="points")],
)

BARS = Chart(
    "bars",
    "Words lost first",
    Axis("word"),
    Axis("errors more", "points"),
    [
        Series("layerwise", ["TWENTY", "OH"], [0.04, -0.02], [0.01, -0.05], [0.07, 0.01]),
        Series("constant", ["OH", "ERASE"], [0.01, None]),
    ],
    kind="bars",
)

DENSITIES = Heat(
    "densities", "What is left", ["rnn.weight", "out.weight"], ["0", "1"], [[1.0, 0.168], [1.0, None]], x_label="round"
)

OVERLAP = Heat("overlap", "Against chance", ["a", "b"], ["a", "b"], [[1.8, 0.9], [0.9, 1.8]], "number", middle=1.0)

SECTIONS = [
    Section(
        "tickets",
        "Which tickets win",
        ["Layerwise wins at 16.8 % of the weights.", "One seed gives no interval."],
        [TICKETS],
        [CURVES],
    ),
    Section("anatomy", "Where the weights are", [], [], [DENSITIES, OVERLAP]),
    Section("sweep", "The sweep", ["No trial is better than all others."], [], [PARETO, BARS]),
]


def hostile() -> list[Section]:
    """Every text that can come from a user is the same attack."""
    xy = Chart("evil", EVIL, Axis(EVIL), Axis(EVIL), [Series(EVIL, [1, 2], [3, 4], text=[EVIL, EVIL])], note=EVIL)
    bars = Chart("evil bars", EVIL, Axis(EVIL), Axis(EVIL), [Series(EVIL, [EVIL], [1])], kind="bars", note=EVIL)
    heat = Heat("evil/../heat", EVIL, [EVIL], [EVIL], [[0.5]], x_label=EVIL, y_label=EVIL, note=EVIL)
    table = Table("../evil", EVIL, [Column(EVIL), Column(EVIL, "number")], [[EVIL, 1], [EVIL, 2]], note=EVIL)
    return [Section(EVIL, EVIL, [EVIL], [table], [xy, bars, heat])]
