"""A word n-gram language model, from the transcripts of a corpus or from text files."""

import time
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from lth.commands.command import command
from lth.errors import UserError


def make(config: DictConfig) -> Path:
    """Estimate the model of the train transcripts, or of text files, and write it; return where.

    Raises:
        UserError: a file that is not there, no text, or an order that is none.
    """
    from lth.decoding.language import LanguageModel
    from lth.decoding.ngram import estimate, in_units, write_arpa
    from lth.lottery.setup.build import build
    from lth.speech.corpora.corpus import utterance_infos

    for name in ("order", "prune"):
        if not isinstance(config[name], int):
            raise UserError(f"{name}={config[name]} is not a whole number")
    corpus = None if config.texts else build(config, "corpus.loader")
    source = "texts" if corpus is None else corpus.name
    out = Path(config.out or f"{config.outputs}/lm/{source}-{config.order}gram.arpa")
    started = time.perf_counter()
    sentences = list(lines(config.texts) if corpus is None else (one.text for one in utterance_infos(corpus.train)))
    sentences, unit, remark = in_units(sentences, config.units)
    model = estimate(sentences, config.order, config.prune)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_arpa(model, out)
    sizes = ", ".join(f"{len(grams):,} {n}-grams" for n, grams in enumerate(model.probabilities, 1))
    words = sum(len(sentence.split()) for sentence in sentences)
    print(f"{len(sentences):,} sentences, {words:,} {unit}s: {sizes}, in {time.perf_counter() - started:.1f} s")
    if remark:
        print(remark)
    read = LanguageModel(out, "out")
    if corpus is not None:
        dev = [one.text for one in utterance_infos(corpus.dev)]
        dev = [" ".join(text) for text in dev] if unit == "character" else dev
        unknown = read.unknown(word for text in dev for word in text.split())
        print(f"dev: perplexity {read.perplexity(dev):.1f} a {unit}, {unknown:.1%} of the {unit}s unknown")
    print(out)
    return out


def lines(files: list[str]) -> Iterator[str]:
    """Yield the lines of text files that are not empty."""
    for name in [files] if isinstance(files, str) else files:
        try:
            with Path(name).expanduser().open(encoding="utf-8") as file:
                yield from (line for line in map(str.strip, file) if line)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"texts: {name} cannot be read ({error}); give text files with a sentence a line") from None


def main(program: str) -> int:
    """Do the command; return its exit code."""
    return command(program, "ngram", make)
