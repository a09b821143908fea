"""Transducers: the likeliest token at every step."""

import torch
from torch import Tensor

from lth.models.transducer import State, Transducer

#: Tokens that may come of one frame, so that a model that never says blank comes to an end.
MOST = 10


#: What the prediction network makes of the tokens so far, (B, 1, joint), and its state.
Prediction = tuple[Tensor, State]


def best_tokens(model: Transducer, encoded: Tensor, lengths: Tensor, most: int = MOST) -> list[list[int]]:
    """Return for each utterance the likeliest tokens of each frame until the blank comes.

    This is Graves (2012), section 2.5, with a beam of one.

    All utterances go on together, each at a frame of its own.

    Args:
        encoded, lengths: (B, T', units) and (B,), what ``model`` returned.
        most: tokens of one frame.
    """
    return continue_decoding(model, encoded, lengths, None, most)[0]


@torch.no_grad()
def continue_decoding(
    model: Transducer, encoded: Tensor, lengths: Tensor, prediction: Prediction | None, most: int = MOST
) -> tuple[list[list[int]], Prediction]:
    """Decode the next frames of utterances, as ``best_tokens`` does.

    Args:
        prediction: returned by the call for the frames before these; None at the beginning.

    Returns:
        The tokens of these frames, and the prediction after them.
    """
    rows, ones = torch.arange(len(lengths), device=encoded.device), torch.ones_like(lengths)
    heard = model.joint.heard(encoded)
    frame, spoken = torch.zeros_like(lengths), torch.zeros_like(lengths)
    predicted, state = prediction or model.predictor(torch.zeros_like(lengths)[:, None], ones)
    emitted = []
    while (alive := frame < lengths).any():
        frames = heard[rows, frame.clamp_max(encoded.shape[1] - 1)]
        token = model.joint(frames + predicted[:, 0]).argmax(-1).masked_fill(~alive, 0)
        speaks = token > 0
        spoken = torch.where(speaks, spoken + 1, 0)
        leaves = ~speaks | (spoken >= most)
        frame, spoken = frame + leaves, spoken.masked_fill(leaves, 0)
        if speaks.any():
            emitted.append(token)
            new, after = model.predictor(token[:, None], ones, state)
            predicted = torch.where(speaks[:, None, None], new, predicted)
            hidden, cells = (torch.where(speaks[None, :, None], b, a) for a, b in zip(state, after, strict=True))
            state = (hidden, cells)
    tokens = torch.stack(emitted, 1).tolist() if emitted else [[] for _ in lengths]
    return [[token for token in sentence if token] for sentence in tokens], (predicted, state)
