"""One speaker of a corpus, to adapt a recogniser to: a few utterances to train on, the rest to choose by and test."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from lhotse import CutSet, MonoCut

from lth.errors import UserError
from lth.speech.corpora.corpus import Corpus, fingerprint

log = logging.getLogger(__name__)


def of_speaker(corpus: Corpus, speaker: str, utterances: int, seed: int) -> Corpus:
    """Make the corpus of one speaker: ``utterances`` for train, half of the rest for dev, the other half for test.

    They are taken from all splits of ``corpus``, in an order that depends on the seed and their ids only, so the
    same seed and more ``utterances`` train on what fewer did and more.

    Raises:
        UserError: there is no such speaker, or they have said too little to be tested on.
    """
    splits = corpus.splits()
    cuts = [cut for cut in _cuts(splits) if cut.supervisions[0].speaker == speaker]
    if not cuts:
        raise UserError(f"speaker={speaker} says nothing in {corpus.name}; its speakers are {_names(corpus)}")
    if utterances > len(cuts) - 2:
        raise UserError(
            f"speaker={speaker} has {len(cuts)} utterances in {corpus.name}, and dev and test need one each: "
            f"utterances={utterances} is at most {len(cuts) - 2}"
        )
    if any(cut.supervisions[0].speaker == speaker for cut in cast(Iterable[MonoCut], corpus.train)):
        log.warning(
            "%s is in the train split of %s: a ticket found there has heard this speaker before, dev and test included",
            speaker,
            corpus.name,
        )
    cuts.sort(key=lambda cut: _place(cut, seed))
    dev = utterances + (len(cuts) - utterances) // 2
    parts = {"train": cuts[:utterances], "dev": cuts[utterances:dev], "test": cuts[dev:]}
    train, dev, test = (CutSet.from_cuts(part) for part in parts.values())
    return Corpus(f"{corpus.name}-{speaker}", train, dev, {"test": test}, fingerprint(parts))


def _cuts(splits: Mapping[str, CutSet]) -> Iterator[MonoCut]:
    for cuts in splits.values():
        yield from cast(Iterable[MonoCut], cuts)


def _place(cut: MonoCut, seed: int) -> str:
    return hashlib.sha256(f"{seed} {cut.id}".encode()).hexdigest()


def _names(corpus: Corpus, most: int = 12) -> str:
    names = sorted({cast(str, cut.supervisions[0].speaker) for cut in _cuts(corpus.splits())})
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
