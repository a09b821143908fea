"""DeepSpeech2: convolutions over the spectrogram, recurrent layers, one linear layer (Amodei et al. 2016)."""

from collections.abc import Iterable, Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from lth.models.ctc import CTCModel
from lth.models.lengths import FrameBatchNorm, Length, reverse_within, valid_frames
from lth.models.mingru import MinGRU, MinLSTM

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "mingru": MinGRU, "minlstm": MinLSTM}


class ConvBlock(nn.Module):
    """A convolution, batch normalisation and a hard ceiling of 20, as in Deep Speech 2, section 3.5.

    ``kernel``, ``stride`` and ``padding`` are (frequency, time); without ``padding`` it is half of the kernel. Input
    and output are (B, C, F, T) with zero padding frames.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int] | None = None,
    ):
        super().__init__()
        padding = [size // 2 for size in kernel] if padding is None else padding
        sizes = (pair(kernel), pair(stride), pair(padding))
        self.conv = nn.Conv2d(inputs, outputs, *sizes, bias=False)
        self.norm = FrameBatchNorm(outputs)

    def out_length(self, length: Length) -> Length:
        """Return the output frames for ``length`` input frames, an int or a tensor of them."""
        kernel, stride, padding = self.conv.kernel_size[1], self.conv.stride[1], pair(self.conv.padding)[1]
        return (length + 2 * padding - kernel) // stride + 1

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, F, T) and (B,) lengths to (B, C', F', T') and (B,) lengths."""
        x = self.conv(x)
        lengths = self.out_length(lengths)
        valid = valid_frames(lengths, x.shape[-1])
        x = self.norm(x.permute(0, 3, 1, 2), valid).permute(0, 2, 3, 1)
        x = F.hardtanh(x, 0.0, 20.0)
        return x, lengths


class RecurrentBlock(nn.Module):
    """A recurrent layer in one or both directions (summed, as in the paper), after optional batch normalisation.

    Each direction is a recurrent layer over the padded batch, the backward one over every sequence reversed
    within its own length: the same result as packed sequences, and on a CPU about twice as fast.
    """

    def __init__(self, cell: str, inputs: int, units: int, *, bidirectional: bool, norm: bool):
        super().__init__()
        self.norm = FrameBatchNorm(inputs) if norm else None
        self.forwards = CELLS[cell](inputs, units, batch_first=True)
        self.backwards = CELLS[cell](inputs, units, batch_first=True) if bidirectional else None

    def forward(self, x: Tensor, lengths: Tensor, valid: Tensor) -> Tensor:
        """Map (B, T, inputs), with (B,) lengths and (B, T) ``valid``, to (B, T, units)."""
        if self.norm is not None:
            x = self.norm(x, valid)
        y = self.forwards(x)[0]
        if self.backwards is not None:
            y = y + reverse_within(self.backwards(reverse_within(x, lengths))[0], lengths)
        return y


class Lookahead(nn.Module):
    """A row convolution: each unit sees ``context`` future frames (Amodei et al. 2016, section 3.6).

    ``valid`` zeroes the padding first, so that the last frames of an utterance see silence, not a neighbour.
    """

    def __init__(self, units: int, context: int):
        super().__init__()
        self.context = context
        self.conv = nn.Conv1d(units, units, context + 1, groups=units, bias=False)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map (B, T, units), real where (B, T) ``valid`` is True, to (B, T, units)."""
        return self.rows(F.pad((x * valid[..., None]).transpose(1, 2), (0, self.context)))

    def rows(self, x: Tensor) -> Tensor:
        """Map (B, units, T + context) to (B, T, units)."""
        return F.hardtanh(self.conv(x).transpose(1, 2), 0.0, 20.0)


class DeepSpeech2(CTCModel):
    """A CTC model of convolutions and recurrent layers.

    Args:
        features: bins a frame (161 for the 20 ms spectrogram at 16 kHz).
        tokens: output classes, the blank included.
        conv: one mapping a convolution: ``channels``, ``kernel``, ``stride`` and, if it is not half the kernel,
            ``padding``, each as (frequency, time).
        rnn: ``lstm``, ``gru``, ``mingru`` or ``minlstm``.
        layers, units: depth and width of the recurrent part; directions are summed, so a layer hands on ``units``.
        bidirectional: otherwise causal, with ``lookahead`` future frames seen by a row convolution.
        dropout: on the input of every recurrent layer but the first.

    Raises:
        ValueError: an unknown ``rnn``, no recurrent layer, a negative ``lookahead``, or too few bins.
    """

    def __init__(
        self,
        features: int,
        tokens: int,
        *,
        conv: Sequence[dict],
        rnn: str = "lstm",
        layers: int = 5,
        units: int = 1024,
        bidirectional: bool = True,
        lookahead: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        if rnn not in CELLS or layers < 1 or lookahead < 0:
            raise ValueError(
                f"rnn is {' or '.join(CELLS)}, layers at least 1 and lookahead not negative, "
                f"not {rnn}, {layers} and {lookahead}"
            )
        convs = nn.ModuleList()
        channels, bins = 1, features
        for block in conv:
            convolution = ConvBlock(channels, block["channels"], block["kernel"], block["stride"], block.get("padding"))
            convs.append(convolution)
            size, stride, padding = block["kernel"][0], block["stride"][0], pair(convolution.conv.padding)[0]
            channels, bins = block["channels"], (bins + 2 * padding - size) // stride + 1
        if bins < 1:
            raise ValueError(
                f"the convolutions leave nothing of {features} bins a frame; use features with more of them"
            )
        self.convs = cast(Sequence[ConvBlock], convs)
        rnns = nn.ModuleList(
            RecurrentBlock(rnn, units if n else channels * bins, units, bidirectional=bidirectional, norm=n > 0)
            for n in range(layers)
        )
        self.rnns = cast(Sequence[RecurrentBlock], rnns)
        self.lookahead = Lookahead(units, lookahead) if lookahead and not bidirectional else None
        self.dropout = nn.Dropout(dropout)
        self.norm = FrameBatchNorm(units)
        self.output = nn.Linear(units, tokens, bias=False)

    def encode(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, features) and (B,) lengths to the (B, T', units) that ``output`` reads, and (B,) lengths."""
        x = x.transpose(1, 2).unsqueeze(1)
        for block in self.convs:
            x, lengths = block(x, lengths)
        valid = valid_frames(lengths, x.shape[-1])
        x = x.permute(0, 3, 1, 2).flatten(2)
        for n, block in enumerate(self.rnns):
            x = block(self.dropout(x) if n else x, lengths, valid)
        if self.lookahead is not None:
            x = self.lookahead(x, valid)
        return self.norm(x, valid), lengths

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, features) and (B,) lengths to (B, T', tokens) logits and (B,) lengths."""
        x, lengths = self.encode(x, lengths)
        return self.output(x), lengths

    def out_length(self, length: Length) -> Length:
        """Return the output frames for ``length`` input frames, an int or a tensor of them."""
        for block in self.convs:
            length = block.out_length(length)
        return length

    def prunable(self) -> dict[str, list[str]]:
        """Return the prunable parameters by layer, from input to output, as in Ding et al. (2022): convolutions, input
        and recurrent matrices in both directions, linear; never a bias, a norm or the lookahead."""
        return matrices(self)


def pair(option: Iterable[int | str]) -> tuple[int, int]:
    """Return an option of a convolution over (frequency, time) as two numbers."""
    frequency, time = option
    return cast(int, frequency), cast(int, time)


def matrices(model: nn.Module) -> dict[str, list[str]]:
    """Return the weights of 2-D convolutions, recurrent and linear layers, by the module they lie in: both directions
    of a recurrent layer are one layer."""
    layers: dict[str, list[str]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.RNNBase | nn.Linear):
            weights = [n for n, _ in module.named_parameters() if n.startswith("weight")]
            layers.setdefault(".".join(name.split(".")[:2]), []).extend(f"{name}.{weight}" for weight in weights)
    return layers


def parameters(model: nn.Module) -> int:
    """Count the trainable values of ``model``."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
