"""Which words a search may put out, and how the tokens spell them."""

import logging
from collections.abc import Iterable
from pathlib import Path

from lth.decoding.ngram import END, START, UNKNOWN
from lth.errors import UserError
from lth.speech.tokens import Tokens

log = logging.getLogger(__name__)

BLANK, SILENCE = "<blank>", "|"


def vocabulary(lm: str | None, lexicon: str | None) -> list[str]:
    """Read the words of a lexicon, of which each line begins with one, or else those of an ARPA file.

    Raises:
        UserError: the file is not there, is no text, or has no words.
    """
    key = "decoder.lexicon" if lexicon else "decoder.lm"
    path = Path(lexicon or lm or "").expanduser()
    if not path.is_file():
        raise UserError(f"{key}={path} is no file; give one, or null")
    try:
        with path.open(encoding="utf-8") as lines:
            words = [line.split()[0] for line in lines if line.split()] if lexicon else list(_unigrams(lines))
    except UnicodeDecodeError:
        if lexicon:
            raise UserError(f"{key}={path} is no text: a lexicon has a word a line") from None
        raise UserError(f"{key}={path} does not list its words: give decoder.lexicon=FILE with a word a line") from None
    words = [word for word in dict.fromkeys(words) if word not in (START, END, UNKNOWN)]
    if not words:
        raise UserError(f"{key}={path} has no words: {'a lexicon has one a line' if lexicon else 'give another'}")
    return words


def spelled(words: Iterable[str], tokens: Tokens, source: str) -> dict[str, list[list[str]]]:
    """Map each word to its spellings in the names of tokens; a word that cannot be spelled is left out.

    Raises:
        UserError: none can.
    """
    space, spellings, lost = space_of(tokens), {}, []
    for word in words:
        try:
            spelling = [_name(token) for token in tokens.encode(word).tolist()]
        except KeyError:
            lost.append(word)
        else:
            spellings[word] = [spelling if space is None else [*spelling, SILENCE]]
    if not spellings:
        raise UserError(
            f"{source}: none of its {len(lost)} words, such as {lost[0]!r}, can be spelled with the model's tokens "
            f"({' '.join(tokens.symbols[:40]).strip()}); words have to be written as the transcripts are"
        )
    if lost:
        log.warning("%s: %d of its words, such as %r, cannot be spelled with the tokens", source, len(lost), lost[0])
    return spellings


def names(tokens: Tokens) -> list[str]:
    """Name every token for flashlight; the space is the silence, and where there is none the silence comes last."""
    space = space_of(tokens)
    named = [BLANK, *(SILENCE if token == space else _name(token) for token in range(1, len(tokens)))]
    return named if space is not None else [*named, SILENCE]


def space_of(tokens: Tokens) -> int | None:
    """Return the token that is a space between words; None where pieces of BPE contain it."""
    return tokens.symbols.index(" ") + 1 if " " in tokens.symbols else None


def _name(token: int) -> str:
    return f"t{token}"


def _unigrams(lines: Iterable[str]) -> Iterable[str]:
    inside = False
    for line in lines:
        if line.startswith("\\"):
            if inside:
                return
            inside = line.startswith("\\1-grams:")
        elif inside and len(parts := line.split()) > 1:
            yield parts[1]
