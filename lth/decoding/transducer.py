"""Transducers: the likeliest token at every step."""

import torch
from torch import Tensor, nn

from lth.models.transducer import State

#: Tokens that may come of one frame, so that a model that never says blank comes to an end.
MOST = 10


#: What the prediction network makes of the tokens so far, (B, 1, joint), and its state.
Said = tuple[Tensor, State]


def best_tokens(model: nn.Module, encoded: Tensor, lengths: Tensor, most: int = MOST) -> list[list[int]]:
    """Frame by frame the likeliest token until it is the blank (Graves 2012, section 2.5 with a beam of one).

    All utterances go on together, each at a frame of its own.

    Args:
        encoded, lengths: (B, T', units) and (B,), what ``model`` returned.
        most: tokens of one frame.
    """
    return go_on(model, encoded, lengths, None, most)[0]


@torch.no_grad()
def go_on(
    model: nn.Module, encoded: Tensor, lengths: Tensor, begun: Said | None, most: int = MOST
) -> tuple[list[list[int]], Said]:
    """The same of the next frames of utterances that have ``begun``, and where that leaves them; None: nothing is said
    yet."""
    rows, ones = torch.arange(len(lengths), device=encoded.device), torch.ones_like(lengths)
    heard = model.joint.heard(encoded)
    frame, spoken = torch.zeros_like(lengths), torch.zeros_like(lengths)
    said, state = begun or model.predictor(torch.zeros_like(lengths)[:, None], ones)
    found = []
    while (alive := frame < lengths).any():
        now = heard[rows, frame.clamp_max(encoded.shape[1] - 1)]
        token = model.joint(now + said[:, 0]).argmax(-1).masked_fill(~alive, 0)
        speaks = token > 0
        spoken = torch.where(speaks, spoken + 1, 0)
        leaves = ~speaks | (spoken >= most)
        frame, spoken = frame + leaves, spoken.masked_fill(leaves, 0)
        if speaks.any():
            found.append(token)
            new, after = model.predictor(token[:, None], ones, state)
            said = torch.where(speaks[:, None, None], new, said)
            state = tuple(torch.where(speaks[None, :, None], b, a) for a, b in zip(state, after, strict=True))
    tokens = torch.stack(found, 1).tolist() if found else [[] for _ in lengths]
    return [[token for token in sentence if token] for sentence in tokens], (said, state)
