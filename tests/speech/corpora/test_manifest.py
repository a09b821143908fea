import json
from pathlib import Path

import numpy as np
import pytest

from lth.errors import UserError
from lth.speech.corpora import cached, manifest
from lth.speech.corpora.corpus import load_audio, unknown_characters


def _tsv(folder: Path, *rows: str, name: str = "train.tsv") -> Path:
    (folder / name).write_text("\n".join(("audio\ttext\tspeaker\tid", *rows)) + "\n", encoding="utf-8")
    return folder / name


def test_a_corpus_of_tsv_and_jsonl(tmp_path, record):
    first = record(tmp_path / "clips/one.flac", seed=1)
    record(tmp_path / "clips/two two.ogg.wav", rate=8_000)
    train = _tsv(tmp_path, "clips/one.flac\tYES  INDEED\tann\tu1", "", "clips/two two.ogg.wav\tNO")
    (tmp_path / "dev.jsonl").write_text(json.dumps({"text": "ÉTÉ", "audio": "clips/one.flac"}) + "\n")
    rows = [{"audio": "clips/one.flac", "text": "A", "id": "t1", "extra": 3}]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = manifest.load(train, tmp_path / "dev.jsonl", tmp_path / "test.jsonl")
    one, two = corpus.train
    assert (one.id, one.supervisions[0].text, one.supervisions[0].speaker) == ("u1", "YES INDEED", "ann")
    assert (two.id, two.supervisions[0].speaker) == ("train-clips/two two.ogg.wav", "unknown")
    assert (two.sampling_rate, two.num_samples, len(load_audio(two))) == (16_000, 8_000, 8_000)
    np.testing.assert_array_equal(load_audio(one), first[:, 0])
    assert [cut.id for cut in corpus.dev] == ["dev-clips/one.flac"]
    assert list(corpus.tests) == ["test"]
    assert [cut.id for cut in corpus.tests["test"]] == ["t1"]
    found = unknown_characters(corpus.splits(), "YESINDEED NO")
    assert found.startswith("dev.jsonl line 1 (utterance dev-clips/one.flac) contains the character 'É'")


def _clips(folder: Path, record, rates=(16_000, 8_000, 44_100)) -> dict[str, Path]:
    for n, rate in enumerate(rates):
        record(folder / f"clips/{n}.wav", 0.4 + 0.1 * n, rate, seed=n)
    rows = [f"clips/{n % len(rates)}.wav\tYES NO {n}\ts{n % 2}\t" for n in range(300)]
    sizes = {"train": 300, "dev": 4, "test": 3}
    return {split: _tsv(folder, *rows[:size], name=f"{split}.tsv") for split, size in sizes.items()}


def _unique(folder: Path, **manifests: Path) -> None:
    """Give every line an id of its own."""
    for split, path in manifests.items():
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join((head, *(f"{row}{split}-{n}" for n, row in enumerate(rows)))) + "\n")


@pytest.fixture
def large(monkeypatch):
    """Four utterances are too many for memory."""
    monkeypatch.setattr(cached, "EAGER", 3)


def test_from_the_cache_it_is_the_same(tmp_path, record, monkeypatch, large):
    paths = _clips(tmp_path, record)
    _unique(tmp_path, **paths)
    read, kept = manifest.load(**paths), manifest.load(**paths, cache=tmp_path / "cache")
    monkeypatch.setattr(manifest, "recording", None)  # no audio is looked into again
    again = manifest.load(**paths, cache=tmp_path / "cache")
    assert read.fingerprint == kept.fingerprint == again.fingerprint
    for corpus in (kept, again):
        assert [cuts.is_lazy for cuts in corpus.splits().values()] == [True, True, False]
        for split, cuts in corpus.splits().items():
            assert list(cuts) == list(read.splits()[split])


def test_what_fits_in_memory_leaves_nothing_on_disk(tmp_path, record):
    paths = _clips(tmp_path, record)
    _unique(tmp_path, **paths)
    corpus = manifest.load(**paths, cache=tmp_path / "cache")
    assert not corpus.train.is_lazy and not (tmp_path / "cache").exists()


def test_the_cache_follows_lines_and_audio(tmp_path, record, large):
    paths = _clips(tmp_path, record)
    _unique(tmp_path, **paths)
    load = lambda: manifest.load(**paths, cache=tmp_path / "cache")  # noqa: E731
    prints = [load().fingerprint]
    record(tmp_path / "clips/1.wav", 0.5, 8_000, seed=9)  # as long as before
    prints.append(load().fingerprint)
    paths["dev"].write_text(paths["dev"].read_text().replace("YES NO 2", "NO NO 2"))
    prints.append(load().fingerprint)
    assert len(set(prints)) == 3
    assert prints[-1] == manifest.load(**paths).fingerprint == load().fingerprint


def test_a_broken_reading_leaves_nothing_behind(tmp_path, record, large):
    paths = _clips(tmp_path, record)
    _unique(tmp_path, **paths)
    good = (tmp_path / "clips/2.wav").read_bytes()
    (tmp_path / "clips/2.wav").write_bytes(b"junk")
    for _ in range(2):
        with pytest.raises(UserError, match=r"train\.tsv line 4: .*2\.wav cannot be decoded"):
            manifest.load(**paths, cache=tmp_path / "cache")
        assert not list((tmp_path / "cache").iterdir())
    (tmp_path / "clips/2.wav").write_bytes(good)
    assert len(manifest.load(**paths, cache=tmp_path / "cache").train) == 300


def test_the_cache_does_not_open_what_is_outside(tmp_path, record, large):
    folder = tmp_path / "corpus"
    paths = _clips(folder, record)
    _unique(folder, **paths)
    cache = tmp_path / "cache"
    manifest.load(**paths, cache=cache)
    clip, secret = folder / "clips/0.wav", tmp_path / "secret.wav"
    clip.rename(secret)  # with its size and its time
    clip.symlink_to(secret)
    with pytest.raises(UserError, match=r"train\.tsv line 2 names clips/0\.wav, which is outside"):
        manifest.load(**paths, cache=cache)
    (folder / "clips").rename(tmp_path / "elsewhere")
    (folder / "clips").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"line 2 names clips/0\.wav, which is outside"):
        manifest.load(**paths, cache=cache)
    assert len(manifest.load(**paths, allow_outside=True, cache=cache).dev) == 4


def test_several_test_sets(tmp_path, record):
    record(tmp_path / "a.wav")
    paths = {name: _tsv(tmp_path, "a.wav\tYES", name=f"{name}.tsv") for name in ("train", "dev", "easy", "hard")}
    corpus = manifest.load(paths["train"], paths["dev"], {"hard": paths["hard"], "easy": paths["easy"]})
    assert list(corpus.tests) == ["hard", "easy"]
    for tests in ({}, {"train": paths["easy"]}):
        with pytest.raises(UserError, match=r"corpus\.test must name test sets, none of them train or dev"):
            manifest.load(paths["train"], paths["dev"], tests)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("none.wav\tYES", r"train\.tsv line 3 names the audio file .*none\.wav, which does not exist"),
        ("a.wav\t  ", r"train\.tsv line 3 has an empty text"),
        ("a.wav", r"train\.tsv line 3 has an empty text"),
        ("\tYES", r"train\.tsv line 3 has an empty audio path"),
        ("junk.wav\tYES", r"train\.tsv line 3: .*junk\.wav cannot be decoded"),
        ("a.wav\tYES\tann\tu1", r"train\.tsv line 3 \(train\) has the id u1 of train\.tsv line 2 \(train\)"),
        ("a.wav\tYES\tann\tu2\tmore", r"train\.tsv line 3 has 5 columns, its header 4"),
        ("../secret.wav\tYES", r"train\.tsv line 3 names \.\./secret\.wav, which is outside"),
        ("link.wav\tYES", r"train\.tsv line 3 names link\.wav, which is outside"),
        ("/etc/passwd\tYES", r"train\.tsv line 3 names /etc/passwd, which is outside"),
        ("x" * 300 + ".wav\tYES", r"train\.tsv line 3: 'x+' is not a path"),
        ("a\0.wav\tYES", r"train\.tsv line 3: .* is not a path"),
    ],
)
def test_bad_lines_are_named(tmp_path, record, row, message):
    folder = tmp_path / "corpus"
    record(folder / "a.wav")
    record(tmp_path / "secret.wav")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "junk.wav").write_bytes(b"\x00\x01" * 100)
    bad = _tsv(folder, "a.wav\tYES\tann\tu1", row)
    good = _tsv(folder, "a.wav\tYES", name="good.tsv")
    with pytest.raises(UserError, match=message) as caught:
        manifest.load(bad, good, good)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"audio": "a.wav", ', r"train\.jsonl line 2 is not JSON"),
        ('["a.wav", "YES"]', r"train\.jsonl line 2 is not an object"),
        ('{"audio": "a.wav"}', r'train\.jsonl line 2 has no "text" that is a string'),
        ('{"text": "YES"}', r'train\.jsonl line 2 has no "audio" that is a string'),
        ('{"audio": "a.wav", "text": 5}', r'train\.jsonl line 2 has no "text" that is a string'),
        ('{"audio": "a.wav", "text": "YES", "id": 5}', r'train\.jsonl line 2 has no "id" that is a string'),
        ('{"audio": "a.wav", "text": ""}', r"train\.jsonl line 2 has an empty text"),
    ],
)
def test_bad_json_is_named(tmp_path, record, line, message):
    record(tmp_path / "a.wav")
    (tmp_path / "train.jsonl").write_text('{"audio": "a.wav", "text": "YES"}\n' + line + "\n")
    with pytest.raises(UserError, match=message):
        list(manifest.read(tmp_path / "train.jsonl", "train"))


def test_bad_files(tmp_path, record):
    with pytest.raises(UserError, match=r"none\.tsv \(corpus\.dev\) does not exist"):
        list(manifest.read(tmp_path / "none.tsv", "dev"))
    with pytest.raises(UserError, match=r"corpus\.dev is not set"):
        manifest.load(tmp_path / "none.tsv", None, None)
    (tmp_path / "headless.tsv").write_text("a.wav\tYES\n")
    with pytest.raises(UserError, match=r"headless\.tsv has no column audio"):
        list(manifest.read(tmp_path / "headless.tsv", "dev"))
    (tmp_path / "latin.tsv").write_bytes("audio\ttext\na.wav\tÉTÉ\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin\.tsv is not UTF-8"):
        list(manifest.read(tmp_path / "latin.tsv", "dev"))
    with pytest.raises(UserError, match=r"lists no utterance"):
        list(manifest.read(_tsv(tmp_path, name="empty.tsv"), "dev"))
    (tmp_path / "nothing.tsv").touch()
    with pytest.raises(UserError, match=r"lists no utterance"):
        list(manifest.read(tmp_path / "nothing.tsv", "dev"))


def test_outside_is_allowed_on_request(tmp_path, record):
    record(tmp_path / "a.wav")
    (tmp_path / "lists").mkdir()
    listed = _tsv(tmp_path / "lists", f"{tmp_path}/a.wav\tYES", "../a.wav\tNO")
    assert len(list(manifest.read(listed, "train", allow_outside=True))) == 2
