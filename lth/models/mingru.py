"""minGRU and minLSTM: gates that see the input only, so that all frames can be computed at once.

Feng, Tung, Ahmed, Bengio and Hajimirsadeghi (2024), "Were RNNs All We Needed?", sections 3.1 and 3.2, with the
activation g of their appendix B, which keeps states positive.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lth.models.scan import positive, states


class MinRNN(nn.Module):
    """The base of both minimal recurrent layers: ``h_t = (1 - b_t) h_(t-1) + b_t g(candidate(x_t))``, from h_0 = 0.

    Called as torch's recurrent layers with ``batch_first=True`` are: (B, T, inputs) to (B, T, units) and the last
    state (B, units). Every gate's matrix is a linear layer of its own. Gates and states are fp32 under autocast: in
    bf16 they would be off by a quarter and more.
    """

    def __init__(self, inputs: int, units: int, *, batch_first: bool = True):
        super().__init__()
        if not batch_first:
            raise ValueError("minGRU and minLSTM take (B, T, inputs) only: batch_first=True.")
        self.candidate = nn.Linear(inputs, units)

    def logit(self, x: Tensor) -> Tensor:
        """Return the logits (..., units) of b_t, the share of the candidate that is taken, for (..., inputs)."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over all frames at once, or from a state on one by one."""
        if state is None:
            y = states(self.logit(x), self.candidate(x))
        else:
            y = torch.stack([state := self.step(frame, state) for frame in x.unbind(1)], 1)
        return y, y[:, -1]

    def step(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """Return the state after one frame (B, inputs), given the state before it (B, units), None at the start."""
        taken, new = self.logit(x).sigmoid(), positive(_precise(self.candidate(x)))
        return taken * new if state is None else torch.lerp(state, new, taken)


class MinGRU(MinRNN):
    """A minGRU layer: ``h_t = (1 - z_t) h_(t-1) + z_t g(W_h x_t)``, z_t = sigmoid(W_z x_t)."""

    def __init__(self, inputs: int, units: int, *, batch_first: bool = True):
        super().__init__(inputs, units, batch_first=batch_first)
        self.gate = nn.Linear(inputs, units)

    def logit(self, x: Tensor) -> Tensor:
        """Return the logits (..., units) of the gate z for (..., inputs)."""
        return _precise(self.gate(x))


class MinLSTM(MinRNN):
    """A minLSTM layer: ``h_t = f' h_(t-1) + i' g(W_h x_t)``, the forget and input gates divided by their sum."""

    def __init__(self, inputs: int, units: int, *, batch_first: bool = True):
        super().__init__(inputs, units, batch_first=batch_first)
        self.forget, self.input = nn.Linear(inputs, units), nn.Linear(inputs, units)

    def logit(self, x: Tensor) -> Tensor:
        """Return the logits (..., units) of the input gate i' for (..., inputs)."""
        # sigmoid(i) / (sigmoid(f) + sigmoid(i)) is the sigmoid of the difference of their logarithms
        return F.logsigmoid(_precise(self.input(x))) - F.logsigmoid(_precise(self.forget(x)))


def _precise(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
