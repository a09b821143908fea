"""`python -m lth inspect` on a small experiment whose every count is known, whole and damaged."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from lth.analysis.inspect import damage, inspect
from lth.commands.inspect import main
from lth.store.maskfile import load_mask
from tests.analysis.folders import write_experiment
from tests.configs import PROJECT


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_experiment(tmp_path / "outputs")


def flip(path):
    """Change the last byte of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def run(capsys, target, *words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lth", f"ticket={str(target)!r}", *words])
        code = main("python -m lth inspect")
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_round_counts_layers_and_totals(folder):
    found = inspect(folder / "rounds" / "round-02")
    assert found["kind"] == "round"
    assert [(part["name"], part["shape"], part["kept"], part["prunable"]) for part in found["layers"]] == [
        ("conv.weight", [2, 4], 2, 8),
        ("rnn.weight_hh_l0", [2, 2], 1, 4),
    ]
    assert [part["density"] for part in found["layers"]] == [0.25, 0.25]
    assert (found["kept"], found["prunable"], found["density"]) == (3, 12, 0.25)
    assert (found["parameters"], found["density_total"]) == (20, pytest.approx(11 / 20))
    assert found["checksums"] == "ok"


@pytest.mark.parametrize("place", ["outputs/demo/rounds/round-02", f"outputs/store/rounds/{2:032x}"])
@pytest.mark.parametrize("file", ["", "/mask.lth"])
def test_a_ticket_knows_where_it_came_from(folder, place, file):
    origin = inspect(place + file)["from"]
    assert origin["previous_mask"] == load_mask(folder / "rounds" / "round-01" / "mask.lth")[0].digest()
    del origin["previous_mask"]
    assert origin == {
        "experiment": "demo",
        "round": 2,
        "corpus": "digits",
        "strategy": "constant, amount 0.5",
        "seed": "7",
        "trained_by": "this-one",
    }


def test_a_shared_round_belongs_to_the_experiment_it_is_reached_by(folder):
    other = folder.parent / "other"
    shutil.copytree(folder, other, symlinks=True)
    about = json.loads((other / "experiment.json").read_text())
    (other / "experiment.json").write_text(json.dumps(about | {"name": "other", "id": "another"}))
    assert inspect("outputs/other/rounds/round-01")["from"]["experiment"] == "other"
    assert inspect("outputs/demo/rounds/round-00")["from"]["experiment"] == "demo"
    assert inspect(f"outputs/store/rounds/{0:032x}")["from"]["experiment"] == "other"  # which trained it
    (folder / "experiment.json").write_text("{")
    assert inspect(f"outputs/store/rounds/{0:032x}")["from"]["experiment"] == "other"


def test_a_mask_alone_says_what_its_file_says(folder, tmp_path):
    alone = tmp_path / "elsewhere" / "ticket.lth"
    alone.parent.mkdir()
    shutil.copy(folder / "rounds" / "round-01" / "mask.lth", alone)
    found = inspect(alone)
    assert (found["kind"], found["checksums"], found["density"]) == ("mask", "ok", 0.5)
    assert found["from"] == {"round": 1, "seed": 7, "trained_by": "this-one"}
    assert "density_total" not in found


def test_experiment_by_name_and_by_folder(folder):
    found = inspect("demo")
    assert found == inspect("outputs/demo") | {"path": found["path"]}
    assert [(part["round"], part["density"], part["note"]) for part in found["rounds"]] == [
        (0, 1.0, "dense"),
        (1, 0.5, "extreme, best"),
        (2, 0.25, ""),
    ]
    assert found["init"] == {"digest": "abcd", "checksums": "ok"}
    digests = [part["digest"] for part in found["rounds"]]
    assert [part["from"]["previous_mask"] for part in found["rounds"]] == [None, *digests[:2]]
    assert digests[0] == "dense"
    assert damage(found) is None


def test_json_is_the_same_document(folder, capsys):
    for target in ("demo", folder / "rounds" / "round-01", folder / "rounds" / "round-01" / "mask.lth"):
        code, out, err = run(capsys, target, "json=true")
        assert (code, err) == (0, "")
        assert json.loads(out) == inspect(target)


def test_what_people_read(folder, capsys):
    code, out, _ = run(capsys, "demo")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["strategy", "constant,", "amount", "0.5"] in lines
    assert ["1", "0" * 8, "50.0", "70.0", "20.00", "33.33", "extreme,", "best", "ok"] in lines
    assert ["conv.weight", "100", "25.0", "25.0"] in lines
    assert ["all", "prunable", "100", "50.0", "25.0"] in lines
    code, out, _ = run(capsys, "outputs/demo/rounds/round-02")
    lines = [line.split() for line in out.splitlines()]
    assert ["conv.weight", "2×4", "2", "8", "25.0"] in lines
    assert ["all", "prunable", "3", "12", "25.0"] in lines
    assert ["all", "parameters", "11", "20", "55.0"] in lines


@pytest.mark.parametrize("file", ["mask.lth", "weights.safetensors", "metrics.json", "hypotheses.jsonl"])
@pytest.mark.parametrize("target", ["demo", "outputs/demo/rounds/round-01", "outputs/demo/rounds/round-01/mask.lth"])
def test_damage_is_one_sentence_and_exit_code_2(folder, capsys, file, target):
    flip(folder / "rounds" / "round-01" / file)
    for options in ([], ["json=true"]):
        code, out, err = run(capsys, target, *options)
        assert code == 2
        assert file in err
        assert err.count("\n") == 1
    found = json.loads(out)
    parts = found.get("rounds", [found])
    assert [part["checksums"] == "ok" for part in parts].count(False) == 1
    assert err.strip().endswith(damage(found))


def test_a_mask_exchanged_for_another_is_noticed(folder, capsys):
    shutil.copy(folder / "rounds" / "round-02" / "mask.lth", folder / "rounds" / "round-01" / "mask.lth")
    code, _, err = run(capsys, folder / "rounds" / "round-01" / "mask.lth")
    assert (code, "mask.lth does not match" in err) == (2, True)


def test_damage_to_a_mask_alone(folder, capsys, tmp_path):
    alone = tmp_path / "ticket.lth"
    shutil.copy(folder / "rounds" / "round-01" / "mask.lth", alone)
    flip(alone)
    code, out, err = run(capsys, alone, "json=true")
    assert (code, str(alone) in err, "layers" in json.loads(out)) == (2, True, False)


def test_a_round_or_init_that_is_gone(folder, capsys):
    shutil.rmtree(folder.parent / "store" / "rounds" / f"{1:032x}")
    (folder / "init.safetensors").unlink()
    code, out, err = run(capsys, "demo")
    assert code == 2
    assert "init.safetensors is missing" in err
    assert "(2 damaged in all)" in err
    assert "delete" not in err  # nothing to delete, least of all the experiment
    assert out.count("DAMAGED") == 2


def test_unknown_and_unreadable_targets(folder, capsys, tmp_path):
    (tmp_path / "notes.txt").write_text("no mask")
    for target in ("nothing", "outputs", tmp_path / "notes.txt"):
        code, _, err = run(capsys, target)
        assert (code, err.count("\n")) == (2, 1)
        assert str(target) in err
    (folder / "experiment.json").write_text("[]")
    code, _, err = run(capsys, "demo")
    assert (code, "experiment.json is damaged" in err) == (2, True)


def test_names_cannot_drive_the_terminal(tmp_path, capsys):
    folder = write_experiment(tmp_path, layers=("\x1b[31mred\x07", "[bold]x[/bold]"))
    _, out, _ = run(capsys, folder)
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]x[/bold]" in out


def test_an_experiment_that_lies_elsewhere(folder, capsys, monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run(capsys, "demo")[0] == 2
    code, out, _ = run(capsys, "demo", "outputs=../outputs", "json=true")
    assert code == 0 and json.loads(out)["name"] == "demo"


def test_command(folder):
    command = [sys.executable, "-m", "lth", "inspect"]
    for word, said in (
        ("ticket=missing", "ticket=missing is no experiment"),
        ("outputs=outputs", "ticket= is missing"),
    ):
        done = subprocess.run([*command, word], capture_output=True, text=True, env=_environment())
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"lth inspect: {said}") and done.stderr.count("\n") == 1


def _environment():
    return os.environ | {"PYTHONPATH": str(PROJECT)}
