"""CMU's AN4: 42 minutes of spelt words, numbers and dates from 84 speakers, 16 kHz close-talking microphone.

http://www.speech.cs.cmu.edu/databases/an4/ ; licence: free for any purpose.
"""

import hashlib
import re
from pathlib import Path

import soundfile
from lhotse import CutSet, MonoCut

from lth.errors import UserError
from lth.speech.corpora import download as net
from lth.speech.corpora.corpus import Corpus, audio_file, corpus_folder, fingerprint, utterance

URL = "http://www.speech.cs.cmu.edu/databases/an4/an4_sphere.tar.gz"
CONTENT = "83c481e067a87b9d18f5ab26293f78505085cc8bf44cca6904c6c8fbfd2d78ee"
"""What `content` gives for the complete corpus; CMU publishes no checksum of its archive."""

DEV_SPEAKERS = ("ffmm", "fmjd", "mblw", "mdmc", "mjbh", "mmaf", "mrab", "msmn")
"""AN4 has no dev set: every ninth train speaker by name leaves train for it, two women and six men."""

LINE = re.compile(r"(?:<s>\s*)?(?P<text>.*?)\s*(?:</s>\s*)?\((?P<id>\S+)\)")


def load(root: str | Path | None, download: bool = False) -> Corpus:
    """Load AN4 in CMU's layout: `etc/an4_{train,test}.{fileids,transcription}`, `wav/<fileid>.{flac,sph,wav}`.

    root: the folder that holds `etc` and `wav`. download: fetch it from CMU into `root` if it is not there.
    Raises UserError for a missing folder, a transcript without audio, and audio that cannot be decoded.
    """
    if download and root is not None and not (Path(root) / "etc").is_dir():
        fetch(Path(root))
    how = "set corpus.download=true to fetch it from CMU"
    folder = corpus_folder(root, "AN4", "etc/an4_train.fileids", how)
    official = _read(folder, "train")
    splits = {
        "train": [cut for cut in official if cut.supervisions[0].speaker not in DEV_SPEAKERS],
        "dev": [cut for cut in official if cut.supervisions[0].speaker in DEV_SPEAKERS],
        "test": _read(folder, "test"),
    }
    train, dev, test = (CutSet.from_cuts(cuts) for cuts in splits.values())
    return Corpus("an4", train, dev, {"test": test}, fingerprint(splits))


def _read(folder: Path, split: str) -> list[MonoCut]:
    fileids = (folder / f"etc/an4_{split}.fileids").read_text().split()
    transcription = folder / f"etc/an4_{split}.transcription"
    texts = {m["id"]: m["text"] for m in map(LINE.fullmatch, transcription.read_text().splitlines()) if m}
    cuts = []
    for fileid in fileids:
        _, speaker, id = fileid.split("/")
        if id not in texts:
            raise UserError(f"{transcription} has no line for utterance {id}; get a complete copy of AN4.")
        cuts.append(utterance(id, _audio(folder / "wav", fileid), texts[id], speaker))
    return cuts


def _audio(folder: Path, fileid: str) -> Path:
    candidates = [folder / f"{fileid}{ending}" for ending in (".flac", ".sph", ".wav")]
    return next((path for path in candidates if path.is_file()), candidates[0])


def fetch(root: Path) -> None:
    """Download AN4 from CMU into `root`. Raises UserError when it is not the AN4 that it should be."""
    archive = net.download(URL, root / "an4_sphere.tar.gz")
    net.extract(archive, root, "an4", _check)
    archive.unlink()


def _check(folder: Path) -> None:
    if content(folder) != CONTENT:
        raise UserError(f"{URL} sent another AN4 than expected; fetch the corpus by hand and set corpus.root.")


def content(folder: Path) -> str:
    """Return the hex SHA-256 of every utterance's id, text and samples, in the order of the fileids."""
    digest = hashlib.sha256()
    for split in ("train", "test"):
        for cut in _read(folder, split):
            samples, _ = soundfile.read(audio_file(cut), dtype="int16")
            digest.update(f"{cut.id} {cut.supervisions[0].text}\n".encode() + samples.astype("<i2").tobytes())
    return digest.hexdigest()
