"""Transcripts of recordings of your own by a trained network."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from omegaconf import DictConfig, OmegaConf

from lth.errors import UserError

if TYPE_CHECKING:
    import numpy as np

COMMAND_KEYS = ("audio", "longest", "stream", "out")
#: Seconds of audio that are heard together.
TOGETHER = 120.0
#: Seconds that the parts of a stream are at least, and parts or pieces at most.
SHORTEST, LONGEST = 0.01, 3600


def transcribe(config: DictConfig) -> list[dict]:
    """Print each file's text; return rows of ``file``, ``text``, ``seconds`` and ``pieces``, and write them to ``out``.

    Raises:
        UserError: no file, one that cannot be read, or a ticket without weights. The others' texts are kept.
    """
    from lth.files import replacing, write_jsonl
    from lth.inference.listening import Listener
    from lth.inference.trained import load_trained
    from lth.speech.audio import hear
    from lth.speech.segmentation import WINDOW

    files = cast(dict, OmegaConf.to_container(config))["audio"]
    files = [files] if isinstance(files, str) else files
    if not files or not all(isinstance(file, str) for file in files):
        raise UserError("audio= is missing: name recordings, such as audio=[a.wav,b.flac]")
    for name, least in {"longest": 2 * WINDOW, "stream": SHORTEST}.items():
        value = config[name]
        if not ((name == "stream" and value is None) or (type(value) in (int, float) and least <= value <= LONGEST)):
            raise UserError(f"{name}={value} is not a number of seconds from {least:g} to {LONGEST}")
    setting, recogniser, _ = load_trained(config, COMMAND_KEYS)
    if config.stream:
        Listener(recogniser)  # before the first file, an error says what stands against it
    rows, errors = [], []
    for file in files:
        try:
            samples = hear(Path(file).expanduser(), "audio: ")
            if len(files) > 1:
                print(f"{file}: ", end="", flush=True)
            with setting.device.autocast():
                if config.stream:
                    rows.append(transcribe_stream(file, samples, recogniser, config.stream))
                else:
                    rows.append(transcribe_pieces(file, samples, recogniser, config.longest))
                    print(rows[-1]["text"], flush=True)
        except UserError as error:
            errors.append(str(error))
    if config.out and rows:
        with replacing(Path(config.out)) as temporary:
            write_jsonl(temporary, rows)
    if errors:
        raise UserError(" ".join(errors))
    return rows


def transcribe_pieces(file: str, samples: "np.ndarray", recogniser, longest: float) -> dict:
    """Transcribe a recording piece by piece, each at most ``longest`` seconds."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from lth.speech.audio import SAMPLING_RATE
    from lth.speech.segmentation import pieces

    parts, texts = pieces(samples, longest), []
    together = max(1, int(TOGETHER / longest))
    for n in range(0, len(parts), together):
        audio = [torch.from_numpy(samples[first:end].copy()) for first, end in parts[n : n + together]]
        enough = [recogniser.model.out_length(recogniser.features.frames(len(a))) > 0 for a in audio]
        long_enough = [a for a, ok in zip(audio, enough, strict=True) if ok]
        spoken = iter(
            _texts(recogniser, pad_sequence(long_enough, batch_first=True), [len(a) for a in long_enough])
            if long_enough
            else []
        )
        texts += [next(spoken) if ok else "" for ok in enough]
    rows = [
        {"start": round(first / SAMPLING_RATE, 3), "end": round(end / SAMPLING_RATE, 3), "text": text}
        for (first, end), text in zip(parts, texts, strict=True)
    ]
    text = " ".join(text for text in texts if text)
    return {"file": file, "text": text, "seconds": round(len(samples) / SAMPLING_RATE, 3), "pieces": rows}


def transcribe_stream(file: str, samples: "np.ndarray", recogniser, seconds: float) -> dict:
    """Transcribe a recording in parts of so many seconds, and print the text as it comes; ``pieces`` are the parts that
    added to it, ``slowest`` the seconds that the slowest part took."""
    import torch

    from lth.inference.listening import Listener
    from lth.speech.audio import SAMPLING_RATE

    listener, rows, slowest = Listener(recogniser), [], 0.0
    size, audio = round(seconds * SAMPLING_RATE), torch.from_numpy(samples)
    for first in range(0, len(audio), size):
        end, started = min(first + size, len(audio)), time.perf_counter()
        added = listener(audio[first:end], last=end == len(audio))
        slowest = max(slowest, time.perf_counter() - started)
        if added:
            rows.append({"start": round(first / SAMPLING_RATE, 3), "end": round(end / SAMPLING_RATE, 3), "text": added})
            print(added, end="", flush=True)
    print()
    length = round(len(samples) / SAMPLING_RATE, 3)
    return {"file": file, "text": listener.text, "seconds": length, "pieces": rows, "slowest": round(slowest, 4)}


def _texts(recogniser, audio, lengths: list[int]) -> list[str]:
    import torch

    with torch.no_grad():
        batch = {"audio": audio.to(recogniser.device), "lengths": torch.tensor(lengths, device=recogniser.device)}
        return recogniser.hypotheses(*recogniser(batch))
