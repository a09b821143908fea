"""TED-LIUM: English talks, cut into utterances (Rousseau et al. 2014; Hernandez et al. 2018).

Release 2: https://www.openslr.org/19, release 3: https://www.openslr.org/51. Licence: CC BY-NC-ND 3.0.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from lhotse import MonoCut

from lth.errors import UserError
from lth.speech.corpora import download as net
from lth.speech.corpora.cached import cached, together
from lth.speech.corpora.corpus import Corpus, corpus_folder, exclude, recording, segment, utterance_infos

#: By release: where its archive is, what that unpacks to, and where in it the splits are.
RELEASES = {
    2: ("https://www.openslr.org/resources/19/TEDLIUM_release2.tar.gz", "TEDLIUM_release2", "."),
    3: ("https://www.openslr.org/resources/51/TEDLIUM_release-3.tgz", "TEDLIUM_release-3", "legacy"),
}
SPLITS = ("train", "dev", "test")
IGNORED = "ignore_time_segment_in_scoring"
UNKNOWN = "<unk>"
UNTRANSCRIBED = "train: some of it is not transcribed (<unk>)"


def load(root: str | Path | None, release: int, cache: str | Path, download: bool = False) -> Corpus:
    """Load TED-LIUM in its own layout: `{train,dev,test}/{sph,stm}`, of release 3 in the folder `legacy`.

    root: the folder of the release, or the one that holds it. download: fetch it into `root`. Every line of an STM
    is an utterance, every talk a speaker. Marks of noises go; train utterances with words that nobody wrote down are
    dropped.

    Raises UserError for another release, a missing split or talk, a malformed line, and audio that cannot be decoded.
    """
    if release not in RELEASES:
        raise UserError(
            f"corpus.release={release} is not a release that can be read: give {' or '.join(map(str, RELEASES))}"
        )
    url, top, inside = RELEASES[release]
    if root is not None:
        root = Path(root).expanduser()
        if download and not (root / top).is_dir() and not (root / inside / "train").is_dir():
            archive = net.download(url, root / url.rpartition("/")[2])
            net.extract(archive, root, top=top)
            archive.unlink()
        root = root / top if (root / top).is_dir() else root
    how = f"set corpus.download=true to fetch release {release}"
    folder = corpus_folder(root, f"TED-LIUM {release}", f"{inside}/train/stm", how) / inside
    read = {}
    for split in SPLITS:
        stms = sorted((folder / split / "stm").glob("*.stm"))
        if not stms:
            raise UserError(f"{folder / split / 'stm'} has no *.stm files; get a complete copy of release {release}.")
        read[split] = cached(f"{split}-{release}", stms, Path(cache), lambda stms=stms: list(_read(stms)))
    content = "".join(f"{split} {digest}\n" for split, (_, digest) in read.items())
    train, dev, test = (together([cuts]) for cuts, _ in read.values())
    unknown = [info.id for info in utterance_infos(train) if UNKNOWN in info.text.split()]
    return Corpus(
        "tedlium",
        exclude(train, frozenset(unknown)) if unknown else train,
        dev.transform_text(_known),
        {"test": test.transform_text(_known)},
        hashlib.sha256(content.encode()).hexdigest(),
        {UNTRANSCRIBED: unknown} if unknown else {},
    )


def _read(stms: list[Path]) -> Iterator[MonoCut]:
    for stm in stms:
        sph, talk = stm.parents[1] / "sph" / f"{stm.stem}.sph", None
        for number, line in enumerate(stm.read_text(encoding="utf-8").splitlines(), 1):
            origin = f"{stm.name} line {number}"
            parts = line.split()
            if not parts or line.startswith(";;") or IGNORED in parts:
                continue
            try:
                start, end = float(parts[3]), float(parts[4])
            except (IndexError, ValueError):
                raise UserError(f"{origin} is no line of an STM (talk, channel, speaker, start, end, text)") from None
            text = normalised(" ".join(parts[6:]))
            talk = talk or recording(stm.stem, sph, origin)
            end = min(end, talk.duration)
            if text and end > start:
                yield segment(talk, f"{stm.stem}-{number}", start, round(end - start, 8), text, stm.stem, origin)


def normalised(text: str) -> str:
    """Return the text without the marks of noises and pronunciations, and with "it 's" as "it's"."""
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\(\d+\)|<sil>", " ", text)
    return " ".join(re.sub(r"\s+'", "'", text).split())


def _known(text: str) -> str:
    """Return the text without unknown words, to be scored by the words that were written down."""
    return " ".join(word for word in text.split() if word != UNKNOWN)
