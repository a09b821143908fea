"""What the survivors return to."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lth.tickets.mask import Mask


@torch.no_grad()
def rewind(init: Mapping[str, Tensor], mask: Mask) -> dict[str, Tensor]:
    """Return a copy of `init` with the masked weights zero: the ticket (Frankle and Carbin 2019, step 4).

    Survivors, and everything that is not prunable (biases, normalisation), equal `init` bit for bit.

    Args:
        init: the initial values by name, on any one device; the copy stays there.
        mask: what is kept.

    Raises:
        ValueError: `init` lacks a parameter of the mask or has it in another shape.
    """
    mask.check_fits(init, "init")
    return {
        name: torch.where(mask[name].to(tensor.device), tensor, 0) if name in mask else tensor.clone()
        for name, tensor in init.items()
    }
