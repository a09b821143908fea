"""A prediction of the memory that a training will take."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from lth.errors import UserError

GIB = 2**30
#: Frames of the two short utterances that are tried.
SHORT, LONG = 120, 240
#: Values of fp32 beside each parameter: its gradient and AdamW's two moments.
BESIDE = 3
#: What is predicted must be so much more than there is for a refusal: what fits is never refused.
SURE = 1.1
#: Where Linux says what a container may use, in its two versions.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
#: Models with more parameters are not tried out but judged by their parameters alone.
MOST = 400_000_000


def activations(model: nn.Module, bins: int, frames: int) -> float:
    """Return the bytes that autograd keeps for the backward pass of one utterance of so many frames, fp32.

    Measured on two short ones and extended by the parabola through them and nothing for none: what attention keeps
    grows with the square of the length.
    """
    short, long = _kept(model, bins, SHORT), _kept(model, bins, LONG)
    square = (long / LONG - short / SHORT) / (LONG - SHORT)
    return frames * (short / SHORT + max(0.0, square) * (frames - SHORT))


def _kept(model: nn.Module, bins: int, frames: int) -> int:
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)  # or its address could be given out again
        return tensor

    alive: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.zeros(1, frames, bins), torch.tensor([frames]))
    return sum(seen.values())


def predicted(model: nn.Module, bins: int, frames: int, utterances: int, share: float = 1.0) -> float:
    """Predict the bytes of training on batches of so many utterances of so many frames: weights, gradients, moments,
    activations.

    The loss, what an optimiser's step needs for a moment and the allocator's waste are left out: on the small presets
    this was 0.5 to 1.1 of what a training took. ``share`` is of the activations' bytes, 1 for fp32.
    """
    parameters = sum(p.numel() for p in model.parameters())
    total = 4 * (1 + BESIDE) * parameters
    if parameters > MOST:
        return total
    training = model.training
    with torch.random.fork_rng(devices=[]):
        total += share * utterances * activations(model.train(), bins, frames)
    model.train(training)
    return total


def available(accelerator: str) -> int:
    """Return the bytes of memory that the device has in all, or that the container may use of them."""
    if accelerator == "cuda":
        return torch.cuda.mem_get_info()[1]
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [file.read_text().strip() for file in LIMITS if file.is_file()]
    return min([installed, *(int(limit) for limit in limits if limit.isdigit())])


def check_memory(
    model: nn.Module,
    bins: int,
    frames: int,
    utterances: int,
    accelerator: str,
    *,
    half: bool = False,
    limit: int | None = None,
) -> None:
    """Check that a training fits in memory, as far as can be predicted.

    Args:
        model: not used afterwards: its statistics change.
        frames: of the longest utterance.
        half: activations are bf16, at least most of them.
        limit: bytes that there are; None: what the device has.

    Raises:
        UserError: the prediction is more than the device has.
    """
    limit = available(accelerator) if limit is None else limit
    needed = predicted(model, bins, frames, utterances, 0.5 if half else 1.0)
    if needed > SURE * limit:
        where = "this GPU" if accelerator == "cuda" else "this machine"
        name, parameters = type(model).__name__, sum(p.numel() for p in model.parameters())
        raise UserError(
            f"training this {name} takes more than {needed / GIB:.1f} GiB, for {parameters:,} "
            f"parameters and batches of {utterances} utterances of up to {frames} frames, and {where} has "
            f"{limit / GIB:.1f} GiB: lower trainer.batch_size or trainer.max_duration, or choose a smaller model="
        )
