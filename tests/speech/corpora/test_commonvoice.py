"""Common Voice in miniature, in its own layout, with real MP3 files."""

import numpy as np
import pytest
import soundfile

from lth.errors import UserError
from lth.speech.corpora.commonvoice import NO_WORDS, load, normalised
from lth.speech.corpora.corpus import load_audio

HEAD = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tvariant\tlocale\tsegment"
SENTENCES = {
    "train": ["Hello, \u201cworld\u201d!", "It\u2019s 9 o'clock."],
    "dev": ["Na\u00efve caf\u00e9"],
    "test": ['"Quoted', "..."],
}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "cv-corpus/xx"
    (folder / "clips").mkdir(parents=True)
    for split, sentences in SENTENCES.items():
        rows = []
        for n, sentence in enumerate(sentences):
            name = f"common_voice_xx_{split}{n}.mp3"
            tone = 0.3 * np.sin(np.arange(32_000) * 0.05)
            soundfile.write(folder / "clips" / name, tone, 32_000, format="MP3")
            rows.append(f"client{n}\t{name}\t{sentence}\t2\t0\t\t\t\t\txx\t")
        (folder / f"{split}.tsv").write_text("\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
    return tmp_path / "cv-corpus"


def test_a_language(root, tmp_path):
    corpus = load(root, "xx", tmp_path / "cache")
    assert [cut.supervisions[0].text for cut in corpus.train] == ["HELLO WORLD", "IT'S 9 O'CLOCK"]
    assert [cut.supervisions[0].text for cut in corpus.dev] == ["NA\u00cfVE CAF\u00c9"]
    assert [cut.supervisions[0].text for cut in corpus.tests["test"]] == ["QUOTED"]
    assert corpus.dropped == {NO_WORDS: ["test.tsv common_voice_xx_test1.mp3"]}
    (first, second) = corpus.train
    assert {first.supervisions[0].speaker, second.supervisions[0].speaker} == {"client0", "client1"}
    audio = load_audio(first)
    assert len(audio) == first.num_samples == pytest.approx(16_000, abs=1200)
    assert 0.2 < abs(audio).max() < 0.4
    assert load(root / "xx", "xx", tmp_path / "cache").fingerprint == corpus.fingerprint


def test_what_is_wrong_is_named(root, tmp_path):
    with pytest.raises(UserError, match=r"no Common Voice in the language 'yy'.*commonvoice\.mozilla\.org"):
        load(root, "yy", tmp_path / "cache")
    (root / "xx/clips/common_voice_xx_train1.mp3").unlink()
    with pytest.raises(UserError, match=r"train\.tsv line 3 names the audio file .*train1\.mp3, which does not exist"):
        load(root, "xx", tmp_path / "cache")
    table = root / "xx/train.tsv"
    for bad, said in (("one\ttwo\n", "has no column client_id"), (f"{HEAD}\na\t../../b\tc\n", "line 2 is not a line")):
        table.write_text(bad)
        with pytest.raises(UserError, match=said):
            load(root, "xx", tmp_path / "cache")
    table.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not UTF-8"):
        load(root, "xx", tmp_path / "cache")


def test_letters_digits_and_apostrophes_stay():
    assert normalised("\u2018Tis the 1st\u2014or 'last'\u2026 na\u0308her") == "TIS THE 1ST OR LAST N\u00c4HER"
