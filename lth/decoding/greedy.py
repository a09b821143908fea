"""Best-path CTC decoding: the likeliest token of every frame, repeats merged, blanks dropped (Graves 2006)."""

from torch import Tensor

from lth.speech.tokens import CharacterTokens


def greedy(logits: Tensor, lengths: Tensor, tokens: CharacterTokens) -> list[str]:
    """(B, T, tokens) scores and (B,) lengths to B texts."""
    best = logits.argmax(-1).cpu()
    texts = []
    for path, length in zip(best, lengths.tolist(), strict=True):
        merged = path[:length].unique_consecutive()
        texts.append(tokens.decode(merged[merged != 0].tolist()))
    return texts
