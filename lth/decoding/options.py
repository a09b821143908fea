"""What the options of decoders may be, all of them in one place."""

from collections.abc import Callable, Sequence

from lth.decoding.ngram import END, START, UNKNOWN
from lth.speech.tokens import Tokens

#: No weight of a word or of a text needs to be larger; sums of such stay finite.
LARGEST = 1e6


def check(**options: object) -> None:
    """Check the options of a decoder, by the names that all decoders share.

    Raises:
        ValueError: an option makes no sense; the message begins with its name and value.
    """
    for name, value in options.items():
        if problem := RULES[name](value):
            raise ValueError(f"{name}={_shown(value)} {problem}")


def check_spelling(hotwords: Sequence[str], tokens: Tokens) -> None:
    """Check that a model's tokens can spell every hot word.

    Raises:
        ValueError: they cannot; the message begins with "hotwords=".
    """
    for word in hotwords:
        try:
            tokens.encode(word)
        except KeyError:
            raise ValueError(
                f"hotwords={_shown(hotwords)}: {word!r} cannot be spelled with the model's tokens "
                f"({' '.join(tokens.symbols[:40]).strip()}); write it as the transcripts do"
            ) from None


def _whole(value: object) -> str:
    return "" if type(value) is int and value >= 1 else "is not a whole number of at least 1"


def _whole_or_none(value: object) -> str:
    return "" if value is None or not _whole(value) else "is not a whole number of at least 1, nor null"


def _number(value: object, low: float = -LARGEST, high: float = LARGEST) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return ""  # NaN is nowhere between them
    return f"is not a number from {low:g} to {high:g}"


def _positive(value: object) -> str:
    return "" if not _number(value, 0) and value else f"is not a number above 0 and at most {LARGEST:g}"


def _file(value: object) -> str:
    return "" if value is None or (isinstance(value, str) and value.strip()) else "names no file: give a path, or null"


def _words(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, list | tuple):
        return f"is not a list: write the words in brackets, [{value or 'WORD'}]"
    for word in value:
        if not isinstance(word, str):
            return f"holds {word}, which is not text: write it in two pairs of quotes, '[\"{word}\"]'"
        if not word.strip():
            return "holds an empty word: leave it out"
        if len(word.split()) > 1 or word != word.strip():
            return f"holds {word!r}, which has spaces: give its words one by one, [{','.join(word.split())}]"
        if word in (START, END, UNKNOWN):
            return f"holds {word}, which is no word of a sentence: leave it out"
    return ""


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(map(str, value))}]"
    return "null" if value is None else str(value)


#: Option to what is wrong with a value of it, empty where nothing is.
RULES: dict[str, Callable[[object], str]] = {
    "width": _whole,
    "most": _whole,
    "candidates": _whole_or_none,
    "tokens_tried": _whole_or_none,
    "processes": _whole_or_none,
    "threshold": _positive,
    "ctc_weight": lambda value: _number(value, 0, 1),
    "alpha": lambda value: _number(value, 0),
    "beta": _number,
    "boost": _number,
    "lm": _file,
    "lexicon": _file,
    "hotwords": _words,
}
