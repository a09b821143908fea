"""The likeliest token at every step: ``decoder=greedy``, for every kind of model."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lth.decoding import attention, transducer
from lth.speech.tokens import Tokens


class Greedy:
    """A decoder that never looks further than the next token.

    Args:
        tokens: of the model's output.
        family: the kind of model.
    """

    families: tuple[str, ...] = ("ctc", "transducer", "attention")

    def __init__(self, tokens: Tokens, family: str):
        self.tokens = tokens
        steps: dict[str, Callable[[Any, Tensor, Tensor], list[list[int]]]] = {
            "ctc": best_path,
            "transducer": transducer.best_tokens,
            "attention": attention.best_tokens,
        }
        self.step = steps[family]

    def __call__(self, model: nn.Module, encoded: Tensor, lengths: Tensor) -> list[str]:
        """Return the texts of B utterances from what ``model`` returned: (B, T', units or tokens) and (B,) lengths."""
        return [self.tokens.decode(path) for path in self.step(model, encoded, lengths)]


def best_path(model: nn.Module, logits: Tensor, lengths: Tensor) -> list[list[int]]:
    """Return CTC's best path: the likeliest token of every frame, repeats merged, blanks dropped (Graves et al. 2006,
    section 3.2)."""
    paths = []
    for path, length in zip(logits.argmax(-1).cpu(), lengths.tolist(), strict=True):
        merged = path[:length].unique_consecutive()
        paths.append(merged[merged != 0].tolist())
    return paths
