"""Speak with espeak-ng: a program of its own, which `lth.speech.corpora.voice` starts as another process.

espeak-ng is under the GPL, so it runs apart from the project: requests come in on standard input as JSON
lines `{"voice", "pitch", "rate", "text"}`, and for each a line `{"rate": Hz, "samples": n}` goes out, then n
16-bit little-endian samples. Imports nothing but the standard library and espeakng_loader.
"""

import ctypes
import json
import os
import sys
from pathlib import Path

import espeakng_loader

# names of speak_lib.h
AUDIO_OUTPUT_SYNCHRONOUS = 2
espeakRATE, espeakPITCH = 1, 3  # noqa: N816
espeakCHARS_UTF8 = 1  # noqa: N816
POS_CHARACTER = 1

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main() -> None:
    """Speak each request of standard input to standard output."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    # espeak-ng keeps the path of its data in 160 bytes: a short one is needed wherever the package lies
    os.chdir(Path(espeakng_loader.get_data_path()).parent)
    sampling_rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, b".", 0)
    if sampling_rate <= 0:
        sys.exit("espeak-ng found no data")
    spoken = bytearray()

    @CALLBACK
    def hear(samples, count, _events):
        if samples and count:
            spoken.extend(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(hear)
    for line in sys.stdin:
        request = json.loads(line)
        if library.espeak_SetVoiceByName(request["voice"].encode()):
            sys.exit(f"espeak-ng has no voice {request['voice']}")
        library.espeak_SetParameter(espeakRATE, request["rate"], 0)
        library.espeak_SetParameter(espeakPITCH, request["pitch"], 0)
        text = request["text"].encode() + b"\0"
        library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, POS_CHARACTER, 0, espeakCHARS_UTF8, None, None)
        if library.espeak_Synchronize():
            sys.exit(f"espeak-ng could not say {request['text']}")
        if sys.byteorder == "big":
            spoken[::2], spoken[1::2] = spoken[1::2], spoken[::2]
        head = {"rate": sampling_rate, "samples": len(spoken) // 2}
        sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + spoken)
        spoken.clear()


if __name__ == "__main__":
    main()
