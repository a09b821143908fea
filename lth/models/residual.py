"""DeepSpeech2 with a residual front end: small convolutions, layer normalisation and GELU throughout.

After the open implementation that trains it with minGRUs (LuluW8071/Deep-Speech-2). There the backward direction of a
minGRU begins in the padding and only the first layer runs along time; here every layer does, within each utterance.
"""

import torch
from torch import Tensor, nn

from lth.models.ctc import CTCModel
from lth.models.deepspeech2 import CELLS, matrices
from lth.models.lengths import Length, reverse_within, valid_frames


class ResidualConvs(nn.Module):
    """A residual block: two 3x3 convolutions beside the identity, each after normalisation over the bins, GELU and
    dropout (He et al. 2016, with layer normalisation)."""

    def __init__(self, channels: int, bins: int, dropout: float):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(bins) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.gelu, self.dropout = nn.GELU(), nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map (B, C, T, F), real where (B, T) ``valid`` is True, to (B, C, T, F)."""
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = self.dropout(self.gelu(norm(y))) * valid[:, None, :, None]
            y = conv(y.transpose(2, 3)).transpose(2, 3)
        return x + y


class NormedRecurrent(nn.Module):
    """A recurrent layer in one or both directions, side by side, after normalisation and GELU."""

    def __init__(self, cell: str, inputs: int, units: int, *, bidirectional: bool, dropout: float):
        super().__init__()
        self.norm, self.gelu, self.dropout = nn.LayerNorm(inputs), nn.GELU(), nn.Dropout(dropout)
        self.forwards = CELLS[cell](inputs, units, batch_first=True)
        self.backwards = CELLS[cell](inputs, units, batch_first=True) if bidirectional else None
        self.outputs = units * (2 if bidirectional else 1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, T, inputs) and (B,) lengths to (B, T, outputs)."""
        x = self.gelu(self.norm(x))
        y = self.forwards(x)[0]
        if self.backwards is not None:
            y = torch.cat([y, reverse_within(self.backwards(reverse_within(x, lengths))[0], lengths)], -1)
        return self.dropout(y)


class ResidualDeepSpeech2(CTCModel):
    """A CTC model of residual convolutions and recurrent layers, at half the frame rate.

    Args:
        features: bins a frame.
        tokens: output classes, the blank included.
        channels, blocks: of the convolutions, and how many residual ones.
        rnn: ``lstm``, ``gru``, ``mingru`` or ``minlstm``.
        layers, units: depth, and width of each direction.

    Raises:
        ValueError: an unknown ``rnn`` or a size below 1.
    """

    def __init__(
        self,
        features: int,
        tokens: int,
        *,
        channels: int = 32,
        blocks: int = 2,
        rnn: str = "mingru",
        layers: int = 3,
        units: int = 512,
        bidirectional: bool = True,
        dropout: float = 0.1,
    ):
        super().__init__()
        if rnn not in CELLS or min(channels, layers, units) < 1 or blocks < 0:
            raise ValueError(
                f"rnn is {' or '.join(CELLS)}, channels, layers and units at least 1 and blocks not negative, "
                f"not {rnn}, {channels}, {layers}, {units} and {blocks}"
            )
        self.conv = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        bins = (features - 1) // 2 + 1
        self.blocks = nn.ModuleList(ResidualConvs(channels, bins, dropout) for _ in range(blocks))
        self.linear = nn.Linear(channels * bins, units)
        self.rnns, width = nn.ModuleList(), units
        for _ in range(layers):
            layer = NormedRecurrent(rnn, width, units, bidirectional=bidirectional, dropout=dropout)
            self.rnns.append(layer)
            width = layer.outputs
        self.output = nn.Linear(width, tokens)

    def encode(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, features) and (B,) lengths to the (B, T', width) that ``output`` reads, and (B,) lengths."""
        x, lengths = self.conv(x.transpose(1, 2).unsqueeze(1)).transpose(2, 3), self.out_length(lengths)
        valid = valid_frames(lengths, x.shape[2])
        for block in self.blocks:
            x = block(x, valid)
        x = self.linear(x.transpose(1, 2).flatten(2))
        for layer in self.rnns:
            x = layer(x, lengths)
        return x, lengths

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, features) and (B,) lengths to (B, T', tokens) logits and (B,) lengths."""
        x, lengths = self.encode(x, lengths)
        return self.output(x), lengths

    def out_length(self, length: Length) -> Length:
        """Return the output frames for ``length`` input frames, an int or a tensor of them."""
        return (length - 1) // 2 + 1

    def prunable(self) -> dict[str, list[str]]:
        """Return the prunable parameters by layer, from input to output: a residual block and both directions of a
        recurrent layer are one layer each; never a bias or a norm."""
        return matrices(self)
