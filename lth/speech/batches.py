"""Padded batches of utterances of similar length, by count or by total duration."""

import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

import numpy as np
import torch
from lhotse import CutSet, MonoCut
from lhotse.dataset import DynamicBucketingSampler
from lhotse.dataset.sampling import SimpleCutSampler
from lightning import LightningDataModule, Trainer
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from lth.speech.augment.noise import NoiseInjection
from lth.speech.corpora.corpus import load_audio
from lth.speech.tokens import Tokens


class AudioMemory:
    """A cache of decoded 16 kHz audio as 16-bit samples: kept while it fits in ``hours``, decoded each time after
    that."""

    def __init__(self, hours: float):
        self._samples_left = round(hours * 3600 * 16_000)
        self._kept: dict[str, np.ndarray] = {}

    def __call__(self, cut: MonoCut) -> np.ndarray:
        """Return the cut's samples, float32 (S,) in [-1, 1]."""
        kept = self._kept.get(cut.id)
        if kept is None:
            kept = (load_audio(cut) * 32768.0).astype(np.int16)  # it is rounded to 16 bits
            if kept.size <= self._samples_left:
                self._samples_left -= kept.size
                self._kept[cut.id] = kept
        return kept.astype(np.float32) / 32768.0


class Utterances(Dataset):
    """The batches of one split: a CutSet in, a dict of padded tensors out.

    ``audio`` (B, S) float32, ``lengths`` (B,) samples, ``tokens`` (B, L) and ``token_lengths`` (B,), ``ids``,
    ``texts`` and ``speakers``. Noise depends on seed, epoch and utterance only, never on the order or the worker.

    effects: what happens to the samples before noise is added, in this order; called as `noise` is.
    """

    def __init__(
        self,
        split: str,
        memory: AudioMemory,
        tokens: Tokens,
        noise: NoiseInjection,
        seed: int,
        effects: Sequence[Callable[..., np.ndarray]] = (),
    ):
        self.split, self.memory, self.tokens, self.seed = split, memory, tokens, seed
        self.effects = (*effects, noise)
        self.epoch = 0

    def __getitem__(self, cuts: Collection[MonoCut]) -> dict:
        audio = [torch.from_numpy(self._samples(cut)) for cut in cuts]
        texts = [cast(str, cut.supervisions[0].text) for cut in cuts]
        tokens = [self.tokens.encode(text) for text in texts]
        return {
            "audio": pad_sequence(audio, batch_first=True),
            "lengths": torch.tensor([len(a) for a in audio]),
            "tokens": pad_sequence(tokens, batch_first=True),
            "token_lengths": torch.tensor([len(t) for t in tokens]),
            "ids": [cut.id for cut in cuts],
            "texts": texts,
            "speakers": [cut.supervisions[0].speaker for cut in cuts],
        }

    def _samples(self, cut: MonoCut) -> np.ndarray:
        samples = self.memory(cut)
        for effect in self.effects:
            samples = effect(samples, split=self.split, utterance=cut.id, epoch=self.epoch, seed=self.seed)
        return samples


def train_loader(
    cuts: CutSet,
    utterances: Utterances,
    epoch: int,
    *,
    batch_size: int,
    max_duration: float | None,
    buckets: int,
    workers: int,
) -> DataLoader:
    """Make the loader of one epoch of shuffled batches of similar length: ``batch_size`` utterances, or
    ``max_duration`` seconds.

    Made anew for every epoch from its number, so that a resumed training meets the batches it would have met.
    """
    utterances.epoch = epoch
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are using DynamicBucketingSampler with an eagerly read")
        sampler = DynamicBucketingSampler(
            cuts,
            max_cuts=None if max_duration else batch_size,
            max_duration=max_duration,
            num_buckets=buckets,
            duration_bins=cast(Any, [] if buckets == 1 else None),  # lhotse has no estimate for a single bucket
            shuffle=True,
            seed=utterances.seed,
            sync_buckets=True,  # without it lhotse 1.33 ends an epoch at the first empty bucket
        )
    sampler.set_epoch(epoch)
    return DataLoader(utterances, sampler=sampler, batch_size=None, num_workers=workers)


def test_loader(
    cuts: CutSet, utterances: Utterances, *, batch_size: int, max_duration: float | None, workers: int = 0
) -> DataLoader:
    """Make a loader of every utterance once, longest first, in a fixed order."""
    sampler = SimpleCutSampler(
        cuts.to_eager().sort_by_duration(),
        max_cuts=None if max_duration else batch_size,
        max_duration=cast(Any, max_duration),  # None is none, whatever lhotse's annotation says
        shuffle=False,
    )
    return DataLoader(utterances, sampler=sampler, batch_size=None, num_workers=workers)


class Batches(LightningDataModule):
    """The train batches of each epoch and the dev batches, for a Trainer that asks for them every epoch."""

    def __init__(self, train: Callable[[int], DataLoader], dev: DataLoader):
        super().__init__()
        self._train, self._dev = train, dev

    def train_dataloader(self) -> DataLoader:
        """Return the train batches of the current epoch."""
        return self._train(cast(Trainer, self.trainer).current_epoch)

    def val_dataloader(self) -> DataLoader:
        """Return the dev batches."""
        return self._dev
