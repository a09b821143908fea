"""What is common to decoders: which models they read, and what of their options can change a transcript."""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from lth.errors import UserError
from lth.files import sha256

#: (model, what it returned, lengths) to texts. Its class says in ``families`` which families of models it reads.
Decoder = Callable[[nn.Module, Tensor, Tensor], list[str]]

#: Options that name a file, of which the content counts and not the place.
FILES = ("lm", "lexicon")
#: Options that cannot change a transcript.
SILENT = ("processes",)


def key_of(decoder: Mapping) -> dict:
    """Return what of a decoder's config can change a transcript."""
    named = {name: value for name, value in decoder.items() if name not in SILENT}
    return {name: _content(name, value) if name in FILES and value else value for name, value in named.items()}


def _content(name: str, path: str) -> str:
    try:
        return sha256(Path(path).expanduser())
    except OSError as error:
        raise UserError(f"decoder.{name}={path} cannot be read ({error.strerror})") from None
