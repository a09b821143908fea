"""A cache of what was read of a large corpus, so that it is not read again."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lhotse import CutSet, MonoCut

from lth.speech.corpora.corpus import fingerprint
from lth.speech.corpora.lazy_cuts import Line, listed, write

EAGER = 50_000
"""Splits of at most this many utterances are held in memory, larger ones read from the cache each time."""


def cached(name: str, sources: Sequence[Path], cache: Path, read: Callable[[], list[MonoCut]]) -> tuple[CutSet, str]:
    """Return the cuts that `read` makes of the files `sources`, and their fingerprint; cached until a file changes.

    A broken reading leaves nothing behind: the next one begins again.
    """
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    key = hashlib.sha256(repr(stats).encode()).hexdigest()[:16]
    lines, digest = cache / f"{name}-{key}.lines", cache / f"{name}-{key}.fingerprint"
    if not lines.is_file() or not digest.is_file():
        cuts = read()
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:  # whole files only, whoever else reads
            work = Path(folder)
            (work / digest.name).write_text(fingerprint({name: cuts}))
            write(work / lines.name, map(Line.of, cuts))
            (work / digest.name).replace(digest)
            (work / lines.name).replace(lines)
    return listed(lines), digest.read_text()


def together(sets: Sequence[CutSet]) -> CutSet:
    """Join several sets that were cached to one, in memory unless it is large."""
    joined = listed(*(path for cuts in sets for path in cuts.cuts.paths))
    return joined.to_eager() if len(joined.cuts) <= EAGER else joined
