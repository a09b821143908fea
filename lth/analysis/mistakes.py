"""What a sparse ticket gets wrong that its dense network got right: words, kinds of errors, lengths, speakers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from lth.analysis.compare import Group, title_of
from lth.analysis.document import Axis, Chart, Column, Section, Series, Table
from lth.analysis.gather import Experiment, Round
from lth.analysis.tickets import wins
from lth.analysis.utterances import speakers
from lth.analysis.words import Change, Heard, Texts, changes, heard
from lth.scoring.wer import word_errors

#: Words in a table, those lost and those won most; words in the chart.
SHOWN, DRAWN = 20, 8
NO_SPEAKERS = "Who says what is not known of these rounds, so that nothing is said by speaker."


def section(groups: Sequence[Group]) -> Section | None:
    """A ticket of every group, and the sparsest round of its lottery, against their dense network, on test.

    The ticket is the sparsest that wins, or else the best.
    """
    text, tables, charts = [], [], []
    for number, group in enumerate(groups):
        if (chosen := _chosen(group)) is None:
            continue
        one, ticket = chosen
        name = "test" if "test" in group.sets else "dev"
        texts = {played.row.key: found for played in one.rounds if (found := played.hypotheses.get(name))}
        ending, title = (f"_{number + 1}" if len(groups) > 1 else ""), title_of(group, groups)
        if gone := [played for played in (one.dense, ticket) if played.row.key not in texts]:
            text.append(f"{_who(one, gone[0])}{title}: its transcripts are gone from the store.")
            continue
        said, more, drawn = _lottery(one, ticket, texts, name, ending, title)
        text += said
        tables += more
        charts += drawn
    return Section("mistakes", "What sparse tickets mishear", text, tables, charts) if text else None


def _lottery(
    one: Experiment, ticket: Round, texts: Mapping[str, Texts], name: str, ending: str, title: str
) -> tuple[list[str], list[Table], list[Chart]]:
    found = {key: heard(said) for key, said in texts.items()}
    dense, sparsest = one.dense, min((r for r in one.rounds if r.row.key in found), key=lambda r: r.density)
    text, tables = [], []
    lost = {}
    for what, played in (("", ticket), ("_sparsest", sparsest)):
        if what and played is ticket:
            continue
        lost = changes(found[dense.row.key], found[played.row.key])
        text.append(_answer(_who(one, played), lost, name))
        tables.append(_words(lost, f"words{what}{ending}", f"Words lost and won, {_who(one, played)}{title}"))
    lengths = _lengths(texts[dense.row.key])
    tables.append(_by("length", lengths, one, ticket, sparsest, texts, f"lengths{ending}", f"By length{title}"))
    by_speaker = speakers(dense.stored, one.corpus)
    if all(id in by_speaker for id in texts[dense.row.key]):
        if len(set(by_speaker.values())) > 1:
            parts = f"speakers{ending}", f"By speaker{title}"
            tables.append(_by("speaker", by_speaker, one, ticket, sparsest, texts, *parts))
    else:
        text.append(NO_SPEAKERS)
    played = sorted((r for r in one.rounds if r.row.key in found), key=lambda r: -r.density)
    charts = [_kinds(one, played, found, name, f"errors{ending}", title)]
    charts += [chart for chart in (_first(one, played, found, lost, f"first{ending}", title),) if chart]
    return text, tables, charts


def _chosen(group: Group) -> tuple[Experiment, Round] | None:
    if found := wins(group):
        return found[0].experiments[0], found[0].rounds[0]
    best = [(one, one.best) for ones in group.lotteries.values() for one in ones if one.best]
    return min(best, key=lambda pair: pair[1].row.dev_wer, default=None)


def _who(one: Experiment, played: Round) -> str:
    return f"{one.label}, seed {one.seed}, {100 * played.density:.1f} % of the weights"


def _answer(who: str, words: Sequence[Change], name: str) -> str:
    lost = [row.word for row in words if row.after < row.before]
    if not lost:
        return f"{who}: no word of {name} is lost more often than won."
    sure = sum(row.p < 0.05 for row in words)
    beyond = "none of it beyond chance" if not sure else f"{sure} of the changes beyond chance"
    return (
        f"{who}: {', '.join(lost[:3])} {'is' if len(lost) == 1 else 'are'} lost most on {name}; {beyond}, word by word."
    )


def _words(words: Sequence[Change], file: str, title: str) -> Table:
    shown = [*words[: SHOWN // 2], *words[max(SHOWN // 2, len(words) - SHOWN // 2) :]]
    rows = [[w.word, w.said, w.before, w.after, w.after - w.before, w.instead, w.p] for w in shown]
    columns = [Column("word"), Column("said", "count"), Column("dense right", "count"), Column("ticket right", "count")]
    columns += [Column("change", "count"), Column("heard instead"), Column("p", "number")]
    note = (
        f"{len(words)} words changed; those lost and those won most. p: exact McNemar, Holm-corrected over all of them."
    )
    return Table(file, title, columns, rows, note)


def _lengths(texts: Texts) -> dict[str, str]:
    """Utterance id -> short, middle or long: terciles by words, as even as whole numbers allow."""
    count = {id: len(text.split()) for id, (text, _) in texts.items()}
    ordered = sorted(count.values())
    short, long = (ordered[len(ordered) * k // 3] for k in (1, 2))

    def third(n: int) -> str:
        if n < short:
            return f"under {short} words"
        return f"{short} to {long} words" if n <= long else f"over {long} words"

    return {id: third(n) for id, n in sorted(count.items(), key=lambda item: item[1])}


def _by(
    what: str,
    part: Mapping[str, str],
    one: Experiment,
    ticket: Round,
    sparsest: Round,
    texts: Mapping[str, Texts],
    file: str,
    title: str,
) -> Table:
    before, after, last = (texts[played.row.key] for played in (one.dense, ticket, sparsest))
    parts = defaultdict(list)
    for id, name in part.items():
        if id in before and id in after and id in last:
            parts[name].append(id)
    rows = []
    for name, ids in parts.items():
        wrong = []
        for said in (before, after, last):
            errors, words = word_errors([before[id][0] for id in ids], [said[id][1] for id in ids])
            wrong.append(int(errors.sum()) / int(words.sum()))
        rows.append([name, len(ids), int(words.sum()), *wrong[:2], wrong[1] - wrong[0], wrong[2]])
    if what == "speaker":
        rows.sort(key=lambda row: (-row[5], row[0]))
    columns = [Column(what), Column("utterances", "count"), Column("words", "count"), Column("dense WER", "percent")]
    columns += [Column("ticket's WER", "percent"), Column("difference", "points")]
    columns += [Column(f"WER at {100 * sparsest.density:.1f} %", "percent")]
    note = f"The ticket: {_who(one, ticket)}. The last column: the sparsest round of its lottery."
    return Table(file, title, columns, rows, note)


def _kinds(
    one: Experiment, played: Sequence[Round], found: Mapping[str, Heard], name: str, file: str, title: str
) -> Chart:
    x, sets = [r.density for r in played], [found[r.row.key] for r in played]
    lines = [Series(kind, x, [s.kinds[kind] / s.said for s in sets]) for kind in sets[0].kinds]
    axes = Axis("weights remaining", "percent", log=True, reverse=True), Axis(f"errors per {name} word", "percent")
    return Chart(file, f"Kinds of errors, {one.label}, seed {one.seed}{title}", *axes, lines)


def _first(
    one: Experiment, played: Sequence[Round], found: Mapping[str, Heard], lost: Sequence[Change], file: str, title: str
) -> Chart | None:
    """Which words go first: those that the sparsest round has lost most, along the lottery."""
    words = [row.word for row in lost if row.after < row.before][:DRAWN]
    if not words or len(played) < 2:
        return None
    times = found[one.dense.row.key].times()
    right = [found[r.row.key].right() for r in played]
    x = [r.density for r in played]
    lines = [Series(f"{word} ({times[word]})", x, [counts[word] / times[word] for counts in right]) for word in words]
    axes = Axis("weights remaining", "percent", log=True, reverse=True), Axis("heard right", "percent")
    note = "The words that the sparsest round has lost most, and how often each is said."
    return Chart(file, f"Which words go first, {one.label}, seed {one.seed}{title}", *axes, lines, note=note)
