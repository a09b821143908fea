"""What a recogniser puts out; token 0 is the blank."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Tokens(Protocol):
    """The tokens of a model: pieces of text with numbers from 1 on."""

    symbols: tuple[str, ...]  # token i + 1 is symbols[i]

    @property
    def key(self) -> str:
        """Return what of it can change a round's result; `lth.speech.bpe.of_key` makes the tokens from it again."""
        ...

    @property
    def characters(self) -> Iterable[str]:
        """Return the characters that a text may consist of."""
        ...

    def __len__(self) -> int:
        """Return the number of classes, the blank included."""
        ...

    def encode(self, text: str) -> Tensor:
        """Return the tokens of a text, int64 (L,)."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens (no blanks), with single spaces and none at the ends."""
        ...

    def begins_word(self, token: int) -> bool:
        """Tell whether the word before this token, if there is one, is complete when it comes: a character's space, a
        piece of BPE that starts with "\u2581". The tokens from one such token to the next decode to one word, or to
        none (two spaces); the tokens before the first one too."""
        ...


class CharacterTokens:
    """A closed list of characters, each once; token ``i + 1`` is ``symbols[i]``."""

    def __init__(self, symbols: Iterable[str]):
        self.symbols = tuple(dict.fromkeys(symbols))
        self._index = {symbol: n + 1 for n, symbol in enumerate(self.symbols)}

    @classmethod
    def of(cls, texts: Iterable[str], characters: str | None = None) -> "CharacterTokens":
        """Make tokens of these ``characters``, or of those that occur in ``texts``, sorted."""
        return cls(characters or sorted(set().union(*texts)))

    @property
    def key(self) -> str:
        """Return the characters as one string."""
        return "".join(self.symbols)

    @property
    def characters(self) -> tuple[str, ...]:
        """Return the characters that a text may consist of."""
        return self.symbols

    def __len__(self) -> int:
        """Return the number of classes, the blank included."""
        return len(self.symbols) + 1

    def encode(self, text: str) -> Tensor:
        """Return the tokens of a text, int64 (L,). Raises KeyError for a character that is not a token."""
        return torch.tensor([self._index[c] for c in text], dtype=torch.long)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens (no blanks), with single spaces and none at the ends."""
        return " ".join("".join(self.symbols[t - 1] for t in tokens).split())

    def begins_word(self, token: int) -> bool:
        """Tell whether this is the space, after which a word begins and before which one is complete; in a language
        without spaces every character is a word."""
        return token > 0 and (self.symbols[token - 1] == " " or " " not in self.symbols)
