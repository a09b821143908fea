"""A small real recogniser's shapes: convolutions, a bidirectional LSTM, a linear layer."""

import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

#: Prunable parameters by layer, as (module, parameter); the LSTM's two layers are two layers here too.
LAYERS = [
    [("conv1", "weight")],
    [("conv2", "weight")],
    *[[("rnn", f"weight_{kind}_l{n}{way}") for way in ("", "_reverse") for kind in ("ih", "hh")] for n in range(2)],
    [("linear", "weight")],
]
PRUNABLE = [parameter for layer in LAYERS for parameter in layer]
NAMES = [[".".join(parameter) for parameter in layer] for layer in LAYERS]


def small_model() -> nn.Module:
    return nn.ModuleDict(
        {
            "conv1": nn.Conv2d(1, 8, (11, 5)),
            "norm": nn.BatchNorm2d(8),
            "conv2": nn.Conv2d(8, 8, (7, 5)),
            "rnn": nn.LSTM(64, 48, num_layers=2, bidirectional=True),
            "linear": nn.Linear(96, 29),
        }
    )


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The trained weights, whether or not torch.nn.utils.prune has reparametrised them."""
    return {
        f"{module}.{name}": getattr(model[module], f"{name}_orig", getattr(model[module], name)).detach()
        for module, name in PRUNABLE
    }


def torch_masks(model: nn.Module) -> dict[str, Tensor]:
    return {f"{module}.{name}": getattr(model[module], f"{name}_mask").bool() for module, name in PRUNABLE}


def pretend_to_train(model: nn.Module, seed: int) -> None:
    """Move every weight, then let torch.nn.utils.prune mask it anew, as a forward pass would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    for module in {module for module, _ in PRUNABLE}:
        for hook in model[module]._forward_pre_hooks.values():
            if isinstance(hook, torch_prune.BasePruningMethod):
                hook(model[module], None)
