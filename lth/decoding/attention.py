"""Attention models: the likeliest token at every step."""

import torch
from torch import Tensor, nn

from lth.models.attention import key_mask


@torch.no_grad()
def best_tokens(model: nn.Module, encoded: Tensor, lengths: Tensor) -> list[list[int]]:
    """The likeliest next token until it is the end of the sentence, or there are as many as frames.

    Args:
        encoded, lengths: (B, T', units) and (B,), what ``model`` returned.
    """
    speech, mask = model.decoder.remember(encoded), key_mask(lengths, encoded.shape[1])
    token, past = lengths.new_zeros(len(lengths), 1), None
    ended, found = lengths < 1, []
    for step in range(int(lengths.max())):
        logits, past = model.decoder(token, torch.ones_like(lengths), speech, mask, past)
        token = logits[:, -1:].argmax(-1)
        ended = ended | (token[:, 0] == 0) | (lengths <= step)
        found.append(token[:, 0].masked_fill(ended, 0))
        if ended.all():
            break
    tokens = torch.stack(found, 1).tolist() if found else [[] for _ in lengths]
    return [[token for token in sentence if token] for sentence in tokens]
