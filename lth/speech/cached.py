"""What was read of a large corpus once, kept so that it is not read again."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lhotse import CutSet, MonoCut, combine

from lth.speech.corpus import fingerprint

EAGER = 50_000
"""Splits of at most this many utterances are held in memory, larger ones read from the cache each time."""


def cached(name: str, sources: Sequence[Path], cache: Path, read: Callable[[], list[MonoCut]]) -> tuple[CutSet, str]:
    """The cuts that `read` makes of the files `sources`, and their fingerprint; from the cache until a file changes.

    A broken reading leaves nothing behind: the next one begins again.
    """
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    key = hashlib.sha256(repr(stats).encode()).hexdigest()[:16]
    manifest, digest = cache / f"{name}-{key}.jsonl", cache / f"{name}-{key}.fingerprint"
    if not manifest.is_file() or not digest.is_file():
        cuts = read()
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:  # whole files only, whoever else reads
            work = Path(folder)
            (work / digest.name).write_text(fingerprint({name: cuts}))
            CutSet.from_cuts(cuts).to_jsonl(work / manifest.name)
            (work / digest.name).replace(digest)
            (work / manifest.name).replace(manifest)
    return CutSet.from_jsonl_lazy(manifest), digest.read_text()


def together(sets: Sequence[CutSet]) -> CutSet:
    """Several sets as one, in memory unless it is large."""
    joined = combine(*sets) if len(sets) > 1 else sets[0]
    return joined.to_eager() if sum(map(len, sets)) <= EAGER else joined
