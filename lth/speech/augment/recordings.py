"""A folder of recordings to draw from: of noises, or of room impulse responses."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

from lth.errors import UserError
from lth.speech.audio import check_range, decode

WHERE = "The recording "
"""What an error begins with."""
HELD_OUT = 3
"""Of the recordings of a folder, in the order of their digests, the first of every three is held out for `test`."""
SUFFIXES = {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"}
SUFFIXES |= {".aif", ".aifc", ".oga", ".opus", ".snd", ".sph"}


def find_recordings(root: str | Path, group: str = "noise", folders: Sequence[str] | None = None) -> list[Path]:
    """Find the audio files under a folder, by suffix.

    Args:
        group: of the config: `root` is what its key `root` says, and `folders` its key `folders`.
        folders: the subfolders that are looked into, such as some of MUSAN's music, noise and speech; None for all.

    Raises:
        UserError: a folder is missing or has no audio.
    """
    top = Path(root).expanduser()
    if not top.is_dir():
        raise UserError(
            f"{group}.root={root} is no folder: give a folder of recordings, or null for generated noise."
            if group == "noise"
            else f"{group}.root={root} is no folder: give a folder of recordings."
        )
    names = list(folders or ())
    if missing := next((name for name in names if not (top / name).is_dir()), None):
        raise UserError(f"{group}.root={root} has no folder {missing}: correct it, or {group}.folders={names}.")
    paths = [
        path
        for place in ([top / name for name in names] if names else [top])
        for path in sorted(place.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not paths:
        raise UserError(f"{group}.root={root} has no audio in it: WAV, FLAC, OGG, MP3 and the like are looked for.")
    return paths


def read_bytes(path: Path) -> bytes:
    """Read a recording as it lies on disk; raises UserError naming a file that cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"The recording {path} cannot be read: {error.strerror or error}.") from None


def averaged(data: bytes, path: Path) -> np.ndarray:
    """Return the mean of a recording's channels (N,) at 16 kHz."""
    return check_range(decode(data, path, WHERE), path, WHERE)


class Recordings(Sequence):
    """The recordings of a folder as clips (N,) at 16 kHz, in the order of their contents' digests.

    That order makes the n-th clip independent of file names and places. Every file is read and decoded once
    here, so that a broken one is found before training starts; clips stay in memory (float32) up to `memory`
    bytes and the others are read again each time. Raises UserError naming the folder or the file at fault.

    part: `all`; or `train` or `test`, two parts with no recording in common, which takes at least two.
    group, folders: see `find_recordings`.
    mono: a file's bytes and path to its samples (N,) at 16 kHz.
    """

    def __init__(
        self,
        root: str | Path,
        memory: int = 2**29,
        part: str = "all",
        group: str = "noise",
        folders: Sequence[str] | None = None,
        mono: Callable[[bytes, Path], np.ndarray] = averaged,
    ):
        entries = []
        for path in find_recordings(root, group, folders):
            data = read_bytes(path)
            clip = mono(data, path)
            clip = clip if clip.nbytes <= memory else None
            memory -= clip.nbytes if clip is not None else 0
            entries.append((hashlib.sha256(data).hexdigest(), path, clip))
        entries.sort(key=lambda entry: entry[0])
        if part != "all":
            if len({digest for digest, *_ in entries}) < 2:
                raise UserError(f"{group}.part={part} cannot split the one recording in {root}: give {group}.part=all.")
            entries = _part(entries, part)
        self.mono = mono
        self.digests, self.paths, self.clips = map(list, zip(*entries, strict=True))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        clip = self.clips[index]
        return self.mono(read_bytes(self.paths[index]), self.paths[index]) if clip is None else clip


def _part(recordings: Sequence[tuple], part: str) -> list[tuple]:
    """Return a part of the recordings in order of their digests (first in each); copies of one recording stay
    together."""
    number = {digest: n for n, digest in enumerate(dict.fromkeys(digest for digest, *_ in recordings))}
    return [entry for entry in recordings if (number[entry[0]] % HELD_OUT == 0) == (part == "test")]
