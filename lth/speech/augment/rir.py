"""Reverberation: an utterance convolved with a room impulse response, as if it had been said in that room."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import torch
from lhotse.augmentation.utils import convolve1d

from lth.errors import UserError
from lth.speech.audio import decode
from lth.speech.augment.random_streams import applies_to, check_number, check_seed, check_splits, key_of, uniforms
from lth.speech.augment.recordings import WHERE, Recordings, find_recordings

KINDS = ("none", "folder")


@dataclass(eq=False)
class Reverberation:
    """Rooms for the raw samples of an utterance; the fields are the keys of conf/rir/.

    kind: `none` or `folder`.
    probability: of an utterance getting a room at all, drawn anew in each epoch of training.
    root: folder of impulse responses, searched with its subfolders; of several channels the first one counts.
    seed: of the rooms on dev and test sets, which are the same in every experiment that has it.
    apply_to: which of `train`, `dev`, `test`.

    Raises UserError naming the key or file at fault; recordings are looked for at once but read at first use.
    """

    kind: str = "none"
    probability: float = 0.0
    root: str | Path | None = None
    seed: int = 0
    apply_to: Sequence[str] = ("train",)

    def __post_init__(self):
        if self.kind not in KINDS:
            raise UserError(f"rir.kind is one of {', '.join(KINDS)}, not {self.kind!r}.")
        if self.kind == "none":
            return
        self.probability = check_number("rir.probability", self.probability, 0.0, 1.0)
        self.seed = check_seed("rir.seed", self.seed)
        self.apply_to = check_splits("rir.apply_to", self.apply_to)
        if self.root is None:
            raise UserError("rir.root is not set: give a folder of room impulse responses, or rir.kind=none for none.")
        find_recordings(self.root, "rir")

    @cached_property
    def rooms(self) -> Recordings:
        """Return the impulse responses to draw from, each as likely as the next."""
        return Recordings(cast(str | Path, self.root), group="rir", mono=impulse_response)

    def __call__(self, samples: np.ndarray, *, split: str, utterance: str, epoch: int, seed: int) -> np.ndarray:
        """Put samples, float32 (S,) at 16 kHz, in a room; returns float32 (S,), as loud as before, not clipped.

        Where no room is due `samples` comes back itself. Arguments as for noise: epoch and seed count in train only.
        """
        if self.kind == "none" or not applies_to(split, self.apply_to) or not len(samples):
            return samples
        whether, which, *_ = uniforms("rir", *key_of(split, utterance, epoch, seed, self.seed))
        if whether >= self.probability:
            return samples
        return reverberated(samples, self.rooms[int(which * len(self.rooms))])

    def fingerprint(self) -> str | None:
        """Return a sha256 of everything that can change what this does, None for `none`; file names do not count."""
        if self.kind == "none":
            return None
        fixed = self.seed if set(self.apply_to) - {"train"} else None
        facts = [self.kind, self.probability, sorted(set(self.apply_to)), fixed, self.rooms.digests]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def reverberated(samples: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Convolve (S,) with an impulse response (R,): in time with the direct sound, and with the power it had.

    The direct sound is the response's highest peak; what comes before it is kept. The same as Kaldi's
    wav-reverberate with --shift-output and --normalize-output.
    """
    whole = convolve1d(torch.from_numpy(np.ascontiguousarray(samples)), torch.from_numpy(room)).numpy()
    direct = int(np.abs(room).argmax())
    reverberant = whole[direct : direct + len(samples)]
    before, after = np.square(samples, dtype=np.float64).sum(), np.square(reverberant, dtype=np.float64).sum()
    return reverberant * np.float32(np.sqrt(before / after)) if before and after else samples


def impulse_response(data: bytes, path: Path) -> np.ndarray:
    """Return the first channel (N,) of a file at 16 kHz, at any scale, which has no meaning here.

    The mean of an array's microphones would be no room's.
    """
    samples = decode(data, path, WHERE, channel=0)
    if not samples.any():
        raise UserError(f"The recording {path} is silent: remove or repair it.")
    return samples
