"""What one experiment found: the answer, WER round by round, and its ticket against its dense network."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lth.analysis.compare import Group, wer_of
from lth.analysis.document import Axis, Chart, Column, Interval, Section, Series, Table
from lth.analysis.experiments import Experiment, Round
from lth.analysis.inputs import Analysis
from lth.analysis.measure.curve import FLATTENING, WEIGHTS, within
from lth.analysis.phrases import percent, points
from lth.store.rows import Row, dense, density_text, note, winning

NOTE = (
    "Extreme is the sparsest ticket whose dev WER is no worse than the dense network's, best the one with the lowest; "
    "test takes no part in either."
)


class Paired(NamedTuple):
    """A ticket against the dense network on one set: the difference of their WERs, and utterances better and worse."""

    set: str
    difference: Interval
    better: int
    worse: int
    utterances: int


def section(analysis: Analysis) -> Section | None:
    """Return the rounds of one experiment; None where there are several, or where no round has finished."""
    one = analysis.only
    if one is None or not one.rounds:
        return None
    group = analysis.groups[0] if analysis.groups else Group(one.corpus, one.sets, [one], analysis.resamples)
    to_come = unfinished(one.rows, one.config, one.about)
    text = [answer(one.rows, so_far=bool(to_come)), *filter(None, [to_come, _against_dense(group, one)])]
    return Section("experiment", "Round by round", text, [_table(group, one)], [_chart(group, one)])


def answer(rows: Sequence[Row], so_far: bool = False) -> str:
    """Return what an experiment found, in a sentence or two; every number is of the rounds in `rows`."""
    reference, (extreme, best) = dense(rows), winning(rows)
    if best is None:
        if reference is None:
            return "No round gave a network that could be scored."
        scored = f"its dev WER is {percent(reference.dev_wer)} and {_tests(reference)}"
        alone = "Only the dense round has finished" if len(rows) == 1 else "No ticket could be scored"
        return f"{alone}: {scored}."
    if reference is None:
        return f"There is no dense round to win against: the best ticket keeps {_ticket(best, None)}."
    if extreme is None:
        return f"No ticket wins{' so far' if so_far else ''}: the best keeps {_ticket(best, reference)}."
    said = f"{'So far, the' if so_far else 'The'} extreme ticket keeps {_ticket(extreme, reference)}."
    said += " It is also the best." if best is extreme else f" The best ticket keeps {_ticket(best, None)}."
    if reference.dev_wer > 0.5:
        said += " But the dense network gets most words wrong, so winning against it says little."
    return said


def unfinished(rows: Sequence[Row], config: Mapping, about: Mapping) -> str:
    """Return what the experiment promises and has not done yet, in a sentence; '' when it is complete."""
    if about.get("finished"):
        return ""
    if (planned := about.get("rounds")) is None:
        if config.get("target") is not None:
            return f"The experiment is unfinished: it ends when {config['target']:.2%} of the weights remain."
        planned = config.get("rounds", 0)
    missing = sorted(set(range(planned + 1)) - {row.round for row in rows})
    if not missing:
        return ""
    if len(missing) == 1:
        return f"The experiment is unfinished: round {missing[0]} of {planned} is missing."
    together = missing[-1] - missing[0] == len(missing) - 1
    listed = f"{missing[0]} to {missing[-1]}" if together else ", ".join(map(str, missing))
    return f"The experiment is unfinished: rounds {listed} of {planned} are missing."


def paired(group: Group, reference: Round, ticket: Round) -> list[Paired]:
    """Return the ticket against the dense network on every set that both have transcribed."""
    found = []
    for name in group.sets:
        before, after = group.errors(reference, name), group.errors(ticket, name)
        if before and after and before.ids == after.ids:
            change = after.errors - before.errors
            difference = group.difference([reference], [ticket], name)[0]
            counts = int((change < 0).sum()), int((change > 0).sum()), len(change)
            found.append(Paired(name, difference, *counts))
    return found


def _against_dense(group: Group, one: Experiment) -> str:
    if not (one.ticket and one.dense):
        return ""
    kind = "extreme" if one.extreme else "best"
    parts = [
        f"{p.set} WER {points(p.difference)} (better on {p.better}, worse on {p.worse} of {p.utterances})"
        for p in paired(group, one.dense, one.ticket)
    ]
    joined = "; ".join(parts)
    return f"The {kind} ticket against the dense network on the same utterances: {joined}." if parts else ""


def _sets(one: Experiment) -> list[str]:
    return ["dev", "test", *dict.fromkeys(name for row in one.rows for name in row.further)]


def _table(group: Group, one: Experiment) -> Table:
    sets = _sets(one)
    columns = [Column("round", "count"), Column("is"), Column("weights", "percent")]
    columns += [Column(f"{name} WER", "percent") for name in sets]
    columns += [Column(name, "percent") for name in ("dev CER", "test CER", "of all weights")]
    columns += [Column("train loss", "number"), Column("epochs", "count")]
    columns += [Column("seconds", "number"), Column("audio s/s", "number")]
    rows = []
    for played in one.rounds:
        row = played.row
        is_ = ", ".join(filter(None, [note(row, one.rows), "reused" if row.reused else ""]))
        rows.append([row.round, is_, row.density, *(group.interval(played, name) for name in sets)])
        rows[-1] += [row.dev_cer, row.test_cer, row.density_total, row.train_loss, row.epochs]
        rows[-1] += [row.seconds, row.audio_seconds_per_second]
    about = (
        "Intervals are 95 %. Weights: kept of the prunable ones, and of all parameters. A reused round was found in "
        "the store; its time is what training it once took."
    )
    return Table("rounds", "Rounds", columns, rows, about)


def _chart(group: Group, one: Experiment) -> Chart:
    rounds = sorted(one.rounds, key=lambda played: -played.density)
    x, lines, marks, counts = [played.density for played in rounds], [], [], []
    for name in _sets(one):
        wers = [group.interval(played, name) for played in rounds]
        if all(wer.value is None for wer in wers):
            continue
        label, text = f"{name} WER", [f"round {played.row.round}" for played in rounds]
        value, low, high = ([getattr(wer, end) for wer in wers] for end in Interval._fields)
        lines.append(Series(label, x, value, low, high, text))
        if one.dense and (reference := wer_of(one.dense, name)) is not None and len(rounds) > 1:
            marks.append(Series(f"dense, {name}", [x[0], x[-1]], [reference] * 2, style="dashed", like=label))
        if errors := group.errors(rounds[0], name):
            counts.append(f"{len(errors.ids)} {name}")
    reference = max((wer_of(one.dense, name) or 0 for name in _sets(one)), default=0) if one.dense else 0
    lines, beyond = within(lines, FLATTENING * reference)
    tickets = {"extreme": one.extreme, "best": one.best}
    if one.extreme is one.best:
        tickets = {"extreme and best": one.best}
    for kind, ticket in tickets.items():
        if ticket is not None:
            label = f"{kind}, {density_text(ticket.density)} %"
            marks.append(Series(label, [ticket.density], [ticket.row.dev_wer], style="mark"))
    said = "Word error rate against the prunable weights that remain, on a log axis. "
    if counts:
        over = " and ".join(filter(None, [", ".join(counts[:-1]), counts[-1]]))
        said += f"Bands are 95 % bootstrap intervals over the {over} utterances of one training run per round. "
    said += NOTE + (f" Beyond the figure: {'; '.join(beyond)}." if beyond else "")
    weights = Axis(WEIGHTS.label, WEIGHTS.kind, log=True, reverse=True, ticks=x)
    axes = weights, Axis("word error rate", "percent", zero=True)
    return Chart("wer", "WER over the rounds", *axes, [*lines, *marks], note=said)


def _ticket(row: Row, reference: Row | None) -> str:
    """'32.8 % of the weights at dev WER 5.1 % (dense 5.4 %); its test WER is 5.9 % (dense 6.0 %)'"""
    dev = _beside(row.dev_wer, reference and reference.dev_wer)
    return f"{density_text(row.density)} % of the weights at dev WER {dev}; {_tests(row, reference)}"


def _tests(row: Row, reference: Row | None = None) -> str:
    wers = {"test": (row.test_wer, reference and reference.test_wer)}
    for name, (wer, _) in row.further.items():
        wers[name] = (wer, reference and reference.further.get(name, (None,))[0])
    said = [f"its {name} WER is {_beside(wer, ref)}" for name, (wer, ref) in wers.items() if wer is not None]
    return " and ".join(said) or "it has no test WER"


def _beside(rate: float, reference: float | None) -> str:
    return percent(rate) + ("" if reference is None else f" (dense {percent(reference)})")
