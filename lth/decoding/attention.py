"""Attention models: the likeliest token at every step."""

import torch
from torch import Tensor

from lth.models.attention import key_mask
from lth.models.transformer import Transformer


@torch.no_grad()
def best_tokens(model: Transformer, encoded: Tensor, lengths: Tensor) -> list[list[int]]:
    """Return for each utterance the likeliest next token again and again, until it is the end of the sentence.

    There are at most as many tokens as frames.

    Args:
        encoded, lengths: (B, T', units) and (B,), what ``model`` returned.
    """
    speech, mask = model.decoder.key_values(encoded), key_mask(lengths, encoded.shape[1])
    token, kv_cache = lengths.new_zeros(len(lengths), 1), None
    ended, chosen = lengths < 1, []
    for step in range(int(lengths.max())):
        logits, kv_cache = model.decoder(token, torch.ones_like(lengths), speech, mask, kv_cache)
        token = logits[:, -1:].argmax(-1)
        ended = ended | (token[:, 0] == 0) | (lengths <= step)
        chosen.append(token[:, 0].masked_fill(ended, 0))
        if ended.all():
            break
    tokens = torch.stack(chosen, 1).tolist() if chosen else [[] for _ in lengths]
    return [[token for token in sentence if token] for sentence in tokens]
