"""Conformer: self-attention for what is far, convolution for what is near (Gulati et al. 2020), trained by CTC.

The blocks are those of ``torchaudio.models.Conformer`` (no positional encoding: the convolutions tell frames apart),
written anew because torchaudio's let padding into the depthwise convolution and into batch normalisation, so that an
utterance's transcript depends on its neighbours' lengths, and because its ``nn.MultiheadAttention`` keeps queries,
keys and values in one parameter that belongs to no linear layer, and leaves its modules out altogether when it
evaluates, with whatever hooks they have.
"""

from torch import Tensor, nn

from lth.models.attention import Attention, key_mask
from lth.models.ctc import CTCModel
from lth.models.lengths import FrameBatchNorm, valid_frames
from lth.models.transformer import Subsampling

#: What ``prunable`` may be.
PRUNABLE = ("linear", "all")


class Pointwise(nn.Linear):
    """A convolution of one frame: the linear layer that it is, counted among the convolutions."""


class HalfStep(nn.Module):
    """Half of the feed-forward layer of a Transformer (Gulati et al. 2020, section 2.3)."""

    def __init__(self, units: int, hidden: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(units)
        self.up = nn.Linear(units, hidden)
        self.swish = nn.SiLU()
        self.down = nn.Linear(hidden, units)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * self.dropout(self.down(self.dropout(self.swish(self.up(self.norm(x))))))


class Convolution(nn.Module):
    """Gated pointwise, depthwise and pointwise convolution (section 2.2); frames outside an utterance are silence."""

    def __init__(self, units: int, kernel: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(units)
        self.gated = Pointwise(units, 2 * units)
        self.gate = nn.GLU()
        self.depthwise = nn.Conv1d(units, units, kernel, padding=kernel // 2, groups=units, bias=False)
        self.frame_norm = FrameBatchNorm(units)
        self.swish = nn.SiLU()
        self.out = Pointwise(units, units)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        y = self.gate(self.gated(self.norm(x))) * valid[..., None]
        y = self.depthwise(y.transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.out(self.swish(self.frame_norm(y, valid))))


class Block(nn.Module):
    """Half a feed-forward layer, attention, convolution and the other half (section 2.4)."""

    def __init__(self, units: int, heads: int, hidden: int, kernel: int, dropout: float):
        super().__init__()
        self.before = HalfStep(units, hidden, dropout)
        self.attention_norm = nn.LayerNorm(units)
        self.attention = Attention(units, heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.convolution = Convolution(units, kernel, dropout)
        self.after = HalfStep(units, hidden, dropout)
        self.norm = nn.LayerNorm(units)

    def forward(self, x: Tensor, valid: Tensor, mask: Tensor) -> Tensor:
        x = self.before(x)
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, self.attention.remember(y), mask))
        return self.norm(self.after(self.convolution(x, valid)))


class Conformer(CTCModel):
    """CTC acoustic model.

    Args:
        features: bins a frame.
        tokens: output classes, the blank included.
        channels: of the two convolutions that quarter the frame rate.
        layers, units: depth and width.
        heads, feed_forward, kernel: of attention, inner width, and frames that a depthwise convolution sees (odd).
        prunable: ``linear``, all linear layers as in Ding et al. (2022), or ``all``, convolutions too.

    Raises:
        ValueError: a size below 1, an even kernel, heads that do not divide the units, or an unknown ``prunable``.
    """

    def __init__(
        self,
        features: int,
        tokens: int,
        *,
        channels: int = 32,
        layers: int = 6,
        units: int = 144,
        heads: int = 4,
        feed_forward: int = 576,
        kernel: int = 31,
        dropout: float = 0.1,
        prunable: str = "linear",
    ):
        super().__init__()
        if min(channels, layers, units, feed_forward, kernel) < 1 or kernel % 2 == 0:
            raise ValueError("channels, layers, units, feed_forward and kernel are at least 1, and kernel is odd")
        if prunable not in PRUNABLE:
            raise ValueError(f"prunable is {' or '.join(PRUNABLE)}, not {prunable}")
        self.pruned = prunable
        self.subsampling = Subsampling(features, channels, units)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(units, heads, feed_forward, kernel, dropout) for _ in range(layers))
        self.output = nn.Linear(units, tokens)

    def encode(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, features) and (B,) lengths to the (B, T', units) that ``output`` reads, and (B,) lengths."""
        x, lengths = self.dropout(self.subsampling(x)), self.out_length(lengths)
        valid, mask = valid_frames(lengths, x.shape[1]), key_mask(lengths, x.shape[1])
        for block in self.blocks:
            x = block(x, valid, mask)
        return x, lengths

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, features) and (B,) lengths to (B, T', tokens) logits and (B,) lengths."""
        x, lengths = self.encode(x, lengths)
        return self.output(x), lengths

    def out_length(self, length):
        """Output frames for ``length`` input frames; works on an int and on a tensor of them."""
        return self.subsampling.out_length(length)

    def prunable(self) -> dict[str, list[str]]:
        """Prunable parameters by layer, from input to output: the parts of a block are layers.

        Never a bias, a norm or a depthwise kernel, which is one filter of a few values for each unit.
        """
        kinds = nn.Linear | nn.Conv2d if self.pruned == "all" else nn.Linear
        layers: dict[str, list[str]] = {}
        for name, module in self.named_modules():
            if isinstance(module, kinds) and (self.pruned == "all" or not isinstance(module, Pointwise)):
                layer = name.rsplit(".", 1)[0] if name.startswith("blocks.") else name
                layers.setdefault(layer, []).append(f"{name}.weight")
        return layers
