"""WER against density, strategies overlaid, and how much sparser one strategy is than another at the same WER."""

from collections.abc import Sequence

from lth.analysis.compare import CONTROLS, Group, by_density, title_of, wer_of
from lth.analysis.document import Axis, Chart, Column, Section, Series, Table
from lth.analysis.experiments import Experiment, Round
from lth.analysis.inputs import Analysis
from lth.analysis.measure.curve import FLATTENING, WEIGHTS, density_at, within

#: WERs to compare strategies at, relative to the dense network's.
TARGETS = (1.0, 1.1, 1.25, 1.5)
#: Strategies that one figure can hold.
MOST = 8


def section(analysis: Analysis) -> Section | None:
    """Return a chart for every group and set, a table of all its points, and densities at equal WER."""
    groups, charts, tables, text = analysis.groups, [], [], []
    for number, group in enumerate(groups):
        if not group.lotteries:
            continue
        ending, title = (f"_{number + 1}" if len(groups) > 1 else ""), title_of(group, groups)
        names = sorted(group.sets, key=lambda name: name == "dev")  # what selected nothing comes first
        charts += [_chart(group, name, f"wer_{name}{ending}", title) for name in names]
        tables += [_points(group, f"curves{ending}", title), _at_equal_wer(group, f"equal_wer{ending}", title)]
        text.append(_saving(group, title))
    return Section("curves", "WER against remaining weights", text, tables, charts) if charts else None


def _chart(group: Group, name: str, file: str, title: str) -> Chart:
    series, drawn = [], _sparsest(group)
    for label, ones in drawn.items():
        points = by_density(ones)
        rates = [group.mean(rounds, name) for rounds in points.values()]
        seeds = f", {len(ones)} seeds" if len(ones) > 1 else ""
        text = [f"{label}{seeds}" for _ in rates]
        x = [rounds[0].density for rounds in points.values()]
        low, high = [[getattr(rate, end) for rate in rates] for end in ("low", "high")]
        series.append(Series(f"{label}{seeds}", x, [rate.value for rate in rates], low, high, text))
    for kind, words in CONTROLS.items():
        rounds = [one.rounds[-1] for one in group.experiments if one.control == kind and one.rounds]
        if rounds:
            rates = [group.interval(one, name) for one in rounds]
            x = [one.density for one in rounds]
            series.append(Series(words, x, [rate.value for rate in rates], style="points", text=[words for _ in x]))
    said = f"WER on {name}{title}"
    note = "Means over seeds where there are several; bands are 95 % intervals. Density is kept / prunable weights."
    series, beyond = within(series, FLATTENING * max(wer_of(one.reference, name) or 0 for one in _all(group)))
    if left_out := len(group.lotteries) - len(drawn):
        note += f" The {MOST} strategies with the sparsest winning tickets; {left_out} more are in the table."
    if beyond:
        note += f" Beyond the figure: {'; '.join(beyond)}."
    return Chart(file, said, WEIGHTS, _axis(name), series, note=note)


def _sparsest(group: Group) -> dict[str, list[Experiment]]:
    """The lotteries, or of too many for one figure those with the sparsest winning tickets, in their order."""

    def density(label: str) -> float:
        return min((one.extreme.density for one in group.lotteries[label] if one.extreme), default=1.0)

    chosen = sorted(group.lotteries, key=density)[:MOST]
    return {label: ones for label, ones in group.lotteries.items() if label in chosen}


def _all(group: Group) -> list[Experiment]:
    return [one for ones in group.lotteries.values() for one in ones]


def _axis(name: str) -> Axis:
    return Axis(f"{name} word error rate", "percent")


def _points(group: Group, file: str, title: str) -> Table:
    rows = [
        [label, len(ones), rounds[0].density, *(group.mean(rounds, name) for name in group.sets)]
        for label, ones in group.lotteries.items()
        for rounds in by_density(ones).values()
    ]
    columns = [Column("strategy"), Column("seeds", "count"), Column("weights", "percent")]
    columns += [Column(f"{name} WER", "percent") for name in group.sets]
    return Table(file, f"Every point of the curves{title}", columns, rows)


def _at_equal_wer(group: Group, file: str, title: str) -> Table:
    name = "test" if "test" in group.sets else "dev"
    found = {label: _densities(points_of(ones, name)) for label, ones in group.lotteries.items()}
    reference = next((own for label, own in found.items() if label.startswith("constant")), None)
    rows = []
    for label, own in found.items():
        savings = [a / b if a and b else None for a, b in zip(reference, own, strict=True)] if reference else []
        rows.append([label, *own, *savings[:2]])
    words = ["dense WER"] + [f"{100 * (t - 1):.0f} % above" for t in TARGETS[1:]]
    columns = [Column("strategy"), *(Column(f"weights at {word}", "percent") for word in words)]
    if reference:
        columns += [Column(f"times sparser than constant at {word}", "number") for word in words[:2]]
    note = (
        f"The lowest density whose {name} WER (mean over seeds) is at most that of the strategy's own dense network, "
        "or so much above; interpolated in log density. The sparsest round played where that is still as good."
    )
    return Table(file, f"Densities at equal WER{title}", columns, rows, note)


def points_of(ones: Sequence, name: str) -> tuple[list[float], list[float]]:
    """Densities, falling, and mean WERs of a strategy's rounds that all its seeds have."""
    points = by_density(ones)
    pairs = [(rounds[0].density, _mean(rounds, name)) for rounds in points.values()]
    pairs = [(density, wer) for density, wer in pairs if wer is not None]
    return [density for density, _ in pairs], [wer for _, wer in pairs]


def _densities(points: tuple[list[float], list[float]]) -> list[float | None]:
    densities, wers = points
    return [density_at(densities, wers, target * wers[0] + 1e-12) if wers else None for target in TARGETS]


def _mean(rounds: Sequence[Round], name: str) -> float | None:
    wers = [wer for one in rounds if (wer := wer_of(one, name)) is not None]
    return sum(wers) / len(wers) if len(wers) == len(rounds) else None


def _saving(group: Group, title: str) -> str:
    name = "test" if "test" in group.sets else "dev"
    least = {label: _densities(points_of(ones, name))[0] for label, ones in group.lotteries.items()}
    found = {label: density for label, density in least.items() if density is not None and density < 1}
    if not found:
        return f"No strategy keeps its dense network's {name} WER with fewer weights{title}."
    label = min(found, key=lambda label: found[label])
    return f"{label} keeps its dense network's {name} WER down to {100 * found[label]:.1f} % of the weights{title}."
