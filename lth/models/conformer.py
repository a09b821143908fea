"""Conformer: a Transformer encoder with a convolution in every layer (Gulati et al. 2020), trained by CTC."""

from torch import Tensor, nn
from torch.nn import functional as F

from lth.models.attention import Attention, Positions, key_mask
from lth.models.ctc import CTCModel
from lth.models.lengths import FrameBatchNorm, valid_frames
from lth.models.transformer import Subsampling

PRUNABLE = ("linear", "all")


class Pointwise(nn.Linear):
    """A convolution over one frame."""


class Feed(nn.Module):
    """Half a step of a feed-forward layer with a swish (section 2.3)."""

    def __init__(self, units: int, hidden: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(units)
        self.up, self.down = nn.Linear(units, hidden), nn.Linear(hidden, units)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(self.dropout(F.silu(self.up(self.norm(x)))))
        return x + 0.5 * self.dropout(y)


class Convolution(nn.Module):
    """Gated pointwise, depthwise, normalised, swish, pointwise (section 2.2); padding stays out of all of it.

    torchaudio's lets the padding into the depthwise convolution and into the statistics of the normalisation, so that
    what an utterance gets depends on its neighbours' lengths.
    """

    def __init__(self, units: int, kernel: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(units)
        self.gated = Pointwise(units, 2 * units)
        self.depthwise = nn.Conv1d(units, units, kernel, padding=kernel // 2, groups=units, bias=False)
        self.frames = FrameBatchNorm(units)
        self.out = Pointwise(units, units)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        y = F.glu(self.gated(self.norm(x)), -1) * valid[..., None]
        y = self.depthwise(y.transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.out(F.silu(self.frames(y, valid))))


class Layer(nn.Module):
    """Half a feed-forward step, attention, convolution, the other half (section 2.4)."""

    def __init__(self, units: int, heads: int, hidden: int, kernel: int, dropout: float):
        super().__init__()
        self.before = Feed(units, hidden, dropout)
        self.attention_norm = nn.LayerNorm(units)
        self.attention = Attention(units, heads, dropout)
        self.conv = Convolution(units, kernel, dropout)
        self.after = Feed(units, hidden, dropout)
        self.norm = nn.LayerNorm(units)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, valid: Tensor) -> Tensor:
        x = self.before(x)
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, self.attention.remember(y), mask))
        return self.norm(self.after(self.conv(x, valid)))


class Conformer(CTCModel):
    """CTC acoustic model.

    Args:
        features: bins a frame.
        tokens: output classes, the blank included.
        channels: of the two convolutions that quarter the frame rate.
        layers, units, heads, feed_forward: depth, width, heads of attention, inner width of the feed-forward layers.
        kernel: frames that the depthwise convolutions see; odd.
        prunable: ``linear`` (as Ding et al. 2022: the linear layers), or ``all``: the convolutions before the encoder
            and the pointwise ones too. Depthwise kernels, one filter a channel, are never pruned.

    Raises:
        ValueError: no layer, an even kernel, heads that do not divide the units, or another ``prunable``.
    """

    def __init__(
        self,
        features: int,
        tokens: int,
        *,
        channels: int = 64,
        layers: int = 17,
        units: int = 256,
        heads: int = 4,
        feed_forward: int = 1024,
        kernel: int = 31,
        dropout: float = 0.1,
        prunable: str = "linear",
    ):
        super().__init__()
        if min(layers, channels, units, feed_forward) < 1 or kernel < 1 or kernel % 2 == 0:
            raise ValueError("layers, channels, units and feed_forward are at least 1, and kernel is odd")
        if prunable not in PRUNABLE:
            raise ValueError(f"prunable={prunable} is one of {', '.join(PRUNABLE)}")
        self._prunable = prunable
        self.subsampling = Subsampling(features, channels, units)
        self.positions = Positions(dropout)
        self.layers = nn.ModuleList(Layer(units, heads, feed_forward, kernel, dropout) for _ in range(layers))
        self.output = nn.Linear(units, tokens)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, features) and (B,) lengths to (B, T', tokens) logits and (B,) lengths."""
        x, lengths = self.positions(self.subsampling(x)), self.out_length(lengths)
        mask, valid = key_mask(lengths, x.shape[1]), valid_frames(lengths, x.shape[1])
        for layer in self.layers:
            x = layer(x, mask, valid)
        return self.output(x), lengths

    def out_length(self, length):
        """Output frames for ``length`` input frames; works on an int and on a tensor of them."""
        return self.subsampling.out_length(length)

    def prunable(self) -> dict[str, list[str]]:
        """Prunable parameters by layer, from input to output; each part of a Conformer layer is a layer here."""
        layers: dict[str, list[str]] = {}
        for name, module in self.named_modules():
            convolution = isinstance(module, nn.Conv2d | Pointwise)
            if (isinstance(module, nn.Linear) and not convolution) or (convolution and self._prunable == "all"):
                within = name.rsplit(".", 1)[0]
                layers.setdefault(within if within.startswith("layers.") else name, []).append(f"{name}.weight")
        return layers
