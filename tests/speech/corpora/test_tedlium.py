"""TED-LIUM in miniature, in the layouts of both releases."""

import numpy as np
import pytest
import soundfile

from lth.errors import UserError
from lth.speech.corpora.corpus import load_audio
from lth.speech.corpora.tedlium import UNTRANSCRIBED, load, normalised

STM = """;; a comment
Talk{n} 1 Talk{n} 0.50 1.25 <o,f0,male> this is talk {n}
Talk{n} 1 Talk{n} 1.25 2.00 <o,f0,male> ignore_time_segment_in_scoring
Talk{n} 1 Talk{n} 2.00 2.75 <o,f0,male> it 's {{NOISE}} a(2) test [laughter]
Talk{n} 1 Talk{n} 2.75 9.00 <o,f0,male> some <unk> word
"""


@pytest.fixture(params=[2, 3])
def release(request, tmp_path):
    """The number of a release, the folder that it was unpacked in, and the one of its splits."""
    root = tmp_path / ("TEDLIUM_release2" if request.param == 2 else "TEDLIUM_release-3/legacy")
    for n, split in enumerate(("train", "dev", "test")):
        for folder in ("sph", "stm"):
            (root / split / folder).mkdir(parents=True)
        (root / split / "stm" / f"Talk{n}.stm").write_text(STM.format(n=n))
        samples = (np.arange(48_000) % 30_000).astype(np.int16)  # each second is told from the others
        soundfile.write(root / split / "sph" / f"Talk{n}.sph", samples, 16_000, format="NIST", subtype="PCM_16")
    return request.param, tmp_path, root


def test_every_line_is_an_utterance_with_its_own_part_of_the_talk(release, tmp_path):
    number, folder, _ = release
    corpus = load(folder, number, tmp_path / "cache")
    first, second = corpus.train
    assert [cut.supervisions[0].text for cut in (first, second)] == ["this is talk 0", "it's a test"]
    assert (first.id, first.supervisions[0].speaker) == ("Talk0-2", "Talk0")
    samples = np.rint(load_audio(first) * 32768).astype(int)
    assert samples.tolist() == [n % 30_000 for n in range(8_000, 20_000)]
    assert corpus.dropped == {UNTRANSCRIBED: ["Talk0-5"]}
    # scored as written down; and what goes on beyond the recording ends with it
    assert [cut.supervisions[0].text for cut in corpus.dev][-1] == "some word"
    assert list(corpus.tests["test"])[-1].num_samples == 4_000
    again = load(folder, number, tmp_path / "cache")
    assert again.fingerprint == corpus.fingerprint
    assert len(load_audio(list(again.train)[1])) == 12_000


def test_what_is_wrong_is_named(release, tmp_path):
    number, folder, root = release
    stm = root / "dev/stm/Talk1.stm"
    stm.write_text(stm.read_text() + "Talk1 1 Talk1 no times\n")
    with pytest.raises(UserError, match=r"Talk1\.stm line 6 is no line of an STM"):
        load(folder, number, tmp_path / "cache")
    stm.unlink()
    with pytest.raises(UserError, match=r"has no \*\.stm files"):
        load(folder, number, tmp_path / "cache")
    (root / "train/sph/Talk0.sph").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"Talk0\.stm line 2: .*Talk0\.sph cannot be decoded"):
        load(folder, number, tmp_path / "other")
    with pytest.raises(UserError, match=r"corpus\.release=1 is not a release that can be read: give 2 or 3"):
        load(folder, 1, tmp_path / "cache")
    with pytest.raises(UserError, match=f"holds no TED-LIUM {number}"):
        load(tmp_path / "nowhere", number, tmp_path / "cache")


def test_marks_go():
    assert normalised("{SMACK} so it 's <sil> [BREATH] works(3)") == "so it's works"
