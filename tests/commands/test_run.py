"""What `python run.py` says of bad input: one line, exit code 2, and nothing touched."""

import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tests.attempts import attempt, checksums, the_line, write_corpus
from tests.configs import PROJECT
from tests.lotteries import play, result


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, cache):
    """Where an experiment has finished."""
    outputs = tmp_path_factory.mktemp("outputs")
    assert attempt("rounds=1", outputs=outputs, cache=cache) == 0
    return outputs


@pytest.fixture
def folder(tmp_path):
    """A folder of recordings and manifests with a fault each."""
    write_corpus(tmp_path)
    (tmp_path / "junk.wav").write_bytes(b"\x00\x01" * 500)
    soundfile.write(tmp_path / "short.wav", np.zeros(1600, np.int16), 16_000)
    for name, line in {
        "missing": "none.wav\tYES",
        "empty": "train1.wav\t ",
        "undecodable": "junk.wav\tYES",
        "unknown": "train1.wav\tYÉS",
        "escaping": "../../etc/passwd\tYES",
    }.items():
        (tmp_path / f"{name}.tsv").write_text(f"audio\ttext\ntrain0.wav\tYES\n{line}\n")
    (tmp_path / "hopeless.tsv").write_text("audio\ttext\nshort.wav\tYES NO YES NO\n")
    return tmp_path


BAD = {
    "foo=1": r"there is no key 'foo' \(python run\.py --cfg job lists every key\)$",
    "strategy.amont=0.1": r"there is no key 'strategy\.amont'; did you mean strategy\.amount=0\.1\?",
    "strategy=nosuch": "there is no strategy=nosuch among .* constant, cubic, decaying",
    "experiment=nosuch": "there is no experiment=nosuch among an4, ",
    "trainer=3": "must be a string or a list",
    "seed": r"'seed' is not of the form KEY=VALUE; did you mean seed=\.\.\.\?",
    "seed=abc": "seed=abc is not valid",
    "seed=1.5": "seed=1.5 is not valid",
    "seed=99999999999999999999": "must be at most 4294967295",
    "rounds=-1": "rounds=-1 is not valid: it must be 0 or more",
    "trainer.lr=abc": r"trainer\.lr=abc is not valid",
    "trainer.lr=inf": r"trainer\.lr=inf is not valid: it must be a finite number",
    "trainer.max_epochs=0": r"trainer\.max_epochs=0 is not valid: it must be at least 1",
    "trainer.precision=16": r"one of auto, 32-true, bf16-mixed",
    "tracking.init_timeout=abc": r"tracking\.init_timeout=abc is not valid",
    "decoder.name=foo": r"there is no key 'decoder\.name' \(python",
    "model.rnn=foo": "rnn is lstm or gru",
    "model.layers=1.5": "layers=1.5 is not a whole number",
    "model.bidirectional=maybe": "bidirectional=maybe is not true or false",
    "features.kind=foo": "kind is spectrogram or logmel, not 'foo'",
    "features.hop=0": "window=0.025 and hop=0 are seconds",
    "features.window=9": "no utterance of train is long enough",
    "strategy.amount=0": r"must be between 0 and 1, not 0\.",
    "strategy.amount=1": r"must be between 0 and 1, not 1\.",
    "strategy.amount=-0.5": r"must be between 0 and 1, not -0\.5",
    "strategy.amount=abc": "must be between 0 and 1, not 'abc'",
    "strategy=layerwise strategy.amount=0.95": r"Ratio 1\.1 would prune 104\..% of group 1 of 3",
    "strategy=layerwise strategy.normalize=false strategy.ratios=[3,1,1]": "Ratio 3 would prune 150.0% of group 1",
    "strategy=layerwise strategy.ratios=[1,-1]": "ratios must be one or more positive numbers",
    "strategy=decaying strategy.amount=0.2 target=0.05": r"stays above its floor of 12\.05%",
    "strategy.criterion=null": r"strategy\.criterion=None is none: .* strategy/criterion=magnitude",
    "strategy=one_shot target=2": "densities are shares of the prunable weights .* not 2",
    "strategy/structure=nm": r"round 2 is to prune .* lets 0 go, down to a density of 50\.00%",
    "strategy.exclude=[nosuch]": r"exclude: nosuch is none of the prunable parameters convs\.0\.conv\.weight",
    "strategy.exclude=[rnns] strategy.amount=0.9": "exclude leaves .* weights to prune, and .* are to go",
    "corpus=an4 corpus.root=/nowhere": "corpus.root=/nowhere holds no AN4",
    "corpus=librispeech corpus.root=/nowhere": "corpus.root=/nowhere holds no LibriSpeech",
    "corpus=manifest": r"corpus\.train is not set",
    "tokens=ABC": r"train\.tsv line 2 \(utterance .*\) contains the character '.' \(U\+",
    "noise=level noise.root=/nowhere": "noise.root=/nowhere is no folder",
    f"noise=level noise.root={PROJECT}/conf": "has no audio in it",
    "noise=level noise.probability=2": "noise.probability is a number from 0 to 1",
    "noise=level noise.apply_to=3": "noise: ",
    "name=a/b": "name=a/b is not a folder name",
    "name=store": "name=store is taken",
    "store=/etc/passwd/store": "/etc/passwd/store.*: Not a directory",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_words_are_answered_in_one_line_and_change_nothing(outputs, cache, capsys, words):
    before = checksums(outputs)
    assert attempt(*words.split(), outputs=outputs, cache=cache) == 2
    assert re.search(f"^run.py: .*{BAD[words]}", the_line(capsys))
    assert checksums(outputs) == before


MANIFESTS = {
    "missing": r"missing\.tsv line 3 names the audio file .*none\.wav, which does not exist",
    "empty": r"empty\.tsv line 3 has an empty text",
    "undecodable": r"undecodable\.tsv line 3: .*junk\.wav cannot be decoded",
    "escaping": r"escaping\.tsv line 3 names \.\./\.\./etc/passwd, which is outside",
    "hopeless": "no utterance of train is long enough for its text",
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_bad_manifest_is_answered_with_its_line(outputs, cache, capsys, folder, name):
    before = checksums(outputs)
    words = ["corpus=manifest", *(f"corpus.{split}={folder}/{split}.tsv" for split in ("dev", "test"))]
    assert attempt(*words, f"corpus.train={folder}/{name}.tsv", outputs=outputs, cache=cache) == 2
    assert re.search(f"^run.py: .*{MANIFESTS[name]}", the_line(capsys))
    assert checksums(outputs) == before


@pytest.mark.parametrize("split", ["dev", "test"])
def test_characters_that_training_never_saw_are_named(outputs, cache, capsys, folder, split):
    words = write_corpus(folder)
    assert attempt(*words, f"corpus.{split}={folder}/unknown.tsv", outputs=outputs, cache=cache) == 2
    assert r"unknown.tsv line 3 (utterance" in (line := the_line(capsys)) and "'É' (U+00C9)" in line


def test_audio_too_short_for_its_text_is_dropped_and_counted(outputs, cache, capsys, folder):
    with (folder / "train.tsv").open("a") as file:
        file.write("short.wav\tYES NO YES NO\n")
    words = ["corpus=manifest", *(f"corpus.{split}={folder}/{split}.tsv" for split in ("train", "dev", "test"))]
    assert attempt(*words, "name=short", "rounds=0", outputs=outputs, cache=cache) == 0
    said = capsys.readouterr().out
    assert "12 train, 4 dev, 4 test utterances; dropped 1 (train: too short for its text)" in said


def test_a_corpus_of_one_utterance_trains(outputs, cache, folder):
    """Fewer utterances than ``trainer.buckets`` are no error."""
    (folder / "train.tsv").write_text("audio\ttext\ntrain0.wav\tYES NO\n")
    words = ["corpus=manifest", *(f"corpus.{split}={folder}/{split}.tsv" for split in ("train", "dev", "test"))]
    assert attempt(*words, "name=one", "rounds=0", outputs=outputs, cache=cache) == 0


def test_numbers_are_names_too(outputs, cache):
    assert attempt("name=2024", "rounds=0", outputs=outputs, cache=cache) == 0
    assert (outputs / "2024/report.html").is_file()


def test_after_all_this_the_right_command_still_works(outputs, cache, capsys):
    before, rounds = result(outputs / "demo"), checksums(outputs / "store" / "rounds")
    assert attempt("rounds=1", outputs=outputs, cache=cache) == 0
    assert "epoch 1/2" not in capsys.readouterr().out  # nothing was trained again
    assert result(outputs / "demo") == before
    assert checksums(outputs / "store" / "rounds") == rounds


def test_a_process_of_its_own_says_the_same(tmp_path, cache):
    for words, said in (("foo=1", "there is no key 'foo'"), ("strategy.amount=1.5", "not 1.5")):
        done = play(words, outputs=tmp_path, cache=cache)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("run.py: ") and said in done.stderr
        assert done.stdout == ""
    assert not list(tmp_path.iterdir())


def test_a_failing_job_of_several_does_not_stop_the_others(tmp_path, cache):
    done = play("hydra.mode=MULTIRUN", "rounds=0", "name=a,b/c,d", outputs=tmp_path, cache=cache)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["run.py: name=b/c is not a folder name; use letters, digits, dots and dashes"]
    assert (tmp_path / "a/report.html").is_file() and (tmp_path / "d/report.html").is_file()


def test_help_imports_no_torch():
    program = (
        "import atexit, runpy, sys\n"
        "atexit.register(lambda: print(*(m in sys.modules for m in ('torch', 'lightning', 'rich', 'wandb'))))\n"
        "sys.argv = ['run.py', '--help']\n"
        "runpy.run_path('run.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    *said, loaded = done.stdout.splitlines()
    assert loaded == "False False False False"
    assert any(line.strip().startswith("strategy: block, constant, cubic") for line in said)
