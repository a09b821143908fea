"""What a sparse ticket gets wrong that its dense network got right: words, kinds of errors, lengths, speakers."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import jiwer

from lth.analysis.compare import Group, title_of
from lth.analysis.document import Axis, Chart, Column, Section, Series, Table
from lth.analysis.gather import Experiment, Round
from lth.analysis.statistics import holm
from lth.analysis.tickets import wins
from lth.scoring.wer import word_errors

Texts = Mapping[str, tuple[str, str]]
#: Words in the table, those with most change first.
SHOWN = 20
#: How corpora write the speaker into an utterance's id.
SPEAKERS = {
    "an4": re.compile(r"-([^-]+)-"),
    "librispeech": re.compile(r"^(\d+)-"),
    "synthetic": re.compile(r"^([^-_]+)"),
}


def section(groups: Sequence[Group]) -> Section | None:
    """The sparsest winning ticket of every group, or else its best, against its dense network, on test."""
    text, tables, charts = [], [], []
    for number, group in enumerate(groups):
        chosen = _chosen(group)
        if chosen is None:
            continue
        one, ticket = chosen
        name = "test" if "test" in group.sets else "dev"
        before, after = one.dense.hypotheses.get(name), ticket.hypotheses.get(name)
        if not before or not after:
            continue
        ending, title = (f"_{number + 1}" if len(groups) > 1 else ""), title_of(group, groups)
        words = lost_words(before, after)
        text.append(_answer(one, ticket, words, name))
        tables.append(_words(words, f"words{ending}", title))
        tables += _by_length_and_speaker(group.corpus, before, after, ending, title)
        charts.append(_kinds(one, name, f"errors{ending}", title))
    return Section("mistakes", "What sparse tickets mishear", text, tables, charts) if tables else None


def lost_words(before: Texts, after: Texts) -> list[tuple[str, int, int, int, str, float]]:
    """(word, said, right before, right after, what is heard instead now, p) of every word that changed.

    Those lost most come first. p is exact McNemar's, two-sided, over the word's occurrences, Holm-corrected.
    """
    said, right_before, right_after = Counter(), Counter(), Counter()
    lost, won, instead = Counter(), Counter(), defaultdict(Counter)
    for id in before.keys() & after.keys():
        reference = before[id][0]
        old, new = heard(reference, before[id][1]), heard(reference, after[id][1])
        for word, first, second in zip(reference.split(), old, new, strict=True):
            said[word] += 1
            right_before[word] += first == word
            right_after[word] += second == word
            lost[word] += first == word != second
            won[word] += second == word != first
            if second != word:
                instead[word][second or "(nothing)"] += 1
    changed = [word for word in said if lost[word] or won[word]]
    corrected = holm([mcnemar(lost[word], won[word]) for word in changed])
    rows = [
        (word, said[word], right_before[word], right_after[word], _most(instead[word]), p)
        for word, p in zip(changed, corrected, strict=True)
    ]
    return sorted(rows, key=lambda row: (row[3] - row[2], -row[1], row[0]))


def heard(reference: str, hypothesis: str) -> list[str]:
    """For every word of the reference, the word aligned to it; "" where it was left out."""
    aligned = jiwer.process_words(reference, hypothesis)
    found = [""] * len(aligned.references[0])
    for chunk in aligned.alignments[0]:
        if chunk.type in ("equal", "substitute"):
            found[chunk.ref_start_idx : chunk.ref_end_idx] = aligned.hypotheses[0][
                chunk.hyp_start_idx : chunk.hyp_end_idx
            ]
    return found


def mcnemar(lost: int, won: int) -> float:
    """Exact two-sided p: lost and won are as likely by chance (McNemar 1947, binomial form)."""
    n, least = lost + won, min(lost, won)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(least + 1)) / 2**n)


def _chosen(group: Group) -> tuple[Experiment, Round] | None:
    if found := wins(group):
        return found[0].experiments[0], found[0].rounds[0]
    best = [(one, one.best) for ones in group.lotteries.values() for one in ones if one.best]
    return min(best, key=lambda pair: pair[1].row.dev_wer, default=None)


def _answer(one: Experiment, ticket: Round, words: Sequence[tuple], name: str) -> str:
    lost = [word for word, _, before, after, _, _ in words if after < before]
    who = f"{one.label}, seed {one.seed}, at {100 * ticket.density:.1f} % of the weights"
    sure = sum(p < 0.05 for *_, p in words)
    if not lost:
        return f"{who}, loses no word of {name} that its dense network got right more often."
    beyond = "none of it beyond chance" if not sure else f"{sure} of the changes beyond chance"
    return f"{who}, loses {', '.join(lost[:3])} most often on {name}; {beyond} word by word."


def _words(words: Sequence[tuple], file: str, title: str) -> Table:
    shown = [*words[: SHOWN // 2], *words[max(SHOWN // 2, len(words) - SHOWN // 2) :]]
    rows = [[word, said, before, after, after - before, instead, p] for word, said, before, after, instead, p in shown]
    columns = [Column("word"), Column("said", "count"), Column("dense right", "count"), Column("ticket right", "count")]
    columns += [Column("change", "count"), Column("heard instead"), Column("p", "number")]
    note = (
        f"{len(words)} words changed; those lost and those won most. p: exact McNemar, Holm-corrected over all of them."
    )
    return Table(file, f"Words lost and won{title}", columns, rows, note)


def _by_length_and_speaker(corpus: str, before: Texts, after: Texts, ending: str, title: str) -> list[Table]:
    lengths = sorted(len(text.split()) for text, _ in before.values())
    short, long = (lengths[len(lengths) * k // 3] for k in (1, 2))

    def length(id: str) -> str:
        n = len(before[id][0].split())
        return (
            f"under {short} words" if n < short else f"{short} to {long} words" if n <= long else f"over {long} words"
        )

    tables = [_by("length", length, before, after, f"lengths{ending}", f"By length of the utterance{title}")]
    found = SPEAKERS.get(corpus)
    if found and all(found.search(id) for id in before):
        speaker = _by(
            "speaker", lambda id: found.search(id)[1], before, after, f"speakers{ending}", f"By speaker{title}"
        )
        tables.append(speaker)
    return tables


def _by(what: str, key: Callable[[str], str], before: Texts, after: Texts, file: str, title: str) -> Table:
    parts = defaultdict(list)
    for id in before:
        if id in after:
            parts[key(id)].append(id)
    rows = []
    for name, ids in sorted(parts.items()):
        references = [before[id][0] for id in ids]
        old, words = word_errors(references, [before[id][1] for id in ids])
        new, _ = word_errors(references, [after[id][1] for id in ids])
        total = int(words.sum())
        rows.append([name, len(ids), total, old.sum() / total, new.sum() / total, (new.sum() - old.sum()) / total])
    columns = [Column(what), Column("utterances", "count"), Column("words", "count"), Column("dense WER", "percent")]
    columns += [Column("ticket's WER", "percent"), Column("difference", "points")]
    return Table(file, title, columns, [[float(v) if hasattr(v, "dtype") else v for v in row] for row in rows])


def _kinds(one: Experiment, name: str, file: str, title: str) -> Chart:
    series = {"substitutions": [], "deletions": [], "insertions": []}
    played = [(r, r.hypotheses[name]) for r in one.rounds if name in r.hypotheses]
    for _, texts in played:
        aligned = jiwer.process_words(*(list(side) for side in zip(*texts.values(), strict=True)))
        words = aligned.hits + aligned.substitutions + aligned.deletions
        for kind in series:
            series[kind].append(getattr(aligned, kind) / words)
    x = [r.density for r, _ in played]
    axes = Axis("weights remaining", "percent", log=True, reverse=True), Axis(f"errors per {name} word", "percent")
    lines = [Series(kind, x, values) for kind, values in series.items()]
    return Chart(file, f"Kinds of errors, {one.label}, seed {one.seed}{title}", *axes, lines)


def _most(counts: Counter) -> str:
    return min(counts, key=lambda word: (-counts[word], word)) if counts else ""
