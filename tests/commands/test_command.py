"""The commands beside `run.py`, as they are typed."""

import subprocess
import sys

import pytest

from tests.configs import PROJECT

#: What is missing or wrong in each, and what is said of it.
WRONG = {
    "prepare": (["corpus=an4", "corpus.root=nowhere"], "corpus.root=nowhere holds no AN4"),
    "describe": (["classes=1"], "classes=1 will not do"),
    "ngram": (["texts=[nowhere.txt]"], "nowhere.txt cannot be read"),
    "tune": ([], "there is nothing to tune"),
    "transcribe": (["audio=a.wav"], "ticket= is missing"),
}


def typed(name, *words):
    command = [sys.executable, "-m", f"lth.{name}", *words]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", WRONG)
def test_one_sentence_and_an_exit_code(name, tmp_path):
    words, said = WRONG[name]
    done = typed(name, *words, f"outputs={tmp_path}")
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"lth.{name}: ") and said in line


@pytest.mark.parametrize("name", WRONG)
def test_help_and_an_unknown_key(name):
    helped = typed(name, "--help")
    assert helped.returncode == 0 and f"python -m lth.{name}" in helped.stdout
    wrong = typed(name, "sede=1")
    assert wrong.returncode == 2 and "'sede'" in wrong.stderr and f"python -m lth.{name} --cfg job" in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1


def test_it_does_its_work(tmp_path):
    (tmp_path / "texts.txt").write_text("ONE TWO THREE\nTWO THREE FOUR\n")
    done = typed("ngram", f"texts=[{tmp_path}/texts.txt]", "order=2", f"out={tmp_path}/lm.arpa")
    assert done.returncode == 0, done.stderr
    assert "2 sentences, 6 words" in done.stdout and (tmp_path / "lm.arpa").read_text().startswith("\\data\\")
