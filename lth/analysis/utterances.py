"""What two networks heard in the same utterances, and telling examples of it.

Transcripts are a mapping: "dev", "test" (the corpus's primary test set) or the name of a further test set ->
utterance id -> (reference, hypothesis).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import jiwer

from lth.analysis.document import Hypothesis
from lth.speech.wer import word_errors
from lth.store.rows import set_names
from lth.store.store import StoredRound

Transcripts = Mapping[str, Mapping[str, tuple[str, str]]]


@dataclass(frozen=True)
class Example:
    """One utterance, and what both networks heard."""

    id: str
    reference: str
    dense: Hypothesis
    ticket: Hypothesis
    change: int  # wrong words of the ticket minus those of the dense network


def transcripts(stored: StoredRound) -> Transcripts:
    """Return the transcripts of a round, nothing if its files are gone."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    if not (stored.path / "hypotheses.jsonl").is_file():
        return found
    for row in stored.hypotheses():
        found.setdefault(row["set"], {})[row["id"]] = (row["reference"], row["hypothesis"])
    names = {"dev": "dev", **set_names(name for name in found if name != "dev")}
    return {names[name]: texts for name, texts in found.items()}


def speakers(stored: StoredRound) -> dict[str, str]:
    """Return who says each utterance, by its id, as far as the corpus knows; nothing if the round's files are gone."""
    if not (stored.path / "hypotheses.jsonl").is_file():
        return {}
    return {row["id"]: row["speaker"] for row in stored.hypotheses() if row.get("speaker")}


def examples(dense: Transcripts, ticket: Transcripts, each_way: int = 3) -> list[Example]:
    """Return the utterances whose number of wrong words changed most, those that got worse first; test, else dev."""
    name = next((name for name in ("test", "dev") if name in dense and name in ticket), None)
    if name is None:
        return []
    ids, references, first, second = _paired(dense[name], ticket[name])
    changes = (word_errors(references, second)[0] - word_errors(references, first)[0]).tolist()
    order = sorted(range(len(ids)), key=lambda n: (-changes[n], ids[n]))
    worse = [n for n in order if changes[n] > 0][:each_way]
    better = [n for n in reversed(order) if changes[n] < 0][:each_way]
    return [
        Example(
            ids[n],
            references[n],
            marked(references[n], first[n]),
            marked(references[n], second[n]),
            changes[n],
        )
        for n in (*worse, *better)
    ]


def marked(reference: str, hypothesis: str) -> Hypothesis:
    """Return the hypothesis word by word; what the reference has and it lacks stands in place as "delete"."""
    aligned = jiwer.process_words(reference, hypothesis)
    found: list[tuple[str, str]] = []
    for chunk in aligned.alignments[0]:
        if chunk.type == "delete":
            words: Iterable[str] = aligned.references[0][chunk.ref_start_idx : chunk.ref_end_idx]
        else:
            words = aligned.hypotheses[0][chunk.hyp_start_idx : chunk.hyp_end_idx]
        found += [(word, chunk.type) for word in words]
    return Hypothesis(tuple(found))


def _paired(dense: Mapping[str, tuple[str, str]], ticket: Mapping[str, tuple[str, str]]) -> tuple[list[str], ...]:
    ids = [id for id in dense if id in ticket]
    return ids, [dense[id][0] for id in ids], [dense[id][1] for id in ids], [ticket[id][1] for id in ids]
