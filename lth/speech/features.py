"""Features of a whole batch at once: log spectrogram or log-mel, normalised per utterance.

Frames are never centred: a frame sees only samples of its own utterance, so an utterance's features are the
same alone and in any batch.
"""

import torch
import torchaudio
from torch import Tensor, nn

from lth.models.lengths import Length, valid_frames


class Features(nn.Module):
    """A layer from samples (B, S) and (B,) lengths to features (B, T, bins) and (B,) frame counts; padding is zero.

    Args:
        kind: ``spectrogram`` (log(1 + magnitude), the seed systems' input) or ``logmel``.
        bins: mel bands; the spectrogram has ``window / 2 + 1`` bins whatever it says.
        window, hop: seconds.
        normalise: zero mean and unit variance over each utterance.

    Raises:
        ValueError: another ``kind``, or a window or hop of no samples.
    """

    window: Tensor
    mel: Tensor

    def __init__(
        self,
        kind: str,
        bins: int = 80,
        window: float = 0.02,
        hop: float = 0.01,
        sample_rate: int = 16_000,
        normalise: bool = True,
    ):
        super().__init__()
        if kind not in ("spectrogram", "logmel"):
            raise ValueError(f"kind is spectrogram or logmel, not {kind!r}")
        self.kind, self.normalise = kind, normalise
        self.size, self.hop = round(window * sample_rate), round(hop * sample_rate)
        if self.size < 2 or self.hop < 1:
            raise ValueError(f"window={window:g} and hop={hop:g} are seconds and must cover samples")
        self.n_fft = self.size if kind == "spectrogram" else 1 << (self.size - 1).bit_length()
        self.bins = self.n_fft // 2 + 1 if kind == "spectrogram" else bins
        shape = torch.hamming_window if kind == "spectrogram" else torch.hann_window
        self.register_buffer("window", shape(self.size, periodic=False), persistent=False)
        if kind == "logmel":
            mel = torchaudio.functional.melscale_fbanks(self.n_fft // 2 + 1, 20.0, 7600.0, bins, sample_rate)
            self.register_buffer("mel", mel, persistent=False)

    def frames(self, samples: Length) -> Length:
        """Return the frames in ``samples``, an int or a tensor of them."""
        return (samples - self.size) // self.hop + 1

    @torch.no_grad()
    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the features (B, T, bins) and their (B,) lengths."""
        lengths = self.frames(lengths).clamp_min(0)
        frames = samples.unfold(1, self.size, self.hop) * self.window
        x = torch.fft.rfft(frames, self.n_fft).abs()
        # log1p suits the spectrogram of samples in [-1, 1]; the mel floor is 1e-5 of full scale in power.
        x = x.log1p() if self.kind == "spectrogram" else (x.square() @ self.mel).add_(1e-5).log_()
        valid = valid_frames(lengths, x.shape[1])[..., None]
        if self.normalise:
            count = (lengths * self.bins).clamp_min(1)[:, None, None]
            mean = (x * valid).sum((1, 2), keepdim=True) / count
            x = (x - mean) * valid
            x = x / (x.square().sum((1, 2), keepdim=True) / count).sqrt().clamp_min(1e-5)
        return x * valid, lengths
