"""YesNo in miniature."""

import numpy as np
import pytest
import soundfile

from lth.errors import UserError
from lth.speech.corpora.corpus import load_audio
from lth.speech.corpora.yesno import load


@pytest.fixture
def root(tmp_path):
    (tmp_path / "waves_yesno").mkdir()
    for n in range(20):
        name = "_".join(f"{n:08b}")
        soundfile.write(tmp_path / "waves_yesno" / f"{name}.wav", np.full(800, n / 100), 8_000)
    return tmp_path


def test_the_name_is_the_text_and_splits_do_not_overlap(root):
    corpus = load(root)
    cuts = {name: list(cuts) for name, cuts in corpus.splits().items()}
    assert {name: len(some) for name, some in cuts.items()} == {"train": 8, "dev": 2, "test": 10}
    assert len({cut.id for some in cuts.values() for cut in some}) == 20
    first = cuts["dev"][0]
    assert (first.id, first.supervisions[0].text) == ("0_0_0_0_0_0_0_0", " ".join(["NO"] * 8))
    assert cuts["test"][0].supervisions[0].text == " ".join(["NO"] * 7 + ["YES"])
    assert len(load_audio(first)) == first.num_samples == 1_600
    assert load(root / "waves_yesno").fingerprint == corpus.fingerprint


def test_what_is_wrong_is_named(root, tmp_path):
    soundfile.write(root / "waves_yesno/0_1.wav", np.zeros(800), 8_000)
    with pytest.raises(UserError, match=r"0_1\.wav is not named as YesNo's"):
        load(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds 0 recordings of YesNo; set corpus\.download=true"):
        load(tmp_path / "empty")
    with pytest.raises(UserError, match=r"corpus\.root is not set"):
        load(None)
