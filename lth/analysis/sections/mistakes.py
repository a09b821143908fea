"""What a sparse ticket gets wrong that its dense network got right: words, kinds of errors, lengths, speakers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from lth.analysis.compare import Group, title_of, wins
from lth.analysis.document import Axis, Chart, Column, Section, Series, Table
from lth.analysis.experiments import Experiment, Round
from lth.analysis.inputs import Analysis
from lth.analysis.measure.curve import WEIGHTS
from lth.analysis.measure.words import Change, Heard, Texts, changes, heard
from lth.analysis.utterances import speakers
from lth.speech.wer import word_errors

#: Words in a table, those lost and those won most; words in the chart.
SHOWN, DRAWN = 20, 8
NO_SPEAKERS = "Who says what is not known of these rounds, so that nothing is said by speaker."


def section(analysis: Analysis) -> Section | None:
    """Compare two tickets of every group against their dense networks, on test: one that wins, and the sparsest of all.

    The first is the sparsest that wins, or else the best. What a network loses first shows in the second.
    """
    groups, text, tables, charts = analysis.groups, [], [], []
    for number, group in enumerate(groups):
        name = "test" if "test" in group.sets else "dev"
        title = title_of(group, groups)
        for what, chosen in (("", _chosen(group)), ("_sparsest", _sparsest(group, name))):
            if chosen is None or (what and chosen == _chosen(group)):
                continue
            one, played = chosen
            before, after = (texts.hypotheses.get(name) for texts in (one.reference, played))
            if not before or not after or before.keys() != after.keys():
                text.append(f"{_who(one, played)}{title}: transcripts of it or of its dense network are gone.")
                continue
            lost = changes(heard(before), heard(after))
            ending = what + (f"_{number + 1}" if len(groups) > 1 else "")
            text.append(_answer(_who(one, played) + title, lost, name))
            tables.append(_words(lost, f"words{ending}", f"Words lost and won, {_who(one, played)}{title}"))
            more, remarks = _parts(one, played, before, after, ending, title)
            tables += more
            text += [remark for remark in remarks if remark not in text]
        if (chosen := _sparsest(group, name)) and chosen[0].reference.hypotheses.get(name):
            charts += _along(*chosen, name, f"_{number + 1}" if len(groups) > 1 else "", title)
    return Section("mistakes", "What sparse tickets mishear", text, tables, charts) if text else None


def _chosen(group: Group) -> tuple[Experiment, Round] | None:
    if found := wins(group):
        return found[0].experiments[0], found[0].rounds[0]
    best = [(one, one.best) for ones in group.lotteries.values() for one in ones if one.best]
    return min(best, key=lambda pair: pair[1].row.dev_wer, default=None)


def _sparsest(group: Group, name: str) -> tuple[Experiment, Round] | None:
    """The sparsest round of all lotteries that has transcripts."""
    rounds = [(one, r) for ones in group.lotteries.values() for one in ones for r in one.rounds if r.density < 1]
    ordered = sorted(rounds, key=lambda pair: (pair[1].density, pair[0].name))
    return next((pair for pair in ordered if pair[1].hypotheses.get(name)), None)


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


def _parts(
    one: Experiment, played: Round, before: Texts, after: Texts, ending: str, title: str
) -> tuple[list[Table], list[str]]:
    """WER by length and by speaker; and a sentence where it is not known who speaks."""
    title = f", {_who(one, played)}{title}"
    tables = [_by("length", _lengths(before), before, after, f"lengths{ending}", f"By length{title}")]
    speaker = speakers(played.stored)
    if any(id not in speaker for id in before):
        return tables, [NO_SPEAKERS]
    if len({speaker[id] for id in before}) > 1:
        known = {id: speaker[id] for id in before}
        tables.append(_by("speaker", known, before, after, f"speakers{ending}", f"By speaker{title}"))
    return tables, []


def _by(what: str, part: Mapping[str, str], before: Texts, after: Texts, file: str, title: str) -> Table:
    parts = defaultdict(list)
    for id, name in part.items():
        parts[name].append(id)
    rows = []
    for name, ids in parts.items():
        references = [before[id][0] for id in ids]
        old, words = word_errors(references, [before[id][1] for id in ids])
        new, _ = word_errors(references, [after[id][1] for id in ids])
        total, old, new = int(words.sum()), int(old.sum()), int(new.sum())
        rows.append([name, len(ids), total, old / total, new / total, (new - old) / total])
    if what == "speaker":
        rows.sort(key=lambda row: (-row[5], row[0]))
    columns = [Column(what), Column("utterances", "count"), Column("words", "count"), Column("dense WER", "percent")]
    columns += [Column("ticket's WER", "percent"), Column("difference", "points")]
    return Table(file, title, columns, rows)


def _along(one: Experiment, sparsest: Round, name: str, ending: str, title: str) -> list[Chart]:
    """Kinds of errors, and the words that the sparsest round has lost most, over the rounds of its lottery."""
    texts = {r.row.key: said for r in one.rounds if (said := r.hypotheses.get(name))}
    found = {key: heard(said) for key, said in texts.items()}
    played = sorted((r for r in one.rounds if r.row.key in found), key=lambda r: -r.density)
    lost = changes(found[one.reference.row.key], found[sparsest.row.key])
    first = _first(one, played, found, lost, f"first{ending}", title)
    return [_kinds(one, played, found, name, f"errors{ending}", title), *([first] if first else [])]


def _kinds(
    one: Experiment, played: Sequence[Round], found: Mapping[str, Heard], name: str, file: str, title: str
) -> Chart:
    x, sets = [r.density for r in played], [found[r.row.key] for r in played]
    lines = [Series(kind, x, [s.kinds[kind] / s.said for s in sets]) for kind in sets[0].kinds]
    axes = WEIGHTS, Axis(f"errors per {name} word", "percent")
    return Chart(file, f"Kinds of errors, {one.label}, seed {one.seed}{title}", *axes, lines)


def _first(
    one: Experiment, played: Sequence[Round], found: Mapping[str, Heard], lost: Sequence[Change], file: str, title: str
) -> Chart | None:
    """Which words go first: those that the sparsest round has lost most, along the lottery."""
    words = [row.word for row in lost if row.after < row.before][:DRAWN]
    if not words or len(played) < 2:
        return None
    times = found[one.reference.row.key].times()
    right = [found[r.row.key].right() for r in played]
    x = [r.density for r in played]
    lines = [Series(f"{word} ({times[word]})", x, [counts[word] / times[word] for counts in right]) for word in words]
    axes = WEIGHTS, Axis("heard right", "percent")
    note = "The words that the sparsest round has lost most, and how often each is said."
    return Chart(file, f"Which words go first, {one.label}, seed {one.seed}{title}", *axes, lines, note=note)
