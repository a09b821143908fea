"""Streaming: audio to text while it is still being spoken, by a causal network."""

from itertools import pairwise
from typing import cast

import torch

from lth.decoding.greedy import Greedy
from lth.decoding.transducer import Prediction, continue_decoding
from lth.errors import UserError
from lth.models.ctc import CTCModel
from lth.models.streaming import Stream, Window
from lth.models.transducer import Transducer
from lth.training.recogniser import Recogniser


class Listener:
    """A recording that is heard in parts of any size; its text is that of the whole recording decoded greedily.

    Raises:
        UserError: a network or features that need the whole recording, or another decoder.
    """

    def __init__(self, recogniser: Recogniser):
        model = recogniser.model
        try:
            self.stream = Stream(cast(Transducer, model).encoder if model.family == "transducer" else model)
            self.window = Window(recogniser.features.size, recogniser.features.hop)
        except ValueError as error:
            raise UserError(f"stream= cannot be had of this network: {error}") from None
        if recogniser.features.normalise:
            raise UserError(
                "stream= cannot be had of this network: its features are normalised over the whole utterance; train "
                "one with features.normalise=false"
            )
        if not isinstance(recogniser.decode, Greedy):
            raise UserError("stream= hears greedily; leave decoder= out")
        self.model, self.features, self.tokens = model, recogniser.features, recogniser.decode.tokens
        self.device = recogniser.device
        self.emitted: list[int] = []
        self.text = ""
        self._tokens = {"ctc": self._of_ctc, "transducer": self._of_transducer}[model.family]
        self._token = 0
        self._prediction: Prediction | None = None

    @torch.no_grad()
    def __call__(self, samples: torch.Tensor, last: bool = False) -> str:
        """Return what (S,) samples add to the text: part of a word or several words, mostly nothing."""
        samples = self.window(samples[None].to(self.device), last)
        count = samples.shape[1]
        x = samples.new_zeros(1, 0, self.features.bins)
        if count:
            x, _ = self.features(samples, torch.tensor([count], device=self.device))
        frames = self.stream.encode(x, last)
        new = self._tokens(frames) if frames.shape[1] else []
        if not new:
            return ""
        self.emitted += new
        before, self.text = self.text, self.tokens.decode(self.emitted)
        return self.text[len(before) :]

    def _of_ctc(self, frames: torch.Tensor) -> list[int]:
        path = [self._token, *cast(CTCModel, self.model).output(frames)[0].argmax(-1).tolist()]
        self._token = path[-1]
        return [token for before, token in pairwise(path) if token not in (0, before)]

    def _of_transducer(self, frames: torch.Tensor) -> list[int]:
        (tokens,), self._prediction = continue_decoding(
            cast(Transducer, self.model), frames, torch.tensor([frames.shape[1]], device=self.device), self._prediction
        )
        return tokens
