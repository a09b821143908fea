"""What a corpus holds, counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lth.errors import UserError
from lth.speech.corpora.corpus import load_audio


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
        for cut in cuts:
            said = cut.supervisions[0]
            found.utterances += 1
            found.seconds += cut.duration
            found.shortest, found.longest = min(found.shortest, cut.duration), max(found.longest, cut.duration)
            found.words += len(said.text.split())
            found.speakers.add(said.speaker)
            found.characters.update(said.text)
            found.vocabulary.update(said.text.split())
            try:
                load_audio(cut)
            except UserError as error:
                found.unreadable.append(str(error))
        return found
