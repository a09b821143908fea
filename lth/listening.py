"""Audio to text while it is still being spoken, by a causal network."""

import torch

from lth.decoding.greedy import Greedy
from lth.errors import UserError
from lth.models.streaming import Stream, Window
from lth.training.recogniser import Recogniser


class Listener:
    """One recording, heard in parts of any size; its text is that of the whole recording decoded greedily.

    Raises:
        UserError: a network or features that need the whole recording, or another decoder.
    """

    def __init__(self, recogniser: Recogniser):
        try:
            self.stream = Stream(recogniser.model)
        except ValueError as error:
            raise UserError(f"stream= cannot be had of this network: {error}") from None
        if recogniser.features.normalise:
            raise UserError(
                "stream= cannot be had of this network: its features are normalised over the whole utterance; train "
                "one with features.normalise=false"
            )
        if not isinstance(recogniser.decode, Greedy):
            raise UserError("stream= hears greedily; leave decoder= out")
        self.features, self.tokens = recogniser.features, recogniser.decode.tokens
        self.window = Window(self.features.size, self.features.hop)
        self.device = recogniser.device
        self.said: list[int] = []
        self.text, self._token = "", 0

    @torch.no_grad()
    def __call__(self, samples: torch.Tensor, last: bool = False) -> str:
        """(S,) samples to what they add to the text, part of a word or several, mostly nothing."""
        samples = self.window(samples[None].to(self.device), last)
        count = samples.shape[1]
        x = samples.new_zeros(1, 0, self.features.bins)
        if count:
            x, _ = self.features(samples, torch.tensor([count], device=self.device))
        before = self.text
        for token in self.stream(x, last)[0].argmax(-1).tolist():
            if token not in (0, self._token):
                self.said.append(token)
            self._token = token
        self.text = self.tokens.decode(self.said)
        return self.text[len(before) :]
