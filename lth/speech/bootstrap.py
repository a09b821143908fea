"""Resampling utterances: how far a rate over a corpus is to be trusted."""

from functools import cached_property

import numpy as np


class Bootstrap:
    """Resamples of whole utterances, the same ones for every system, so that all comparisons are paired.

    Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004.

    Args:
        words: (utterances,) reference words of each.
        resamples: how many.
        seed: the same arguments give the same resamples.
    """

    def __init__(self, words: np.ndarray, resamples: int = 10_000, seed: int = 0):
        self.words, self.resamples, self.seed = np.asarray(words), resamples, seed

    @cached_property
    def counts(self) -> np.ndarray:
        """Count how often each utterance is drawn: (resamples, utterances) float32."""
        generator, n = np.random.default_rng(self.seed), len(self.words)
        counts = np.empty((self.resamples, n), dtype=np.float32)
        for start in range(0, self.resamples, 100):  # as many as the cache holds
            part = counts[start : start + 100]
            drawn = generator.integers(n, size=part.shape, dtype=np.int32) + n * np.arange(len(part))[:, None]
            part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
        return counts

    @cached_property
    def drawn_words(self) -> np.ndarray:
        """Return the reference words of each resample, (resamples,)."""
        return self.counts @ self.words.astype(np.float32)

    def rates(self, errors: np.ndarray) -> np.ndarray:
        """Map (utterances, systems) wrong words, or differences of them, to (resamples, systems) rates."""
        drawn = self.counts @ np.asarray(errors, dtype=np.float32)  # whole numbers, exact below 2 ** 24
        return drawn.astype(np.float64) / self.drawn_words[:, None]

    def intervals(self, errors: np.ndarray) -> np.ndarray:
        """Map (utterances, systems) wrong words to the (systems, 2) ends of 95 % percentile intervals; NaN with one
        utterance."""
        errors = np.asarray(errors)
        if len(self.words) < 2:
            return np.full((errors.shape[1], 2), np.nan)
        parts = [self.rates(errors[:, n : n + 64]) for n in range(0, errors.shape[1], 64)]
        return np.concatenate([np.percentile(part, [2.5, 97.5], axis=0).T for part in parts])

    def over_seeds(self, differences: np.ndarray) -> np.ndarray:
        """Resample the mean over seeds of a paired difference: utterances are drawn for all seeds together, then seeds.

        Args:
            differences: (utterances, seeds) wrong words of one system less those of the other.

        Returns:
            (resamples,) rates.
        """
        rates, seeds = self.rates(differences), differences.shape[1]
        chosen = np.random.default_rng((self.seed, seeds)).integers(seeds, size=(self.resamples, seeds))
        return np.take_along_axis(rates, chosen, axis=1).mean(axis=1)
