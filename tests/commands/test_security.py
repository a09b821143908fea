"""No load path executes what it loads, and no list of files leads out of its folder."""

import ast
import pickle
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import AudioSource, MonoCut

from lth.errors import UserError
from lth.files import write_sums
from lth.speech.corpora import synthetic
from lth.speech.corpora.corpus import load_audio, utterance
from lth.store.maskfile import CorruptMask, load_mask
from lth.store.store import CorruptRound, Store
from lth.training.checkpoint import latest, load
from lth.training.recogniser import Recogniser
from tests.attempts import attempt, raising, the_line
from tests.configs import PROJECT

SOURCES = [PROJECT / "run.py", *(PROJECT / "lth").rglob("*.py"), *(PROJECT / "sweeps").rglob("*.py")]
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "pandas"}
CALLS = {
    "torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "numpy.load", "np.load",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "os.system", "os.popen",
}  # fmt: skip
NAMES = {"load_from_checkpoint", "allow_pickle", "weights_only", "loads_pickle", "shell"}


def dangers(source: str) -> list[str]:
    """What a module does that could execute data."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name for name in whole if name.split(".")[0] in MODULES or name in CALLS]
        elif isinstance(node, ast.Call):
            found += [name for name in [ast.unparse(node.func)] if name in CALLS or name.split(".")[-1] in NAMES]
            found += [word.arg for word in node.keywords if word.arg in NAMES]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_module_loads_pickles(path):
    assert dangers(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "import torch\ntorch.load(x)", "from torch import load",
        "numpy.load(x, allow_pickle=True)", "yaml.load(x)", "Recogniser.load_from_checkpoint(x)", "eval(x)",
        "subprocess.run(x, shell=True)", "def f():\n    import joblib",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_is_for(source):
    assert dangers(source)


@pytest.fixture
def bomb(tmp_path):
    """A pickle that leaves a file behind when it is loaded."""

    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    content = pickle.dumps(Bomb())
    pickle.loads(content)
    assert (tmp_path / "exploded").exists()  # it works
    (tmp_path / "exploded").unlink()
    yield content
    assert not (tmp_path / "exploded").exists()


def test_a_pickle_for_a_mask_is_refused(tmp_path, bomb):
    (tmp_path / "mask.lth").write_bytes(bomb)
    with pytest.raises(CorruptMask, match=r"mask\.lth is not a mask file"):
        load_mask(tmp_path / "mask.lth")


def test_a_pickle_for_a_checkpoint_is_refused(tmp_path, bomb):
    (tmp_path / "epoch-00001.safetensors").write_bytes(bomb)
    (tmp_path / "epoch-00001.sha256").write_text(sha256(bomb).hexdigest())
    with pytest.raises(UserError, match=r"epoch-00001\.safetensors cannot be read"):
        load(latest(tmp_path))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    outputs = tmp_path_factory.mktemp("finished")
    assert attempt("rounds=0", outputs=outputs, cache=cache) == 0
    return outputs


@pytest.fixture
def outputs(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "outputs", symlinks=True)


@pytest.mark.parametrize("file", ["weights.safetensors", "mask.lth"])
def test_a_round_with_a_pickle_in_it_is_refused_even_when_its_checksums_agree(outputs, cache, capsys, bomb, file):
    folder = (outputs / "demo/rounds/round-00").resolve()
    (folder / file).write_bytes(bomb)
    write_sums(folder)
    stored = Store(outputs / "store").find(folder.name)
    with pytest.raises(CorruptMask if file == "mask.lth" else CorruptRound, match=file):
        stored.mask() if file == "mask.lth" else stored.weights()
    if file == "weights.safetensors":  # a lottery that prunes them says so
        assert attempt("rounds=1", outputs=outputs, cache=cache) == 2
        assert "weights.safetensors holds no weights" in the_line(capsys)


def test_a_pickle_for_an_init_or_in_training_is_replaced_or_refused(outputs, cache, capsys, bomb, monkeypatch):
    init = (outputs / "demo/init.safetensors").resolve()
    sound = init.read_bytes()
    init.write_bytes(bomb)
    with monkeypatch.context() as patch:
        patch.setattr(Recogniser, "predict_step", raising(KeyboardInterrupt(), 1, Recogniser.predict_step))
        assert attempt("rounds=1", outputs=outputs, cache=cache) == 130
    assert init.read_bytes() == sound
    capsys.readouterr()
    (partial,) = (outputs / "store/partial").iterdir()
    checkpoint = latest(partial)
    checkpoint.write_bytes(bomb)
    checkpoint.with_suffix(".sha256").write_text(sha256(bomb).hexdigest())
    assert attempt("rounds=1", outputs=outputs, cache=cache) == 2
    assert f"{checkpoint} cannot be read" in the_line(capsys)


def test_checksums_of_the_built_in_corpus_cannot_lead_elsewhere(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("../secret", str(secret)):
        (folder / "SHA256SUMS").write_text(f"{sha256(b'x').hexdigest()}  {name}\n")
        assert not synthetic._intact(folder, None)
    (folder / "inside").write_text("x")
    (folder / "SHA256SUMS").write_text(f"{sha256(b'x').hexdigest()}  inside\n")
    assert synthetic._intact(folder, None)


def test_a_cut_that_names_a_command_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000, np.int16), 16_000)
    cut = utterance("a", tmp_path / "a.wav", "YES", "ann")
    assert len(load_audio(cut)) == 16_000
    command = f"touch {tmp_path}/exploded; cat {tmp_path}/a.wav"
    recording = replace(cut.recording, sources=[AudioSource("command", [0], command)])
    cut = MonoCut.from_dict(replace(cut, recording=recording).to_dict())
    with pytest.raises(UserError, match="utterance a: its audio is no file"):
        load_audio(cut)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["../../elsewhere", "/tmp/elsewhere", "..", "store"])
def test_an_experiments_name_cannot_lead_elsewhere(outputs, cache, capsys, name):
    assert attempt(f"name={name}", outputs=outputs, cache=cache) == 2
    assert f"name={name} is " in the_line(capsys)
