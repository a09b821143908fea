"""LibriSpeech: 960 hours of read English books (Panayotov et al., ICASSP 2015), https://www.openslr.org/12."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lhotse import CutSet, MonoCut
from rich.console import Console
from rich.progress import track

from lth.errors import UserError
from lth.speech.corpora import download as net
from lth.speech.corpora.cached import cached, together
from lth.speech.corpora.corpus import Corpus, corpus_folder, utterance

URL = "https://www.openslr.org/resources/12/{}.tar.gz"
SHA256 = {
    "dev-clean": "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    "dev-other": "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    "test-clean": "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    "test-other": "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    "train-clean-100": "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    "train-clean-360": "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    "train-other-500": "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
}


def load(
    root: str | Path | None,
    train_subsets: Sequence[str],
    dev_subsets: Sequence[str],
    test_subsets: Sequence[str],
    cache: str | Path,
    download: bool = False,
) -> Corpus:
    """Load LibriSpeech in its own layout: `<subset>/<speaker>/<chapter>/*.flac` and `*.trans.txt`.

    root: the folder LibriSpeech, or the one that holds it. Each test subset is a test set of its own. The
    first reading of a subset is kept in `cache`. download: fetch the missing subsets into `root`.
    Raises UserError for a missing subset, a transcript without audio, and audio that cannot be decoded.
    """
    if root is not None:
        root = Path(root).expanduser()
        root = root / "LibriSpeech" if (root / "LibriSpeech").is_dir() else root
    splits = {"train": _names(train_subsets), "dev": _names(dev_subsets)}
    splits |= {subset: [subset] for subset in _names(test_subsets)}
    named = [subset for subsets in splits.values() for subset in subsets]
    if len(set(named)) < len(named) or not all(splits.values()) or len(splits) < 3:
        raise UserError(f"corpus.*_subsets must name other subsets for train, dev and test, not {splits}.")
    read = {}
    for subset in named:
        if download and root is not None:
            fetch(root, subset)
        how = f"set corpus.download=true to fetch {subset}, or name the subsets you have"
        read[subset] = _subset(corpus_folder(root, "LibriSpeech", subset, how), subset, Path(cache))
    content = "".join(f"{split} {read[name][1]}\n" for split, subsets in splits.items() for name in subsets)
    cuts = {split: together([read[name][0] for name in subsets]) for split, subsets in splits.items()}
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Corpus("librispeech", cuts.pop("train"), cuts.pop("dev"), cuts, digest)


def _names(subsets: str | Sequence[str]) -> list[str]:
    return [subsets] if isinstance(subsets, str) else list(subsets)


def _subset(folder: Path, subset: str, cache: Path) -> tuple[CutSet, str]:
    """Return the cuts of one subset and their fingerprint, from the cache unless a transcript has changed."""
    transcripts = sorted((folder / subset).rglob("*.trans.txt"))
    if not transcripts:
        raise UserError(f"{folder / subset} has no *.trans.txt files; get a complete copy of {subset}.")
    return cached(subset, transcripts, cache, lambda: _read(transcripts, subset))


def _read(transcripts: list[Path], subset: str) -> list[MonoCut]:
    """Read the cuts of a subset; where lhotse's own recipe leaves out utterances without audio, this raises an
    error."""

    def cut(entry: tuple[Path, int, str]) -> MonoCut:
        path, number, line = entry
        id, _, text = line.strip().partition(" ")
        speaker = id.split("-")[0]
        return utterance(id, path.with_name(f"{id}.flac"), text, speaker, f"{path.name} line {number}")

    lines = {path: path.read_text().splitlines() for path in transcripts}
    entries = [(path, number, line) for path in lines for number, line in enumerate(lines[path], 1)]
    with ThreadPoolExecutor(8) as threads:
        cuts = threads.map(cut, entries)
        return list(track(cuts, f"reading {subset}", len(entries), console=Console(stderr=True)))


def fetch(root: Path, subset: str) -> None:
    """Download one subset from openslr.org, unless `root` has it."""
    if (root / subset).is_dir():
        return
    if subset not in SHA256:
        raise UserError(f"LibriSpeech has no subset {subset}; it has {', '.join(SHA256)}.")
    archive = net.download(URL.format(subset), root / f"{subset}.tar.gz", SHA256[subset])
    net.extract(archive, root, top="LibriSpeech")
    archive.unlink()
