"""Every command as it is typed: the list, the help, and what is said of a word that is wrong."""

import re
import subprocess
import sys

import pytest
import yaml

from lth.__main__ import commands, config_file
from lth.commands.nearest import did_you_mean, nearest_key
from tests.configs import PROJECT

#: What is missing or wrong in each, and what is said of it.
WRONG = {
    "analyze": ([], "holds no experiment: run one"),
    "describe": (["classes=1"], "classes=1 is no number of classes"),
    "inspect": ([], "ticket= is missing"),
    "ngram": (["texts=[nowhere.txt]"], "nowhere.txt cannot be read"),
    "prepare": (["corpus=an4", "corpus.root=nowhere"], "corpus.root=nowhere holds no AN4"),
    "run": (["rounds=-1"], "rounds=-1 "),
    "search": (["sampler=guess"], "sampler=guess is unknown"),
    "store": ([], "is no store: give its folder as store="),
    "sync": ([], "recorded anything for W&B"),
    "transcribe": (["audio=a.wav"], "ticket= is missing"),
    "tune": ([], "there is nothing to tune"),
}
#: What a mistyped word is taken for. What is complained of is named first.
MEANT = {
    "run.py strateg=layerwise": "there is no key 'strateg'; did you mean strategy=layerwise?",
    "run.py strategy=layerwis": "there is no strategy=layerwis among .*; did you mean strategy=layerwise\\?$",
    "run.py trainer.max_epoch=3": "there is no key 'trainer.max_epoch'; did you mean trainer.max_epochs=3?",
    "run.py max_epochs=3": "there is no key 'max_epochs'; did you mean trainer.max_epochs=3?",
    "run.py corpus=an4 corpus.rot=DIR": "there is no key 'corpus.rot'; did you mean corpus.root=DIR?",
    "run.py corpus=an4 strategy=layerwis corpus.rot=DIR": "there is no strategy=layerwis",
    "run.py strategy/struct=nm": "there is no key 'strategy/struct'; did you mean strategy/structure=nm?",
    "run.py -m sede=1,2": "there is no key 'sede'; did you mean seed=1,2?",
    "run.py tracking=of": "did you mean tracking=offline?",
    "run.py seed": "'seed' is not of the form KEY=VALUE; did you mean seed=...?",
    "run.py --seed 3": "--seed is no option: everything is said as KEY=VALUE, such as seed=...",
    "analyze.py experiment=demo": "there is no key 'experiment'; did you mean experiments=demo?",
    "-m lth describe model=conformr": "there is no model=conformr among .*; did you mean model=conformer\\?$",
    "-m lth store d=list": "there is no key 'd'; did you mean do=list?",
    "-m lth store do=lst": "there is no do=lst among list, verify, prune; did you mean do=list?",
    "-m lth inspect demo": "'demo' is not of the form KEY=VALUE",
    "-m lth inspect --json": "--json is no option",
    "-m lth trancribe audio=a.wav": "there is no command trancribe; did you mean transcribe?",
}


def typed(*words):
    return subprocess.run([sys.executable, *words], cwd=PROJECT, capture_output=True, text=True, timeout=120)


def the_sentence(done) -> str:
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_the_commands_are_listed_a_line_each():
    assert commands() == sorted(WRONG)
    for words in ((), ("--help",), ("help",)):
        done = typed("-m", "lth", *words)
        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  ")]
        assert [name for name, _ in lines] == commands()
        for name, sentence in lines:
            assert yaml.safe_load(config_file(name).read_text())["hydra"]["help"]["header"] == sentence


@pytest.mark.parametrize("name", WRONG)
def test_one_sentence_and_an_exit_code(name, tmp_path):
    words, said = WRONG[name]
    line = the_sentence(typed("-m", "lth", name, *words, f"outputs={tmp_path}"))
    assert line.startswith(f"lth {name}: ") and said in line


@pytest.mark.parametrize("name", WRONG)
def test_help_and_an_unknown_key(name):
    helped = typed("-m", "lth", name, "--help")
    assert helped.returncode == 0 and f"python -m lth {name}" in helped.stdout
    assert yaml.safe_load(config_file(name).read_text())["hydra"]["help"]["header"] in helped.stdout
    line = the_sentence(typed("-m", "lth", name, "outptus=x"))
    assert line.startswith(f"lth {name}: there is no key 'outptus'; did you mean outputs=x?")
    assert line.endswith(f"(python -m lth {name} --cfg job lists every key)")


@pytest.mark.parametrize("name", WRONG)
def test_help_waits_for_nothing_heavy(name):
    program = (
        "import atexit, sys, lth.__main__\n"
        "names = ('torch', 'lightning', 'lhotse', 'optuna', 'rich', 'wandb', 'numpy')\n"
        "atexit.register(lambda: print(*(name in sys.modules for name in names)))\n"
        "sys.argv[1:] = [sys.argv[1], '--help']\n"
        "lth.__main__.main()"
    )
    done = typed("-c", program, name)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()[-1].split()) == {"False"}


@pytest.mark.parametrize("words", MEANT)
def test_a_mistyped_word_is_answered_with_the_nearest(words):
    line, said = the_sentence(typed(*words.split())), MEANT[words]
    assert re.search(said, line) if ".*" in said else said in line


def test_nothing_near_is_no_suggestion():
    assert did_you_mean("xyz", ["list", "verify"]) == ""
    assert nearest_key("strategy.foo", ["strategy", "strategy.amount", "strategy.ratios"]) is None
    assert nearest_key("lr", ["lr_schedule", "model.lr.x", "trainer.lr"]) == "trainer.lr"


def test_it_does_its_work(tmp_path):
    (tmp_path / "texts.txt").write_text("ONE TWO THREE\nTWO THREE FOUR\n")
    done = typed("-m", "lth", "ngram", f"texts=[{tmp_path}/texts.txt]", "order=2", f"out={tmp_path}/lm.arpa")
    assert done.returncode == 0, done.stderr
    assert "2 sentences, 6 words" in done.stdout and (tmp_path / "lm.arpa").read_text().startswith("\\data\\")
