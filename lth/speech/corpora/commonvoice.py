"""Mozilla Common Voice: read sentences in many languages (Ardila et al. 2020), https://commonvoice.mozilla.org. CC0."""

import csv
import hashlib
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lhotse import MonoCut

from lth.errors import UserError
from lth.speech.corpora.cached import cached, together
from lth.speech.corpora.corpus import Corpus, corpus_folder, utterance

SPLITS = ("train", "dev", "test")
COLUMNS = ("client_id", "path", "sentence")
HOW = "get it at https://commonvoice.mozilla.org, which asks for an address, and unpack it there"
APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u0060\u00b4"), "'")
NO_WORDS = "a sentence without letters"


def load(root: str | Path | None, language: str, cache: str | Path) -> Corpus:
    """Load one language of a release, in its own layout: `<language>/{train,dev,test}.tsv` and
    `<language>/clips/*.mp3`.

    root: the release's folder, or the language's. Sentences are written in capitals without punctuation. The splits
    are Mozilla's, whose speakers do not overlap.

    Raises UserError for a missing language or file, a malformed table, and audio that cannot be decoded.
    """
    if root is not None:
        root = Path(root).expanduser()
        root = root / language if (root / language).is_dir() else root
    folder = corpus_folder(root, f"Common Voice in the language {language!r}", "train.tsv", HOW)
    read, dropped = {}, []
    for split in SPLITS:
        table = folder / f"{split}.tsv"
        if not table.is_file():
            raise UserError(f"{table} does not exist; get a complete copy of the language {language}.")
        read[split] = cached(f"{language}-{split}", [table], Path(cache), lambda table=table: _read(table, folder))
        dropped += [f"{table.name} {path}" for path, sentence in _sentences(table) if not sentence]
    content = "".join(f"{split} {digest}\n" for split, (_, digest) in read.items())
    train, dev, test = (together([cuts]) for cuts, _ in read.values())
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Corpus("commonvoice", train, dev, {"test": test}, digest, {NO_WORDS: dropped} if dropped else {})


def normalised(sentence: str) -> str:
    """Return the sentence in capitals, with letters, digits and apostrophes only."""
    text = unicodedata.normalize("NFC", sentence).translate(APOSTROPHES).upper()
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return " ".join(word.strip("'") for word in "".join(kept).split() if word.strip("'"))


def _read(table: Path, folder: Path) -> list[MonoCut]:
    def cut(entry: tuple[int, dict]) -> MonoCut:
        number, row = entry
        text, origin = normalised(row["sentence"]), f"{table.name} line {number}"
        return utterance(Path(row["path"]).stem, folder / "clips" / row["path"], text, row["client_id"], origin)

    with ThreadPoolExecutor(8) as threads:  # each clip is opened to learn how long it is
        return list(threads.map(cut, ((n, row) for n, row in _rows(table) if normalised(row["sentence"]))))


def _sentences(table: Path) -> Iterator[tuple[str, str]]:
    return ((row["path"], normalised(row["sentence"])) for _, row in _rows(table))


def _rows(table: Path) -> Iterator[tuple[int, dict]]:
    """Yield line number and columns of each row; quotes are part of sentences."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                raise UserError(f"{table} has no column {missing[0]}; get a complete copy.")
            for number, row in enumerate(rows, 2):
                if any(row[name] is None for name in COLUMNS) or "/" in row["path"] or "\\" in row["path"]:
                    raise UserError(f"{table.name} line {number} is not a line of Common Voice; get a complete copy.")
                yield number, row
    except UnicodeDecodeError:
        raise UserError(f"{table} is not UTF-8; get a complete copy.") from None
