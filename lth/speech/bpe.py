"""Byte pair encoding (Sennrich et al. 2016), by sentencepiece: ``text=bpe``."""

import io
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from lth.errors import UserError, needs
from lth.speech.tokens import CharacterTokens, Tokens

if TYPE_CHECKING:
    import sentencepiece

#: How sentencepiece writes the space that a piece begins with.
SPACE = "\u2581"
#: What the key of such tokens begins with; no list of characters does.
MARK = "bpe\n"


class BPETokens:
    """Tokens of BPE: pieces in the order in which they were merged, then single characters; token ``i + 1`` is
    ``symbols[i]``.

    The order is all that the encoding depends on, so the key says it whole and everything else is made from it.
    """

    def __init__(self, symbols: Iterable[str]):
        self.symbols = tuple(symbols)

    @classmethod
    def of(cls, texts: Iterable[str], characters: str | None = None, *, size: int) -> "BPETokens":
        """Learn ``size`` pieces from ``texts``.

        Args:
            characters: to be spelled beside those that occur.

        Raises:
            UserError: sentencepiece is not installed, or the texts have not as many pieces, or more characters.
        """
        if size < 1:
            raise UserError(f"text.size={size} is too small: give the number of pieces, at least 1")
        with needs("bpe", "text=bpe"):
            import sentencepiece  # an extra, which many do without
            from sentencepiece import sentencepiece_model_pb2
        file = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=file,
                model_type="bpe",
                vocab_size=size + 1,  # with the unknown piece, which stands where the blank does and never occurs
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                character_coverage=1.0,
                required_chars=(characters or "").replace(" ", ""),
                normalization_rule_name="identity",
                max_sentence_length=2**30,
                num_threads=1,
                minloglevel=3,
            )
        except RuntimeError as error:
            raise UserError(_too_many_or_few(size, str(error))) from error
        model = cast(Any, sentencepiece_model_pb2).ModelProto  # made when the module is imported
        return cls(piece.piece for piece in model.FromString(file.getvalue()).pieces[1:])

    @property
    def key(self) -> str:
        """Return what of it can change a round's result; `of_key` makes the tokens from it again."""
        return MARK + "\n".join(self.symbols)

    @property
    def size(self) -> int:
        """Return the number of pieces."""
        return len(self.symbols)

    @property
    def characters(self) -> frozenset[str]:
        """Return the characters that a text may consist of."""
        return frozenset(piece.replace(SPACE, " ") for piece in self.symbols if len(piece) == 1) | {" "}

    def __len__(self) -> int:
        """Return the number of classes, the blank included."""
        return self.size + 1

    def encode(self, text: str) -> Tensor:
        """Return the tokens of a text, int64 (L,). Raises KeyError for a character that no piece spells."""
        tokens = self._processor.encode(text)
        if 0 in tokens:
            raise KeyError(next(c for c in text if c not in self.characters))
        return torch.tensor(tokens, dtype=torch.long)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens (no blanks), with single spaces and none at the ends."""
        return " ".join("".join(self.symbols[t - 1] for t in tokens).replace(SPACE, " ").split())

    def begins_word(self, token: int) -> bool:
        """Tell whether the piece begins with a space, so that the word before it is complete."""
        return token > 0 and self.symbols[token - 1].startswith(SPACE)

    @cached_property
    def _processor(self) -> "sentencepiece.SentencePieceProcessor":
        with needs("bpe", "text=bpe"):
            import sentencepiece
            from sentencepiece import sentencepiece_model_pb2
        protobuf = cast(Any, sentencepiece_model_pb2)  # whose classes are made when it is imported
        proto = protobuf.ModelProto()
        proto.trainer_spec.model_type = protobuf.TrainerSpec.BPE
        proto.normalizer_spec.name = "identity"
        unknown = proto.pieces.add(piece="<unk>", score=0.0)
        unknown.type = protobuf.ModelProto.SentencePiece.UNKNOWN
        for rank, piece in enumerate(self.symbols):  # what was merged first is merged first
            proto.pieces.add(piece=piece, score=-rank)
        return sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())

    def __getstate__(self) -> dict:  # a processor is made anew in every worker
        return {"symbols": self.symbols}


def of_key(key: str) -> Tokens:
    """Make the tokens of a ``key``."""
    return BPETokens(key.removeprefix(MARK).split("\n")) if key.startswith(MARK) else CharacterTokens(key)


def is_bpe(key: str | None) -> bool:
    """Tell whether tokens of this key are pieces."""
    return key is not None and key.startswith(MARK)


def _too_many_or_few(size: int, error: str) -> str:
    """Say in one sentence why sentencepiece refuses a size; it counts the unknown piece too."""
    if match := re.search(r"value <= (\d+)", error):
        largest = int(match[1]) - 1
        return f"text.size={size} is more than the training transcripts have pieces: give text.size={largest} or less"
    if match := re.search(r"required_chars\. \d+ vs (\d+)", error):
        least = int(match[1]) - 1
        return f"text.size={size} is less than the training transcripts have characters: give text.size={least} or more"
    return f"text.size={size}: no pieces can be learnt from the training transcripts ({error})"
