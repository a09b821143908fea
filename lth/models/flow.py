"""The linear network of absolute weights that SynFlow measures (Tanaka, Kunin, Yamins and Ganguli 2020, section 6).

Theirs are feed-forward networks of ReLUs, which absolute weights make linear. What else a recogniser has is
replaced by what it is in a linear network: a normalisation by the identity, a bias by none, and an LSTM or GRU
layer by ``y_t = A x_t + U A x_(t-1)`` with A and U the sums of its gates' input and recurrent matrices, so that a
path goes through at most one recurrent step and every gate counts. A minGRU or minLSTM layer is the sum of its gates,
an attention ``O (Q x_t + mean of (K + V) x_s)``: a path goes through one of queries, keys and values. A gated linear
unit is the sum of its halves. Positions add nothing, and the tokens that a decoder reads are an input of ones like
that of the frames. Saturation (a hard ceiling) is kept away by an input so small that nothing reaches it; the scale of
the flow means nothing.
"""

import types
from collections.abc import Callable, Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from lth.models.attention import Attention, KeyValue, Positions
from lth.models.mingru import MinGRU, MinLSTM, MinRNN

#: Frames of the input, and its value everywhere.
FRAMES, SMALL = 32, 1e-60


def flow_gradients(
    model: nn.Module, weights: Mapping[str, Tensor], names: Iterable[str], bins: int
) -> dict[str, Tensor]:
    """Return dR/d|w| for the parameters ``names``, R the sum of what comes out for an input of ones.

    Conserved: the sum of |w| dR/d|w| is R for every layer that all paths go through, up to the eps of normalisations.
    Scaled to 1 at the largest, fp32.

    Args:
        model: (1, T, bins), (1,) to logits and lengths; it is changed. If what it returns are no logits, its
            ``outputs`` makes of them all that comes out.
        weights: its values by name.

    Raises:
        ValueError: a recurrent module of several layers or directions.
    """
    absolute = {name: w.to("cpu", torch.float64).abs() if w.is_floating_point() else w for name, w in weights.items()}
    model.load_state_dict(absolute, assign=True)
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            _identity(module)
        elif type(module) in INSTEAD:
            module.forward = types.MethodType(INSTEAD[type(module)], module)
        elif isinstance(module, nn.RNNBase):
            if module.num_layers > 1 or module.bidirectional or module.proj_size:
                raise ValueError("SynFlow follows recurrent modules of one layer and one direction only.")
            module.forward = types.MethodType(_linear, module)
        elif getattr(module, "bias", None) is not None:
            cast(nn.Parameter, module.bias).data.zero_()
    chosen = {name: parameter for name, parameter in model.named_parameters() if name in set(names)}
    x = torch.full((1, FRAMES, bins), SMALL, dtype=torch.float64)
    result, _ = model(x, torch.tensor([FRAMES]))
    outputs: Callable[[Tensor], Tensor] | None = getattr(model, "outputs", None)
    result = result if outputs is None else outputs(result)
    gradients = torch.autograd.grad(result.sum(), list(chosen.values()))
    largest = max((float(g.max()) for g in gradients if g.numel()), default=0.0) or 1.0
    return {name: (g / largest).float() for name, g in zip(chosen, gradients, strict=True)}


def _identity(norm: nn.Module) -> None:
    for name, value in {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}.items():
        if getattr(norm, name, None) is not None:
            getattr(norm, name).data.fill_(value)


def _sum(module: MinRNN, x: Tensor) -> tuple[Tensor, None]:
    """Take the place of a minimal recurrent module's forward."""
    return cast(Tensor, sum(gate(x) for gate in module.children())), None


def _linear(module: nn.RNNBase, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, None]:
    """Take the place of a recurrent module's forward."""
    units, time = module.hidden_size, 1 if module.batch_first else 0
    inputs = cast(Tensor, module.weight_ih_l0).view(-1, units, x.shape[-1]).sum(0)
    hidden = cast(Tensor, module.weight_hh_l0).view(-1, units, units).sum(0)
    now = x @ inputs.T
    before = torch.cat([torch.zeros_like(now.narrow(time, 0, 1)), now.narrow(time, 0, now.shape[time] - 1)], time)
    return now + before @ hidden.T, None


def _attend(module: Attention, x: Tensor, key_value: KeyValue, mask: Tensor | None = None, **_) -> Tensor:
    """Take the place of an attention's forward; all frames are real."""
    attended = cast(Tensor, sum(key_value)).mean(2, keepdim=True).transpose(1, 2).flatten(2)
    return module.out(module.q(x) + attended)


def _as_it_is(module: nn.Module, x: Tensor, *_) -> Tensor:
    return x


def _ones(module: nn.Embedding, tokens: Tensor) -> Tensor:
    return module.weight.new_full((*tokens.shape, module.embedding_dim), SMALL)


def _both(module: nn.GLU, x: Tensor) -> Tensor:
    """Take the place of a gated unit: add what it lets through and what opens it."""
    return cast(Tensor, sum(x.chunk(2, module.dim)))


#: What stands in the linear network for modules of these kinds.
INSTEAD = {
    Attention: _attend,
    MinGRU: _sum,
    MinLSTM: _sum,
    Positions: _as_it_is,
    nn.LayerNorm: _as_it_is,
    nn.SiLU: _as_it_is,
    nn.GELU: _as_it_is,
    nn.GLU: _both,
    nn.Embedding: _ones,
}
