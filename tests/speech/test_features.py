import math

import numpy as np
import pytest
import torch

from lth.speech.features import Features

KINDS = [
    {"kind": "spectrogram"},
    {"kind": "logmel", "bins": 40, "window": 0.025},
]


def noise(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    audio = torch.zeros(len(lengths), max(lengths))
    for n, length in enumerate(lengths):
        audio[n, :length] = torch.randn(length) * 0.1
    return audio, torch.tensor(lengths)


@pytest.mark.parametrize("options", KINDS)
def test_the_same_alone_and_in_a_batch(options):
    features = Features(**options)
    audio, lengths = noise(16_000, 9_001, 12_345)
    together, frames = features(audio, lengths)
    for n, length in enumerate(lengths.tolist()):
        alone, (count,) = features(audio[n : n + 1, :length], lengths[n : n + 1])
        assert count == frames[n] == features.frames(length)
        torch.testing.assert_close(together[n, :count], alone[0], rtol=1e-4, atol=1e-4)
        assert not together[n, count:].any()


def test_spectrogram_by_the_definition():
    features = Features("spectrogram", normalise=False)
    audio, lengths = noise(2_000)
    x, (frames,) = features(audio, lengths)
    assert x.shape == (1, (2_000 - 320) // 160 + 1, 161) and frames == x.shape[1]
    t = 3
    piece = audio[0, t * 160 : t * 160 + 320].double().numpy() * np.hamming(320)
    expected = np.log1p(np.abs(np.fft.rfft(piece)))
    np.testing.assert_allclose(x[0, t].numpy(), expected, atol=1e-5)


def test_a_tone_lands_in_its_mel_band():
    features = Features("logmel", bins=80, window=0.025, normalise=False)
    hertz = 1_000.0
    tone = torch.sin(2 * math.pi * hertz * torch.arange(16_000) / 16_000)[None]
    x, _ = features(tone, torch.tensor([16_000]))
    mel = lambda f: 2595 * math.log10(1 + f / 700)  # noqa: E731 - HTK's formula
    expected = (mel(hertz) - mel(20)) / (mel(7600) - mel(20)) * 81 - 1
    assert abs(x[0, 50].argmax().item() - expected) <= 1


@pytest.mark.parametrize("options", KINDS)
def test_each_utterance_is_normalised_over_its_own_frames(options):
    x, frames = Features(**options)(*noise(16_000, 8_000))
    for row, count in zip(x, frames, strict=True):
        assert abs(row[:count].mean()) < 1e-4
        assert abs(row[:count].std(unbiased=False) - 1) < 1e-3


def test_silence_and_too_short_audio_stay_finite():
    x, frames = Features("logmel")(torch.zeros(2, 1_000), torch.tensor([1_000, 100]))
    assert torch.isfinite(x).all() and frames.tolist() == [5, 0]
