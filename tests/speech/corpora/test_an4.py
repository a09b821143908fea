import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lth.errors import UserError
from lth.speech.corpora import an4
from lth.speech.corpora.corpus import load_audio

TRAIN = {"an4_clstk/fash/an251-fash-b": "YES", "an4_clstk/ffmm/cen1-ffmm-b": "O K ONE"}
TEST = {"an4test_clstk/fcaw/an406-fcaw-b": "RUBOUT G"}


def _small(root: Path, record, ending="sph", format="NIST") -> Path:
    """CMU's layout: train lines with <s>, test lines without."""
    (root / "etc").mkdir(parents=True)
    for split, lines, form in (("train", TRAIN, "<s> {} </s> ({})"), ("test", TEST, "{} ({})")):
        (root / f"etc/an4_{split}.fileids").write_text("".join(f"{fileid}\n" for fileid in lines))
        texts = [form.format(text, fileid.split("/")[-1]) for fileid, text in lines.items()]
        (root / f"etc/an4_{split}.transcription").write_text("\n".join(texts) + "\n")
        for seed, fileid in enumerate(lines):
            record(root / f"wav/{fileid}.{ending}", seed=seed, format=format)
    return root


@pytest.mark.parametrize(("ending", "format"), [("sph", "NIST"), ("flac", "FLAC"), ("wav", "WAV")])
def test_cmus_layout(tmp_path, record, ending, format):
    corpus = an4.load(_small(tmp_path, record, ending, format))
    said = {s: [(c.id, c.supervisions[0].text) for c in cuts] for s, cuts in corpus.splits().items()}
    assert said == {
        "train": [("an251-fash-b", "YES")],
        "dev": [("cen1-ffmm-b", "O K ONE")],  # ffmm is one of the dev speakers
        "test": [("an406-fcaw-b", "RUBOUT G")],
    }
    samples, _ = soundfile.read(tmp_path / f"wav/an4_clstk/fash/an251-fash-b.{ending}", dtype="float32")
    np.testing.assert_array_equal(load_audio(corpus.train[0]), samples)


def test_what_is_missing_is_named(tmp_path, record):
    root = _small(tmp_path / "an4", record)
    with pytest.raises(UserError, match=r"corpus\.root is not set.*corpus\.download=true"):
        an4.load(None)
    with pytest.raises(UserError, match=r"none holds no AN4.*corpus\.download=true"):
        an4.load(tmp_path / "none")
    (root / "wav/an4_clstk/fash/an251-fash-b.sph").unlink()
    with pytest.raises(UserError, match=r"utterance an251-fash-b names .*an251-fash-b\.\w+, which does not exist"):
        an4.load(root)
    (root / "wav/an4_clstk/fash/an251-fash-b.flac").write_bytes(b"fLaC" + bytes(50))
    with pytest.raises(UserError, match=r"utterance an251-fash-b: .*an251-fash-b\.flac cannot be decoded"):
        an4.load(root)
    (root / "etc/an4_test.transcription").write_text("OTHER (an1-xxxx-b)\n")
    with pytest.raises(UserError, match=r"an4_test\.transcription has no line for utterance an406-fcaw-b"):
        an4._read(root, "test")


def test_the_whole_corpus(an4_root):
    corpus = an4.load(an4_root)
    with (an4_root / "MANIFEST.tsv").open() as file:
        listed = {row["utterance"]: row for row in csv.DictReader(file, delimiter="\t")}
    splits = corpus.splits()
    assert {split: len(cuts) for split, cuts in splits.items()} == {"train": 848, "dev": 100, "test": 130}
    for split, cuts in splits.items():
        for cut in cuts:
            row = listed.pop(cut.id)
            assert row["split"] == ("test" if split == "test" else "train")
            assert (cut.supervisions[0].text, cut.supervisions[0].speaker) == (row["text"], row["speaker"])
            assert cut.duration == pytest.approx(float(row["seconds"]), abs=0.001)
    assert not listed
    speakers = {split: {cut.supervisions[0].speaker for cut in cuts} for split, cuts in splits.items()}
    assert {split: len(names) for split, names in speakers.items()} == {"train": 66, "dev": 8, "test": 10}
    assert len(set.union(*speakers.values())) == 84


def test_the_checksum_of_the_content(an4_root):
    assert an4.content(an4_root) == an4.CONTENT
