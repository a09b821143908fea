"""Convolutions that lower the frame rate, for attention, which looks at all pairs of frames."""

from torch import Tensor, nn
from torch.nn import functional as F

from lth.models.lengths import Length


class Subsampling(nn.Module):
    """Convolutions that each halve the frame rate, and a linear layer (Karita et al. 2019, with two of them).

    They have no padding, so that what comes of an utterance's frames never depends on what follows them.
    """

    def __init__(self, features: int, channels: int, units: int, convolutions: int = 2):
        super().__init__()
        for number in range(1, convolutions + 1):
            self.add_module(f"conv{number}", nn.Conv2d(1 if number == 1 else channels, channels, 3, 2))
        self.convolutions = convolutions
        self.linear = nn.Linear((channels if convolutions else 1) * self.out_length(features), units)

    def out_length(self, length: Length) -> Length:
        """Return the output frames for ``length`` input frames, an int or a tensor of them."""
        for _ in range(self.convolutions):
            length = (length - 3) // 2 + 1
        return length

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, features) to (B, T', units)."""
        x = x.transpose(1, 2).unsqueeze(1)
        for number in range(1, self.convolutions + 1):
            x = F.relu(self.get_submodule(f"conv{number}")(x))
        return self.linear(x.permute(0, 3, 1, 2).flatten(2))
