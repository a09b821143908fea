"""What a corpus holds, and what of it is not used."""

import time
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from lth.commands.command import command, screen
from lth.errors import UserError

if TYPE_CHECKING:
    from lth.speech.corpora.corpus import Corpus
    from lth.speech.corpora.measure import Split

#: Ids that are named of those that are dropped.
NAMED = 3


def prepare(config: DictConfig, console) -> "dict[str, Split]":
    """Load the corpus, which fetches and reads what is missing, and say what is in it; return the splits.

    Every file is decoded once.

    Raises:
        UserError: the corpus is not there, a file of it cannot be decoded, or a text has unknown characters.
    """
    from rich import box
    from rich.table import Table

    from lth.lottery.setup.build import build
    from lth.speech.corpora.measure import Split

    started = time.perf_counter()
    corpus = build(config, "corpus.loader")
    splits = {name: Split.of(cuts) for name, cuts in corpus.splits().items()}
    table = Table("set", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("utterances", "hours", "speakers", "words", "seconds each", "words not in train"):
        table.add_column(column, justify="right")
    known = splits["train"].vocabulary
    for name, one in splits.items():
        new = f"{len(one.vocabulary - known) / max(1, len(one.vocabulary)):.1%}" if name != "train" else ""
        span = f"{one.shortest:.1f} to {one.longest:.1f}" if one.utterances else ""
        row = (one.utterances, f"{one.seconds / 3600:.2f}", len(one.speakers), one.words, span, new)
        table.add_row(name, *map(str, row))
    console.print(f"[bold]{corpus.name}[/bold]  fingerprint {corpus.fingerprint[:16]}")
    console.print(table)
    said, wrong = remarks(config, corpus, splits)
    for sentence in said:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    wrong += [sentence for one in splits.values() for sentence in one.unreadable]
    if wrong:
        raise UserError(wrong[0] + (f" ({len(wrong)} such faults in all)" if len(wrong) > 1 else ""))
    seconds = time.perf_counter() - started
    console.print(f"all of it can be decoded and used; {seconds:.1f} s", highlight=False)
    return splits


def remarks(config: DictConfig, corpus: "Corpus", splits: "dict[str, Split]") -> tuple[list[str], list[str]]:
    """Return what a user should know before training (characters, what is dropped, speakers that are in two sets), and
    what stands in the way of training."""
    from lth.lottery.setup.build import build, make
    from lth.lottery.setup.setting import build_perturbation, choose_tokens
    from lth.speech.corpora.corpus import drop_too_short, unknown_characters
    from lth.speech.features import Features

    features, tokens = make(Features, config, "features"), choose_tokens(config, corpus, None)
    model = build(config, "model", features=features.bins, tokens=len(tokens))
    characters = "".join(sorted(splits["train"].characters))
    said, wrong = [f"characters of train: {characters!r} ({len(characters)}); {len(tokens)} output classes"], []
    if found := unknown_characters(corpus.splits(), tokens.characters):
        wrong.append(f"{found}, which is not among the output tokens; correct the text or add it to tokens=")
    else:
        corpus = drop_too_short(
            corpus,
            lambda samples: model.out_length(features.frames(samples)),
            lambda text: model.frames_needed(tokens.encode(text).tolist()),
            build_perturbation(config).shortest,
        )
    for reason, ids in corpus.dropped.items():
        some = ", ".join(ids[:NAMED]) + (", …" if len(ids) > NAMED else "")
        said.append(f"dropped, {reason}: {len(ids)} ({some})")
    for name, one in splits.items():
        if name != "train" and (both := (one.speakers & splits["train"].speakers) - {"unknown"}):
            said.append(f"{len(both)} of the {len(one.speakers)} speakers of {name} are in train too ({min(both)}, …)")
    return said, wrong


def main(program: str) -> int:
    """Do the command; return its exit code."""
    return command(program, "prepare", lambda config: prepare(config, screen()))
