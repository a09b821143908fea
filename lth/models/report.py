"""What a model costs and sees: parameters, multiply-accumulates, frames, receptive field."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

#: Input frames of the pass that is counted, and of the one that is differentiated.
COUNTED, SEEN = 1000, 240


@dataclass(frozen=True)
class Report:
    """Of a model as it is, whatever its weights.

    Args:
        parameters, prunable: values; those that may be pruned.
        macs: multiply-accumulates for an input frame, of what ``forward`` does, for an utterance of `COUNTED` frames;
            what a decoder does token by token comes on top.
        frames: output frames for an input frame.
        receptive: (before, after): input frames that an output frame in the middle sees before and after its own; None
            where it sees as far as an utterance of `SEEN` frames goes.
    """

    parameters: int
    prunable: int
    macs: float
    frames: float
    receptive: tuple[int | None, int | None]


def report(model: nn.Module, bins: int) -> Report:
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
    """Multiply-accumulates of ``forward`` for one utterance: convolutions, matrix products, attention, recurrence."""
    model.eval()
    recurrent: list[int] = []
    # In matrix products, which the counter knows on every device.
    with _counted(model, recurrent), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, frames, bins), torch.tensor([frames]))
    return counter.get_total_flops() // 2 + sum(recurrent)


@contextmanager
def _counted(model: nn.Module, found: list[int]) -> Iterator[None]:
    """LSTMs and GRUs are counted by their matrices and not run: only some of them are one operation to the counter."""

    def count(module: nn.RNNBase, x: Tensor, state: object = None) -> tuple[Tensor, None]:
        steps = x.shape[0] * x.shape[1]
        found.append(steps * sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight")))
        return x.new_zeros(*x.shape[:2], module.hidden_size), None

    modules = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    for module in modules:
        module.forward = MethodType(count, module)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def receptive_field(model: nn.Module, bins: int) -> tuple[int | None, int | None]:
    """Input frames before and after its own that an output frame in the middle depends on, by its gradient.

    None where that is as far as there are any. Weights become positive, so that nothing cancels, and each row of them
    a mean; what an output frame's own frame is follows from the frame rate.
    """
    model = model.double().eval()
    for parameter in model.parameters():  # sums of what comes in stay about as large as that, at any width
        parameter.data.uniform_(0.5, 1.0).div_(max(1, parameter[0].numel() if parameter.dim() > 1 else 1))
    x = torch.rand(1, SEEN, bins, dtype=torch.float64).mul_(0.01).requires_grad_()
    y, (length,) = model(x, torch.tensor([SEEN]))
    middle = int(length) // 2
    y[0, middle].sum().backward()
    seen = x.grad[0].abs().sum(1).nonzero().flatten()
    own = round((middle + 0.5) * SEEN / int(length))
    first, last = int(seen.min()), int(seen.max())
    margin = 2 * SEEN // int(length)  # the last frames may fill no output frame
    return (None if first <= margin else own - first), (None if last >= SEEN - 1 - margin else last - own)


def rows(model: nn.Module, parts: Sequence[Sequence[tuple[str, Sequence[str]]]]) -> list[tuple[str, str, Tensor, int]]:
    """(layer, parameter, tensor, group) of everything prunable.

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
