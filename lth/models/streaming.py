"""A causal DeepSpeech2 that hears frames as they come; its logits are those of the whole utterance."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lth.models.deepspeech2 import ConvBlock, DeepSpeech2, pair
from lth.models.lengths import FrameBatchNorm


class Window:
    """A buffer of the frames that a convolution over time still needs; time is the last axis.

    Args:
        size, stride: of the convolution; it may not skip frames.
        before, after: zeros that stand around the utterance.
    """

    def __init__(self, size: int, stride: int = 1, before: int = 0, after: int = 0):
        if stride > size:
            raise ValueError(f"a convolution over {size} frames every {stride} skips some: it cannot be streamed")
        self.size, self.stride, self.before, self.after = size, stride, before, after
        self.kept: Tensor | None = None

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        """Take (..., T) new frames, and return those that the convolution's next outputs see, none while there is
        none."""
        x = F.pad(x, (self.before, 0)) if self.kept is None else torch.cat([self.kept, x], -1)
        x = F.pad(x, (0, self.after)) if last else x
        outputs = max(0, (x.shape[-1] - self.size) // self.stride + 1)
        self.kept = x[..., outputs * self.stride :]
        return x[..., : (outputs - 1) * self.stride + self.size if outputs else 0]


class Stream:
    """A batch of utterances of equal length, heard in parts of any size.

    What is kept between two parts: the frames under each convolution, the state of each recurrent layer, and the
    frames that the lookahead waits for.

    Raises:
        ValueError: a model of another kind, one that hears backwards, or one that is training.
    """

    def __init__(self, model: nn.Module):
        causal = "only a causal DeepSpeech2 can be streamed, such as model=deepspeech2_streaming"
        if not isinstance(model, DeepSpeech2):
            raise ValueError(f"{causal}; this is a {type(model).__name__}")
        if any(block.backwards is not None for block in model.rnns):
            raise ValueError(f"{causal}; this one is bidirectional")
        if model.training:
            raise ValueError("a model is streamed after training: call eval() first")
        self.model = model
        self.windows = [_window(block) for block in model.convs]
        self.states: list = [None] * len(model.rnns)
        self.ahead = (
            None if model.lookahead is None else Window(model.lookahead.context + 1, after=model.lookahead.context)
        )

    @torch.no_grad()
    def __call__(self, x: Tensor, last: bool = False) -> Tensor:
        """Map (B, T, features), T from 0 on, to the (B, T', tokens) logits that are certain now: all, with ``last``."""
        return self.model.output(self.encode(x, last))

    @torch.no_grad()
    def encode(self, x: Tensor, last: bool = False) -> Tensor:
        """Map (B, T, features), T from 0 on, to the (B, T', units) that the logits are made of."""
        x = x.transpose(1, 2).unsqueeze(1)
        for block, window in zip(self.model.convs, self.windows, strict=True):
            x = _convolved(block, window(x, last))
        x = x.permute(0, 3, 1, 2).flatten(2)
        x = self._recurrent(x) if x.shape[1] else x.new_zeros(len(x), 0, self.model.norm.num_features)
        if self.ahead is not None and self.model.lookahead is not None:
            x = self.ahead(x.transpose(1, 2), last)
            x = self.model.lookahead.rows(x) if x.shape[-1] else x.transpose(1, 2)
        return _normalised(self.model.norm, x)

    def _recurrent(self, x: Tensor) -> Tensor:
        for n, block in enumerate(self.model.rnns):
            x = x if block.norm is None else _normalised(block.norm, x)
            x, self.states[n] = block.forwards(x, self.states[n])
        return x


def _window(block: ConvBlock) -> Window:
    padding = pair(block.conv.padding)[1]
    return Window(block.conv.kernel_size[1], block.conv.stride[1], before=padding, after=padding)


def _convolved(block: ConvBlock, x: Tensor) -> Tensor:
    """Map the (B, C, F, T) frames under the convolution to its (B, C', F', T') outputs."""
    conv, padding = block.conv, pair(block.conv.padding)[0]
    if not x.shape[-1]:
        bins = (x.shape[2] + 2 * padding - conv.kernel_size[0]) // conv.stride[0] + 1
        return x.new_zeros(len(x), conv.out_channels, bins, 0)
    x = F.conv2d(x, conv.weight, stride=conv.stride, padding=(padding, 0))
    return F.hardtanh(_normalised(block.norm, x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), 0.0, 20.0)


def _normalised(norm: FrameBatchNorm, x: Tensor) -> Tensor:
    return norm(x, x.new_ones(x.shape[:2], dtype=torch.bool))
