"""Norms of what a model's matrices are multiplied with, taken while it runs."""

from functools import partial
from typing import Self, cast

import torch
from torch import Tensor, nn

from lth.models.ctc import Model
from lth.models.lengths import OverTokens, valid_frames


class InputNorms:
    """A context that sums the squares of the inputs of every Conv2d, Linear, LSTM and GRU of a model while it lasts.

    An input matrix weighs what its layer receives, a recurrent one the hidden states of the step before, and a
    convolution's weight the feature it meets at every place of the kernel. What comes of padding frames is left
    out.

    Args:
        model: called as ``model(x, lengths)``, x (B, T, bins), and with ``out_length``.

    Raises:
        ValueError: a recurrent module of several layers or directions, or a convolution in groups.
    """

    def __init__(self, model: Model):
        self._squares: dict[str, Tensor] = {}
        self._model = model
        self._lengths: dict[int, Tensor] = {}  # by the number of frames they are lengths in

    def __enter__(self) -> Self:
        self._hooks = [self._model.register_forward_pre_hook(self._begin)]
        for name, module in self._model.named_modules():
            if isinstance(module, OverTokens):
                self._hooks.append(module.register_forward_pre_hook(self._begin_tokens))
                self._hooks.append(module.register_forward_hook(self._end_tokens))
            for kind, squares in KINDS.items():
                if isinstance(module, kind):
                    self._hooks.append(module.register_forward_hook(partial(getattr(self, squares), name)))
        return self

    def __exit__(self, *_) -> None:
        for hook in self._hooks:
            hook.remove()

    def norms(self) -> dict[str, Tensor]:
        """Return the norms by parameter, fp32, to be broadcast over its outputs: (1, in), or (1, in, *kernel) of a
        convolution."""
        return {name: squares.sqrt().float()[None] for name, squares in self._squares.items()}

    def _begin(self, model: Model, args: tuple) -> None:
        x, lengths = args
        self._lengths = {x.shape[1]: lengths, model.out_length(x.shape[1]): model.out_length(lengths)}

    def _begin_tokens(self, module: OverTokens, args: tuple) -> None:
        tokens, lengths, *_ = args
        self._frame_lengths, self._lengths = self._lengths, {tokens.shape[1]: lengths}

    def _end_tokens(self, module: OverTokens, args: tuple, result: Tensor) -> None:
        self._lengths = self._frame_lengths

    def _valid(self, x: Tensor) -> Tensor | None:
        """Return which frames of (B, T, C) are real, (B, T); None where nothing is known of them."""
        known = self._lengths.get(x.shape[1]) if x.dim() == 3 else None
        return None if known is None else valid_frames(known, x.shape[1])

    def _add(self, name: str, squares: Tensor) -> None:
        self._squares[name] = self._squares.get(name, 0) + squares.double()

    def _frames(self, name: str, x: Tensor, valid: Tensor | None) -> None:
        """Add the squares of (B, T, C), or of anything with features last."""
        squares = x.double().square()
        if valid is not None:
            squares = squares * valid[..., None]
        self._add(name, squares.flatten(0, -2).sum(0))

    def _linear(self, name: str, module: nn.Linear, args: tuple, result: Tensor) -> None:
        self._frames(f"{name}.weight", args[0], self._valid(args[0]))

    def _recurrent(self, name: str, module: nn.RNNBase, args: tuple, result: tuple) -> None:
        if module.num_layers > 1 or module.bidirectional or module.proj_size:
            raise ValueError("Norms are taken of recurrent modules of one layer and one direction only.")
        x, y = (t if module.batch_first else t.transpose(0, 1) for t in (args[0], result[0]))
        valid = self._valid(x)
        self._frames(f"{name}.weight_ih_l0", x, valid)
        self._frames(f"{name}.weight_hh_l0", y[:, :-1], None if valid is None else valid[:, 1:])  # the first's is zero

    def _strided(self, name: str, module: nn.Conv1d, args: tuple, result: Tensor) -> None:
        """Keep lengths known after a convolution over frames alone; its inputs are not summed."""
        self._conv_lengths(module, args[0].shape[-1], result.shape[-1])

    def _conv(self, name: str, module: nn.Conv2d, args: tuple, result: Tensor) -> None:
        if module.groups > 1:
            raise ValueError("Norms are not taken of convolutions in groups.")
        down, across = cast(tuple[int, int], module.padding)
        x = nn.functional.pad(args[0].double().square(), (across, across, down, down))
        rows, columns = (
            (torch.arange(size)[:, None] * dilation + torch.arange(places) * stride).to(x.device)
            for size, dilation, places, stride in zip(
                module.kernel_size, module.dilation, result.shape[-2:], module.stride, strict=True
            )
        )
        valid = self._conv_valid(module, args[0].shape[-1], result.shape[-1])
        squares = x.new_empty(x.shape[1], *module.kernel_size)
        for j, when in enumerate(columns):
            along = (x[..., when] * valid).sum((0, 3))  # (C, F) over all real places in time
            for i, at in enumerate(rows):
                squares[:, i, j] = along[:, at].sum(1)
        self._add(f"{name}.weight", squares)

    def _conv_valid(self, module: nn.Conv2d, frames: int, places: int) -> Tensor | float:
        """Return which places of the kernel in time belong to the utterance, (B, 1, 1, places); 1 where lengths are not
        known.

        Lengths stay known after this convolution.
        """
        if frames not in self._lengths:
            return 1.0
        self._conv_lengths(module, frames, places)
        return valid_frames(self._lengths[places], places)[:, None, None]

    def _conv_lengths(self, module: nn.Conv1d | nn.Conv2d, frames: int, places: int) -> None:
        if frames in self._lengths:
            spread = module.dilation[-1] * (module.kernel_size[-1] - 1)
            padding = cast(int, module.padding[-1])
            lengths = (self._lengths[frames] + 2 * padding - spread - 1) // module.stride[-1] + 1
            self._lengths[places] = lengths


#: What is done with the inputs of modules of these kinds.
KINDS = {nn.Conv1d: "_strided", nn.Conv2d: "_conv", nn.Linear: "_linear", nn.RNNBase: "_recurrent"}
