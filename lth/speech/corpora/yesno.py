"""YesNo: sixty recordings of one man who says "yes" or "no" in Hebrew, eight words each, https://www.openslr.org/1."""

from pathlib import Path

from lhotse import CutSet

from lth.errors import UserError
from lth.speech.corpora import download as net
from lth.speech.corpora.corpus import Corpus, corpus_folder, fingerprint, utterance

URL = "https://www.openslr.org/resources/1/waves_yesno.tar.gz"
WORDS = {"0": "NO", "1": "YES"}
EVERY = 5
"""One of so many of the recordings that are not for test is for dev."""


def load(root: str | Path | None, download: bool = False) -> Corpus:
    """Load the files `waves_yesno/x_x_x_x_x_x_x_x.wav`, 8 kHz; each x is 0 (no) or 1 (yes).

    root: the folder waves_yesno, or the one that holds it. By name every other one is for test, as in lhotse, and a
    fifth of the others for dev. There is one speaker, in all of them.

    Raises UserError for a missing folder, another name, and audio that cannot be decoded.
    """
    if root is not None:
        root = Path(root).expanduser()
        if download and not (root / "waves_yesno").is_dir() and not any(root.glob("*.wav")):
            archive = net.download(URL, root / "waves_yesno.tar.gz")
            net.extract(archive, root, top="waves_yesno")
            archive.unlink()
        root = root / "waves_yesno" if (root / "waves_yesno").is_dir() else root
    folder = corpus_folder(root, "YesNo", ".", "set corpus.download=true to fetch it")
    waves = sorted(folder.glob("*.wav"))
    if len(waves) < 2 * EVERY:
        raise UserError(
            f"corpus.root={root} holds {len(waves)} recordings of YesNo; set corpus.download=true to fetch it."
        )
    cuts = [utterance(wave.stem, wave, _text(wave), "speaker") for wave in waves]
    others = cuts[::2]
    splits = {"train": [c for n, c in enumerate(others) if n % EVERY], "dev": others[::EVERY], "test": cuts[1::2]}
    train, dev, test = (CutSet.from_cuts(part) for part in splits.values())
    return Corpus("yesno", train, dev, {"test": test}, fingerprint(splits))


def _text(wave: Path) -> str:
    words = wave.stem.split("_")
    if len(words) != 8 or not set(words) <= set(WORDS):
        raise UserError(f"{wave} is not named as YesNo's are, like 0_1_0_1_0_1_0_1.wav; take it out.")
    return " ".join(WORDS[word] for word in words)
