"""Conformer: self-attention for what is far, convolution for what is near (Gulati et al. 2020), trained by CTC.

The blocks are those of ``torchaudio.models.Conformer`` (no positional encoding: the convolutions tell frames apart),
written anew because torchaudio's let padding into the depthwise convolution and into batch normalisation, so that an
utterance's transcript depends on its neighbours' lengths, and because its ``nn.MultiheadAttention`` keeps queries,
keys and values in one parameter that belongs to no linear layer, and leaves its modules out altogether when it
evaluates, with whatever hooks they have.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from lth.models.attention import Attention, key_mask
from lth.models.ctc import CTCModel
from lth.models.lengths import FrameBatchNorm, Length, valid_frames
from lth.models.subsampling import Subsampling

#: What ``prunable`` may be.
PRUNABLE = ("linear", "all")


class Pointwise(nn.Linear):
    """A pointwise convolution: the linear layer that it is, counted among the convolutions."""


class HalfStep(nn.Module):
    """A feed-forward layer of a Transformer, half of which is added (Gulati et al. 2020, section 2.3)."""

    def __init__(self, units: int, hidden: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(units)
        self.up = nn.Linear(units, hidden)
        self.swish = nn.SiLU()
        self.down = nn.Linear(hidden, units)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, units) to (B, T, units)."""
        return x + 0.5 * self.dropout(self.down(self.dropout(self.swish(self.up(self.norm(x))))))


class Convolution(nn.Module):
    """A gated pointwise, a depthwise and a pointwise convolution (section 2.2); frames outside an utterance are
    silence.

    With a stride it hands on fewer frames of other ``outputs``, beside which stands a linear layer of those frames
    (Burchi & Vielzeuf 2021, section 3.1).
    """

    def __init__(self, units: int, kernel: int, dropout: float, outputs: int | None = None, stride: int = 1):
        super().__init__()
        outputs, self.stride = outputs or units, stride
        self.norm = nn.LayerNorm(units)
        self.gated = Pointwise(units, 2 * outputs)
        self.gate = nn.GLU()
        self.depthwise = nn.Conv1d(outputs, outputs, kernel, stride, kernel // 2, groups=outputs, bias=False)
        self.frame_norm = FrameBatchNorm(outputs)
        self.swish = nn.SiLU()
        self.out = Pointwise(outputs, outputs)
        self.dropout = nn.Dropout(dropout)
        self.beside = nn.Identity() if (outputs, stride) == (units, 1) else Pointwise(units, outputs)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map (B, T, units), real where (B, T) ``valid`` is True, to (B, T', outputs)."""
        y = self.gate(self.gated(self.norm(x))) * valid[..., None]
        y = self.depthwise(y.transpose(1, 2)).transpose(1, 2)
        y = self.dropout(self.out(self.swish(self.frame_norm(y, valid[:, :: self.stride]))))
        return self.beside(x[:, :: self.stride]) + y


class Block(nn.Module):
    """A Conformer block: half a feed-forward layer, attention, convolution and the other half (section 2.4).

    ``outputs``, ``stride`` and ``hidden_after`` are of what comes after the convolution, where that is something else.
    """

    def __init__(
        self,
        units: int,
        heads: int,
        hidden: int,
        kernel: int,
        dropout: float,
        *,
        outputs: int | None = None,
        hidden_after: int | None = None,
        stride: int = 1,
    ):
        super().__init__()
        outputs = outputs or units
        self.before = HalfStep(units, hidden, dropout)
        self.attention_norm = nn.LayerNorm(units)
        self.attention = Attention(units, heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.convolution = Convolution(units, kernel, dropout, outputs, stride)
        self.after = HalfStep(outputs, hidden_after or hidden, dropout)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor, valid: Tensor, mask: Tensor) -> Tensor:
        """Map (B, T, units), with its ``valid_frames`` and ``key_mask``, to (B, T', outputs)."""
        x = self.before(x)
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, self.attention.key_value(y), mask))
        return self.norm(self.after(self.convolution(x, valid)))


class Conformer(CTCModel):
    """A CTC model of Conformer blocks behind a subsampling front end.

    Args:
        features: bins a frame.
        tokens: output classes, the blank included.
        channels, convolutions: of the front end, each of which halves the frame rate.
        layers, units, feed_forward: depth, width, and inner width of the feed-forward layers; or of each stage, the
            last block of which, but for that of the last stage, halves the frame rate and has the next one's width
            (Burchi & Vielzeuf 2021).
        heads, kernel: of attention, and frames that a depthwise convolution sees (odd).
        prunable: ``linear``, all linear layers as in Ding et al. (2022), or ``all``, convolutions too.

    Raises:
        ValueError: a size below 1, stages of different numbers, an even kernel, heads that do not divide the units, or
            an unknown ``prunable``.
    """

    def __init__(
        self,
        features: int,
        tokens: int,
        *,
        channels: int = 32,
        convolutions: int = 2,
        layers: int | Sequence[int] = 6,
        units: int | Sequence[int] = 144,
        heads: int = 4,
        feed_forward: int | Sequence[int] = 576,
        kernel: int = 31,
        dropout: float = 0.1,
        prunable: str = "linear",
    ):
        super().__init__()
        stages = {"layers": layers, "units": units, "feed_forward": feed_forward}
        layers, units, hidden = ([size] if isinstance(size, int) else list(size) for size in stages.values())
        if any(type(size) is not int for size in (*layers, *units, *hidden)):
            raise ValueError(f"{', '.join(stages)} are whole numbers, or a list of them for each stage")
        if not len(layers) == len(units) == len(hidden):
            raise ValueError(
                f"{', '.join(stages)} are of the same number of stages, not of {layers}, {units}, {hidden}"
            )
        if min(channels, convolutions, kernel, *layers, *units, *hidden) < 1 or kernel % 2 == 0:
            raise ValueError(
                "channels, convolutions, layers, units, feed_forward and kernel are at least 1, and kernel is odd"
            )
        if prunable not in PRUNABLE:
            raise ValueError(f"prunable is {' or '.join(PRUNABLE)}, not {prunable}")
        self.pruned = prunable
        self.subsampling = Subsampling(features, channels, units[0], convolutions)
        self.dropout = nn.Dropout(dropout)
        of = [stage for stage, count in enumerate(layers) for _ in range(count)]
        blocks = nn.ModuleList(
            Block(
                units[stage],
                heads,
                hidden[stage],
                kernel,
                dropout,
                outputs=units[then],
                hidden_after=hidden[then],
                stride=1 if then == stage else 2,
            )
            for stage, then in pairwise([*of, of[-1]])
        )
        self.blocks = cast(Sequence[Block], blocks)
        self.output = nn.Linear(units[-1], tokens)

    def encode(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, features) and (B,) lengths to the (B, T', units) that ``output`` reads, and (B,) lengths."""
        x, lengths = self.dropout(self.subsampling(x)), self.subsampling.out_length(lengths)
        for block in self.blocks:
            valid, mask = valid_frames(lengths, x.shape[1]), key_mask(lengths, x.shape[1])
            x, lengths = block(x, valid, mask), (lengths - 1) // block.convolution.stride + 1
        return x, lengths

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, features) and (B,) lengths to (B, T', tokens) logits and (B,) lengths."""
        x, lengths = self.encode(x, lengths)
        return self.output(x), lengths

    def out_length(self, length: Length) -> Length:
        """Return the output frames for ``length`` input frames, an int or a tensor of them."""
        length = self.subsampling.out_length(length)
        for block in self.blocks:
            length = (length - 1) // block.convolution.stride + 1
        return length

    def prunable(self) -> dict[str, list[str]]:
        """Return the prunable parameters by layer, from input to output: the parts of a block are layers.

        Never a bias, a norm or a depthwise kernel, which is one filter of a few values for each unit.
        """
        kinds = nn.Linear | nn.Conv2d if self.pruned == "all" else nn.Linear
        layers: dict[str, list[str]] = {}
        for name, module in self.named_modules():
            if isinstance(module, kinds) and (self.pruned == "all" or not isinstance(module, Pointwise)):
                layer = name.rsplit(".", 1)[0] if name.startswith("blocks.") else name
                layers.setdefault(layer, []).append(f"{name}.weight")
        return layers
