"""The package as `pip install` makes it: what the wheel holds, what it needs, and a lottery played far from the
checkout. Nothing comes from a network: the packages it needs are those of this environment."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from lth.analysis.wandb_report import publish
from lth.decoding.beam import Beam
from lth.decoding.language import LanguageModel
from lth.errors import UserError
from lth.search.storage import Database
from lth.speech.bpe import BPETokens
from lth.speech.tokens import CharacterTokens
from tests.configs import PROJECT, TINY

PROGRAM = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
#: The packages of the extras, as they are imported.
OPTIONAL = ("kenlm", "flashlight", "sentencepiece", "wandb_workspaces", "psycopg2")
WITHOUT = "import sys; sys.modules |= dict.fromkeys({!r})\n"


def project() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], cwd=PROJECT, check=True, capture_output=True, text=True
    )
    return folder / done.stdout.split()[-1]


def test_the_wheel_holds_every_file_of_the_package_and_every_config(wheel):
    held = set(ZipFile(wheel).namelist())
    command = ["git", "ls-files", "-co", "--exclude-standard", "lth", "conf"]
    tracked = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    wanted = {f"lth/{name}" if name.startswith("conf/") else name for name in tracked.stdout.split()}
    assert "lth/conf/strategy/structure/nm.yaml" in wanted and "lth/py.typed" in wanted
    assert {name for name in held if ".dist-info/" not in name} == wanted


def pins(file: str) -> dict[str, str]:
    lines = (PROJECT / file).read_text().splitlines()
    return dict(line.lower().split("==") for line in lines if "==" in line)


def test_what_it_needs_is_what_is_pinned_and_no_bound_is_above_its_pin():
    extras = project()["optional-dependencies"]
    assert {Requirement(line).name for line in extras.pop("all")} == {"audio-lottery"}
    needed = [Requirement(line) for line in sum(extras.values(), project()["dependencies"])]
    pinned = pins("requirements.txt")
    assert {one.name.lower() for one in needed} - {"psycopg2-binary"} == pinned.keys()
    pinned |= pins("requirements-dev.txt")
    for one in needed:
        assert pinned[one.name.lower()] in one.specifier, f"{one}, but {pinned[one.name.lower()]} is what is tested"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The `bin` of a fresh environment that has the wheel, and finds everything else in this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-index", "--no-deps", wheel], check=True, capture_output=True)
    (site,) = folder.glob("lib/python*/site-packages")
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    extra = [path for path in sys.path if path.endswith("site-packages")]  # ours may borrow too
    (site / "borrowed.pth").write_text("".join(f"{path}\n" for path in dict.fromkeys([*sorted(ours), *extra])))
    return folder / "bin"


def start(installed: Path, folder: Path, *words: str, code: str = "") -> subprocess.CompletedProcess:
    """A command of the installed package, in a folder of its own; ``code`` runs before it."""
    command = [installed / "lth", *words]
    if code:
        command = [installed / "python", "-P", "-c", f"{code}\nimport lth.__main__, sys; sys.exit(lth.__main__.main())"]
        command += words
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def test_it_lists_its_commands_from_anywhere(installed, tmp_path):
    done = start(installed, tmp_path)
    assert done.returncode == 0 and "\n  transcribe  " in done.stdout and "lth COMMAND [key=value]" in done.stdout
    done = start(installed, tmp_path, "analyze", "--help")
    assert done.returncode == 0 and "\nlth analyze study=tickets" in done.stdout
    done = start(installed, tmp_path, "run", "sede=1")
    assert done.returncode == 2 and "lth run: there is no key 'sede'; did you mean seed=1?" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_small_lottery_from_an_empty_folder_and_without_the_extras(installed, tmp_path):
    code = WITHOUT.format(OPTIONAL) + (
        "import atexit, sys\n"
        "atexit.register(lambda: open('loaded.txt', 'w').writelines(\n"
        "    f'{m.__file__}\\n' for n, m in sorted(sys.modules.items()) if n.split('.')[0] == 'lth' and m.__file__))"
    )
    done = start(installed, tmp_path, "run", *TINY, "rounds=1", "tracking=disabled", code=code)
    assert done.returncode == 0, done.stderr
    loaded = (tmp_path / "loaded.txt").read_text().split("\n")[:-1]
    assert len(loaded) > 50 and all(Path(file).is_relative_to(installed.parent) for file in loaded)
    assert (tmp_path / "outputs/demo/report.html").is_file()
    assert str(PROJECT) not in (tmp_path / "outputs/demo/config.yaml").read_text()
    done = start(installed, tmp_path, "analyze", "resamples=200")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs/analysis/report.html").is_file()
    done = start(installed, tmp_path, "inspect", "ticket=demo", "json=true")
    assert done.returncode == 0 and '"kind": "experiment"' in done.stdout


def word_model(folder):
    (folder / "lm.arpa").write_text("\\data\\\n")
    LanguageModel(folder / "lm.arpa")


#: What needs an extra, as a user asks for it, and what is said where it is not installed.
ASKING = {
    "kenlm": (word_model, "decoder.lm=.*lm.arpa", "lm"),
    "flashlight": (lambda _: Beam(CharacterTokens("AB "), "ctc"), "decoder=beam", "lm"),
    "sentencepiece": (lambda _: BPETokens.of(["A B"], size=3), "text=bpe", "bpe"),
    "wandb_workspaces": (lambda _: publish("", [], [], entity=None, project="p"), "report=wandb", "report"),
    "psycopg2": (lambda _: Database("postgresql+psycopg2://u@localhost/x", 60), "storage=postgresql.*", "postgres"),
}


@pytest.mark.parametrize("module", OPTIONAL)
def test_an_extra_that_is_not_installed_is_named(monkeypatch, tmp_path, module):
    ask, what, extra = ASKING[module]
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("lth.tracking.client.logged_in", lambda: True)
    with pytest.raises(UserError, match=rf'^{what} needs .*: pip install "audio-lottery\[{extra}\]"$'):
        ask(tmp_path)
