"""What a model costs and sees: parameters, multiply-accumulates, frames, receptive field."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType, UnionType

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lth.models.ctc import Model
from lth.models.mingru import MinRNN

#: Input frames of the pass that is counted.
COUNTED = 1000
#: Input frames of the passes that are differentiated, the longer one where the field does not end in the shorter one.
WINDOWS = (240, 4000)
#: A receptive field that does not end in the longer window has more frames than this to that side.
LIMIT = 1900


@dataclass(frozen=True)
class Report:
    """What a model costs and sees, whatever its weights.

    Args:
        parameters, prunable: values; those that may be pruned.
        macs: multiply-accumulates for an input frame, of what ``forward`` does, for an utterance of `COUNTED` frames;
            what a decoder does token by token comes on top.
        frames: output frames for an input frame.
        receptive: (before, after): input frames that an output frame in the middle sees before and after its own; None
            where they are more than `LIMIT`.
    """

    parameters: int
    prunable: int
    macs: float
    frames: float
    receptive: tuple[int | None, int | None]


def report(model: Model, bins: int) -> Report:
    """Measure a model on the CPU; its weights are changed, and the global random stream is not."""
    with torch.random.fork_rng(devices=[]):
        parameters = dict(model.named_parameters())
        prunable = sum(parameters[name].numel() for layer in model.prunable().values() for name in layer)
        return Report(
            sum(p.numel() for p in parameters.values()),
            prunable,
            macs(model, COUNTED, bins) / COUNTED,
            model.out_length(COUNTED) / COUNTED,
            receptive_field(model, bins),
        )


@torch.no_grad()
def macs(model: nn.Module, frames: int, bins: int) -> int:
    """Count multiply-accumulates of ``forward`` for an utterance: convolutions, matrix products, attention, recurrence.

    LSTMs and GRUs are counted by their matrices and not run: only some of them are one operation to the counter.
    """
    model.eval()
    recurrent: list[int] = []

    def count(module: nn.RNNBase, x: Tensor, state: object = None) -> tuple[Tensor, None]:
        steps = x.shape[0] * x.shape[1]
        recurrent.append(steps * sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight")))
        return x.new_zeros(*x.shape[:2], module.hidden_size), None

    # In matrix products, which the counter knows on every device.
    math = sdpa_kernel(SDPBackend.MATH)
    with _forward_replaced(model, nn.RNNBase, count), math, FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, frames, bins), torch.tensor([frames]))
    return counter.get_total_flops() // 2 + sum(recurrent)


@contextmanager
def _forward_replaced(model: nn.Module, kind: type | UnionType, forward: Callable) -> Iterator[None]:
    modules = [module for module in model.modules() if isinstance(module, kind)]
    for module in modules:
        module.forward = MethodType(forward, module)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def receptive_field(model: nn.Module, bins: int) -> tuple[int | None, int | None]:
    """Return the input frames before and after its own that an output frame in the middle depends on, by its gradient.

    None where they are more than `LIMIT`. Weights become positive, so that nothing cancels, and each row of them a
    mean; what an output frame's own frame is follows from the frame rate. A recurrent layer is replaced by a running
    sum, which depends on the same frames: its own gradient would underflow over thousands of steps.
    """
    model = model.double().eval().requires_grad_(False)
    for parameter in model.parameters():  # sums of what comes in stay about as large as that, at any width
        parameter.data.uniform_(0.5, 1.0).div_(max(1, parameter[0].numel() if parameter.dim() > 1 else 1))
    before = after = None
    with _forward_replaced(model, nn.RNNBase | MinRNN, _running_sum):
        for window in WINDOWS:
            before, after = _field_within(window, model, bins)
            if before is not None and after is not None:
                break
    return before, after


def _field_within(window: int, model: nn.Module, bins: int) -> tuple[int | None, int | None]:
    """Measure the receptive field in an utterance of ``window`` frames; None for a side that reaches its end."""
    x = torch.rand(1, window, bins, dtype=torch.float64).mul_(0.01).requires_grad_()
    y, (length,) = model(x, torch.tensor([window]))
    middle = int(length) // 2
    (gradient,) = torch.autograd.grad(y[0, middle].sum(), x)
    seen = gradient[0].abs().sum(1).nonzero().flatten()
    own = round((middle + 0.5) * window / int(length))
    first, last = int(seen.min()), int(seen.max())
    margin = 2 * window // int(length)  # the last frames may fill no output frame
    return (None if first <= margin else own - first), (None if last >= window - 1 - margin else last - own)


def _running_sum(module: nn.RNNBase | MinRNN, x: Tensor, state: object = None) -> tuple[Tensor, None]:
    """Take the place of a recurrent layer's forward; each direction is a sum of the frames so far, its end a mean."""
    time = 1 if isinstance(module, MinRNN) or module.batch_first else 0
    units = module.candidate.out_features if isinstance(module, MinRNN) else module.proj_size or module.hidden_size
    x = x.mean(-1, keepdim=True) / x.shape[time]
    sums = [x.cumsum(time).expand(*x.shape[:2], units)]
    if not isinstance(module, MinRNN) and module.bidirectional:
        sums.append(x.flip(time).cumsum(time).flip(time).expand(*x.shape[:2], units))
    return torch.cat(sums, -1), None


def rows(model: nn.Module, parts: Sequence[Iterable[tuple[str, Sequence[str]]]]) -> list[tuple[str, str, Tensor, int]]:
    """Return (layer, parameter, tensor, group) of everything prunable.

    Args:
        parts: groups of layers, each with its parameters' names, as ``strategy=layerwise`` makes them.
    """
    parameters = dict(model.named_parameters())
    return [
        (layer, name, parameters[name], number)
        for number, part in enumerate(parts, 1)
        for layer, names in part
        for name in names
    ]
