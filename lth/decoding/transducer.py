"""What a transducer says, frame by frame (Graves 2012, section 2.5)."""

import torch
from torch import Tensor

from lth.models.transducer import Transducer

#: Tokens that one frame can carry: a bound on what a badly trained model says.
MOST = 10


@torch.no_grad()
def likeliest(model: Transducer, encoded: Tensor, lengths: Tensor) -> list[list[int]]:
    """The likeliest token at every step, at a frame until it is the blank; all utterances at once."""
    said: list[list[int]] = [[] for _ in encoded]
    nothing = torch.zeros(len(encoded), 1, dtype=torch.long, device=encoded.device)
    predicted, state = model.prediction(nothing, nothing[:, 0] + 1)
    predicted = predicted[:, 0]
    for t in range(encoded.shape[1]):
        going = (t < lengths.to(encoded.device)).nonzero()[:, 0]
        for _ in range(MOST):
            best = model.joint(encoded[going, t], predicted[going]).argmax(-1)
            going, best = going[best != 0], best[best != 0]
            if not len(going):
                break
            for n, token in zip(going.tolist(), best.tolist(), strict=True):
                said[n].append(token)
            new, (h, c) = model.prediction(best[:, None], best * 0 + 1, (state[0][:, going], state[1][:, going]))
            predicted[going] = new[:, 0].to(predicted.dtype)
            state[0][:, going], state[1][:, going] = h.to(state[0].dtype), c.to(state[1].dtype)
    return said
