"""A broken file of dev or test costs seconds and not a round, and mending it keeps the experiment."""

from types import SimpleNamespace
from typing import cast

import pytest
import soundfile

from lth.errors import UserError
from lth.lottery import plan
from lth.lottery.setup.setting import ExperimentSetup
from lth.speech.corpora import manifest
from tests.attempts import attempt, the_line, write_corpus

QUICK = ("rounds=0", "trainer.max_epochs=1", "tracking=disabled")


def _break(path):
    samples, rate = soundfile.read(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return lambda: soundfile.write(path, samples, rate)


def test_dev_and_test_are_decoded_before_the_first_epoch(tmp_path, cache, capsys):
    words = write_corpus(tmp_path / "corpus", ending="flac")
    outputs = tmp_path / "outputs"
    for name in ("dev2", "test1"):
        mend = _break(tmp_path / f"corpus/{name}.flac")
        assert attempt(*words, *QUICK, outputs=outputs, cache=cache) == 2
        line = the_line(capsys)
        assert f"{name[:-1]}.tsv line {int(name[-1]) + 2}: " in line and f"{name}.flac cannot be decoded" in line
        assert not (outputs / "demo").exists() and not list((outputs / "store").glob("partial/*"))
        mend()
    assert attempt(*words, *QUICK, outputs=outputs, cache=cache) == 0
    assert [path.name for path in outputs.glob("demo*")] == ["demo"]


def test_what_is_there_already_is_not_decoded(tmp_path, cache, capsys, monkeypatch):
    words = write_corpus(tmp_path / "corpus")
    for _ in range(2):
        assert attempt(*words, *QUICK, outputs=tmp_path / "outputs", cache=cache) == 0
        monkeypatch.setattr(plan, "decoded", None)


def test_of_large_sets_so_many_hours_are_decoded(tmp_path, monkeypatch):
    write_corpus(tmp_path, ending="flac")
    _break(tmp_path / "test3.flac")
    corpus = manifest.load(*(tmp_path / f"{split}.tsv" for split in ("train", "dev", "test")))
    setting = cast(ExperimentSetup, SimpleNamespace(corpus=corpus))
    monkeypatch.setattr(plan, "DECODED_BEFORE", 7.0 / 3600)  # dev has 4.3 s, the first three of test 3.15 s
    plan.check_recordings(setting)
    monkeypatch.setattr(plan, "DECODED_BEFORE", 8.0 / 3600)
    with pytest.raises(UserError, match=r"^test\.tsv line 5: .*test3\.flac cannot be decoded"):
        plan.check_recordings(setting)
