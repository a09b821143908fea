"""The exceptions a user is meant to read, and what stands behind others."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Bad input, said in one sentence that names the file, key or utterance and the remedy.

    The commands print it without a traceback and exit with code 2. A DataLoader hands on what its worker raised
    as the text of the whole traceback; only the sentence at its end is kept.
    """

    def __init__(self, sentence: str = ""):
        if sentence.startswith("Caught ") and "Traceback (most recent call last)" in sentence:
            sentence = sentence.rstrip().splitlines()[-1].partition(": ")[2]
        super().__init__(sentence)


class Infeasible(UserError):
    """A strategy that cannot be played with this model; a search takes note and goes on."""


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Import packages of an extra; one that is not installed is said in a sentence.

    Args:
        extra: of ``pip install "audio-lottery[EXTRA]"``.
        what: the user asked for that needs it, as typed.

    Raises:
        UserError: one of the packages is not installed.
    """
    try:
        yield
    except ImportError as error:
        name = (error.name or str(error)).partition(".")[0]
        raise UserError(
            f'{what} needs the package {name}, which is not installed: pip install "audio-lottery[{extra}]"'
        ) from error
