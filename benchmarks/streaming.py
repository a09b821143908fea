"""What a causal network takes to hear a stream: ``python -m benchmarks.streaming``.

``deepspeech2_streaming`` with each kind of recurrent layer and random weights hears a minute of noise in parts of a
tenth of a second, features included; beside it the same minute at once.
"""

import json
import time

import torch
from torch import nn

from lth.decoding.greedy import Greedy
from lth.inference.listening import Listener
from lth.lottery.setup.build import build, make
from lth.lottery.setup.names import compose
from lth.models.deepspeech2 import CELLS
from lth.speech.features import Features
from lth.speech.tokens import CharacterTokens

RATE, SECONDS, PART = 16_000, 60, 0.1


class Untrained(nn.Module):
    """A recogniser with random weights, as far as a listener needs one."""

    def __init__(self, rnn: str):
        super().__init__()
        config = compose(["model=deepspeech2_streaming", f"model.rnn={rnn}", "features.normalise=false"])
        tokens = CharacterTokens("ABCDEFGHIJKLMNOPQRSTUVWXYZ' ")
        self.features = make(Features, config, "features")
        self.model = build(config, "model", features=self.features.bins, tokens=len(tokens.symbols) + 1).eval()
        self.decode, self.device = Greedy(tokens, "ctc"), torch.device("cpu")


def time_stream(rnn: str, audio: torch.Tensor) -> dict:
    """Time each part, and tell how many times faster than real time it is."""
    recogniser, parts = Untrained(rnn), audio.split(round(PART * RATE))
    listener, took = Listener(recogniser), []
    for n, part in enumerate(parts):
        started = time.perf_counter()
        listener(part, last=n == len(parts) - 1)
        took.append(time.perf_counter() - started)
    with torch.no_grad():
        started = time.perf_counter()
        x, lengths = recogniser.features(audio[None], torch.tensor([len(audio)]))
        recogniser.model(x, lengths)
        whole = time.perf_counter() - started
    return {
        "rnn": rnn,
        "times_real_time": round(SECONDS / sum(took), 1),
        "at_once": round(SECONDS / whole, 1),
        "milliseconds_a_part": round(1000 * sorted(took)[len(took) // 2], 2),
        "99_percent_below": round(1000 * sorted(took)[int(0.99 * len(took))], 2),
    }


def main() -> None:
    """Print one JSON document."""
    torch.manual_seed(0)
    audio = 0.1 * torch.randn(SECONDS * RATE)
    found = [time_stream(rnn, audio) for rnn in CELLS]
    about = {"benchmark": "streaming", "part_seconds": PART, "threads": torch.get_num_threads()}
    print(json.dumps({**about, "results": found}, indent=1))


if __name__ == "__main__":
    main()
