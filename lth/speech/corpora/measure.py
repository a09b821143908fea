"""What a corpus holds, counted."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from lhotse import MonoCut

from lth.errors import UserError
from lth.speech.corpora.corpus import load_audio, utterance_infos


@dataclass
class Split:
    """What is measured of one split of a corpus."""

    utterances: int = 0
    seconds: float = 0.0
    words: int = 0
    shortest: float = float("inf")
    longest: float = 0.0
    speakers: set[str] = field(default_factory=set)
    characters: Counter = field(default_factory=Counter)
    vocabulary: set[str] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, cuts: Iterable) -> "Split":
        """Measure the cuts one by one, and decode each of them to find what cannot be."""
        found = cls()
        for cut, fault in decoded(cuts):
            (said,) = utterance_infos([cut])
            found.utterances += 1
            found.seconds += cut.duration
            found.shortest, found.longest = min(found.shortest, cut.duration), max(found.longest, cut.duration)
            found.words += len(said.text.split())
            found.speakers.add(said.speaker)
            found.characters.update(said.text)
            found.vocabulary.update(said.text.split())
            if fault:
                found.unreadable.append(fault)
        return found


def decoded(cuts: Iterable[MonoCut], together: int = 256) -> Iterator[tuple[MonoCut, str | None]]:
    """Decode every cut, several at once; yield each in its order with what is wrong with it, None for nothing."""
    cuts = iter(cuts)
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # libsndfile and soxr let other threads run
        while some := list(islice(cuts, together)):
            yield from zip(some, threads.map(_fault, some), strict=True)


def _fault(cut: MonoCut) -> str | None:
    try:
        load_audio(cut)
    except UserError as error:
        return str(error)
    return None
