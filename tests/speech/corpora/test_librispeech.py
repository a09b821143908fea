import csv
from itertools import chain
from pathlib import Path

import pytest

from lth.errors import UserError
from lth.speech.corpora import cached, librispeech

TEXTS = {"1-2-0000": "ONE", "1-2-0001": "IT'S TWO", "1-3-0000": "THREE"}


def _subset(root: Path, record, name: str, speaker: str) -> None:
    for seed, (id, text) in enumerate(TEXTS.items()):
        _, chapter, number = id.split("-")
        folder = root / name / speaker / chapter
        record(folder / f"{speaker}-{chapter}-{number}.flac", seed=seed)
        with (folder / f"{speaker}-{chapter}.trans.txt").open("a") as file:
            file.write(f"{speaker}-{chapter}-{number} {text}\n")


@pytest.fixture
def load(tmp_path, record):
    for name, speaker in (
        ("train-clean-100", "1"),
        ("train-clean-360", "2"),
        ("dev-clean", "3"),
        ("test-clean", "4"),
    ):
        _subset(tmp_path / "LibriSpeech", record, name, speaker)

    def loader(train=("train-clean-100", "train-clean-360"), dev="dev-clean", test=("test-clean",), **options):
        options = {"root": tmp_path, "cache": tmp_path / "cache", **options}
        return librispeech.load(train_subsets=train, dev_subsets=dev, test_subsets=test, **options)

    return loader


def test_subsets_make_splits(load):
    corpus = load()
    said = {s: [(c.id, c.supervisions[0].text) for c in cuts] for s, cuts in corpus.splits().items()}
    assert said["train"] == [(f"{speaker}{id[1:]}", text) for speaker in "12" for id, text in TEXTS.items()]
    assert said["test-clean"] == [(f"4{id[1:]}", text) for id, text in TEXTS.items()]
    assert list(said) == ["train", "dev", "test-clean"]
    assert {cut.supervisions[0].speaker for cut in corpus.train} == {"1", "2"}


def test_the_cache_gives_the_same_and_follows_the_transcripts(load, tmp_path, monkeypatch):
    first = load()
    with monkeypatch.context() as patch:
        patch.setattr(librispeech, "_read", lambda *_: pytest.fail("read again"))
        again = load(root=tmp_path / "LibriSpeech")
    assert again.fingerprint == first.fingerprint
    assert [cut.to_dict() for cut in again.train] == [cut.to_dict() for cut in first.train]
    (tmp_path / "LibriSpeech/train-clean-100/1/3/1-3.trans.txt").write_text("1-3-0000 TRUE\n")
    changed = load()
    assert [cut.supervisions[0].text for cut in changed.train][2] == "TRUE"
    assert changed.fingerprint != first.fingerprint


def test_large_splits_stay_lazy(load, monkeypatch):
    eager = load()
    monkeypatch.setattr(cached, "EAGER", 5)
    lazy = load()
    assert (lazy.train.is_lazy, lazy.dev.is_lazy, eager.train.is_lazy) == (True, False, False)
    assert [cut.id for cut in lazy.train] == [cut.id for cut in eager.train]
    assert lazy.fingerprint == eager.fingerprint


def test_what_is_missing_is_named(load, tmp_path):
    with pytest.raises(UserError, match=r"no .*LibriSpeech/dev-other\).*corpus\.download=true to fetch dev-other"):
        load(dev=["dev-clean", "dev-other"])
    with pytest.raises(UserError, match=r"corpus\.root is not set"):
        load(root=None)
    with pytest.raises(UserError, match=r"other subsets for train, dev and test"):
        load(dev="train-clean-100")
    with pytest.raises(UserError, match=r"other subsets for train, dev and test"):
        load(test=[])
    (tmp_path / "LibriSpeech/test-clean/4/2/4-2-0001.flac").unlink()
    with pytest.raises(UserError, match=r"4-2\.trans\.txt line 2 names .*4-2-0001\.flac, which does not exist"):
        load()
    (tmp_path / "LibriSpeech/test-clean/4/2/4-2-0001.flac").write_bytes(b"fLaC")
    with pytest.raises(UserError, match=r"4-2\.trans\.txt line 2: .*4-2-0001\.flac cannot be decoded"):
        load()


def test_only_its_own_subsets_are_downloaded(load):
    with pytest.raises(UserError, match=r"LibriSpeech has no subset dev-cleaner; it has dev-clean"):
        load(dev="dev-cleaner", download=True)


def test_the_real_thing(librispeech_root, tmp_path):
    subsets = (["train-clean-100"], ["dev-clean"], ["test-clean", "test-other"])
    corpus = librispeech.load(librispeech_root, *subsets, cache=tmp_path)
    with (librispeech_root / "MANIFEST.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    expected = {
        split: {row["utterance"] for row in rows if row["subset"] == name}
        for split, name in zip(corpus.splits(), chain(*subsets), strict=True)
    }
    assert {split: {cut.id for cut in cuts} for split, cuts in corpus.splits().items()} == expected
    assert sum(map(len, expected.values())) == 209
