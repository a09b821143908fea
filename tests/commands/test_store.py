"""Housekeeping: what is shown of a store, what is found damaged, and above all what is never removed."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lth.commands.store import main
from lth.store.folder import ExperimentFolder
from lth.store.store import Store

DAY = 86400


@pytest.fixture
def outputs(tmp_path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def store(outputs) -> Store:
    return Store(outputs / "store")


def aged(path: Path, days: float) -> Path:
    """As if nobody had used it for so long."""
    for file in [*path.rglob("*"), path]:
        os.utime(file, (time.time() - days * DAY,) * 2)
    return path


def stored(store: Store, key: str, init: str = "i1", days: float = 30, weights: bool = True) -> Path:
    with store.adding(key, weights=weights) as folder:
        metrics = {"round": 1, "density": 0.5, "dev_wer": 0.25, "inputs": {"init": init}}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        if weights:
            (folder / "weights.safetensors").write_bytes(b"w" * 5000)
    return aged(store.root / ("rounds" if weights else "records") / key, days)


def init(store: Store, digest: str, days: float = 30) -> Path:
    with store._adding(store.root / "inits" / digest) as folder:
        (folder / "init.safetensors").write_bytes(b"init")
    return aged(store.root / "inits" / digest, days)


def experiment(outputs: Path, name: str, keys: list[str], init: str = "i1", **state) -> Path:
    folder = outputs / name
    folder.mkdir(parents=True)
    state = {"id": f"id-{name}", "identity": "x", "keys": keys, "init": init, "finished": True, **state}
    (folder / "experiment.json").write_text(json.dumps(state))
    return folder


def cli(monkeypatch, capsys, command: str, outputs: Path, *options: str) -> tuple[int, dict, str]:
    monkeypatch.setattr(sys, "argv", ["lth", f"do={command}", f"outputs={outputs}", "json=true", *options])
    code = main("python -m lth store")
    printed = capsys.readouterr()
    return code, json.loads(printed.out or "{}"), printed.err


def names(root: Path) -> set[str]:
    """Everything in the store but locks."""
    return {f"{path.parent.name}/{path.name}" for path in root.glob("*/*") if path.parent.name != "locks"}


def test_the_list_says_what_there_is_and_who_needs_it(outputs, store):
    stored(store, "k1"), stored(store, "k2"), stored(store, "k3", weights=False), init(store, "i1")
    experiment(outputs, "a", ["k1", "k3"]), experiment(outputs, "b", ["k1"])
    command = [sys.executable, "-m", "lth", "store", f"outputs={outputs}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("k")}
    assert lines["k1"].endswith("a, b") and lines["k2"].endswith("-") and lines["k3"].endswith("a (without weights)")
    assert "50.00%   25.00%" in lines["k1"] and "5.2 kB" in lines["k1"]
    assert "2 rounds: 10.5 kB, of them 1 (5.2 kB) needed by no experiment" in text

    found = json.loads(subprocess.run([*command, "json=true"], capture_output=True, text=True, check=True).stdout)[
        "items"
    ]
    by_name = {item["name"]: item for item in found}
    size = sum(file.stat().st_size for file in (store.root / "rounds/k1").iterdir())
    assert by_name["k1"]["bytes"] == size and by_name["k1"]["kind"] == "round"
    assert [Path(user).name for user in by_name["i1"]["users"]] == ["a", "b"]


def test_listing_does_not_import_torch(outputs, store):
    stored(store, "k1")
    code = "import sys, lth.__main__; sys.argv[1:] = ['store', 'outputs={}']; assert lth.__main__.main() == 0"
    code += "; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code.format(outputs)], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[1].startswith("k1 ")


@pytest.mark.parametrize("victim", ["rounds/k1/weights.safetensors", "records/k3/metrics.json", "inits/i1/SHA256SUMS"])
def test_verify_names_the_corrupt_file(outputs, store, monkeypatch, capsys, victim):
    stored(store, "k1"), stored(store, "k2"), stored(store, "k3", weights=False), init(store, "i1")
    assert cli(monkeypatch, capsys, "verify", outputs)[0] == 0
    path = store.root / victim
    if path.name == "SHA256SUMS":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[7] ^= 1
        path.write_bytes(content)
    code, told, errors = cli(monkeypatch, capsys, "verify", outputs)
    assert code == 2 and told["checked"] == 4
    assert str(path) in errors and errors.count("\n") == 1 and [str(path) in p for p in told["problems"]] == [True]


def test_prune_removes_only_what_nobody_needs(outputs, store, monkeypatch, capsys):
    for key in ("needed", "old", "linked", "unsent"):
        stored(store, key)
    stored(store, "young", init="i3", days=2)
    stored(store, "forgotten", init="i2", weights=False)
    for digest in ("i1", "i2", "i3"):
        init(store, digest)
    experiment(outputs, "a", ["needed"])
    (outputs / "a/rounds").mkdir()
    (outputs / "a/rounds/round-01").symlink_to("../../store/rounds/linked")
    record = outputs / "a/wandb/records/x/record.json"
    record.parent.mkdir(parents=True)
    files = {"mask.lth": "../store/rounds/unsent/mask.lth"}
    record.write_text(json.dumps({"artifacts": [{"files": files}]}))

    before = names(store.root)
    told = cli(monkeypatch, capsys, "prune", outputs, "dry_run=true")[1]
    assert {item["name"] for item in told["items"]} == {"old", "forgotten", "i2"} and names(store.root) == before
    told = cli(monkeypatch, capsys, "prune", outputs)[1]
    assert before - names(store.root) == {"rounds/old", "records/forgotten", "inits/i2"}
    assert {item["name"] for item in told["items"]} == {"old", "forgotten", "i2"}
    cli(monkeypatch, capsys, "prune", outputs, "keep=1")
    assert names(store.root) == {"rounds/needed", "rounds/linked", "rounds/unsent", "inits/i1"}
    assert store.find("needed") is not None


def test_a_round_that_was_found_again_is_young(outputs, store, monkeypatch, capsys):
    stored(store, "old"), stored(store, "again")
    assert store.find("again") is not None
    cli(monkeypatch, capsys, "prune", outputs)
    assert names(store.root) == {"rounds/again"}


def test_an_experiment_elsewhere_keeps_its_rounds(outputs, store, tmp_path, monkeypatch, capsys):
    stored(store, "k1"), stored(store, "k2")
    elsewhere = experiment(tmp_path / "elsewhere", "a", ["k1"])
    store.register("id-a", elsewhere)
    cli(monkeypatch, capsys, "prune", outputs)
    assert names(store.root) == {"rounds/k1", "experiments/id-a.json"}

    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    (elsewhere / "experiment.json").rename(elsewhere / "hidden")  # its machine's disk is not mounted here
    code, _, errors = cli(monkeypatch, capsys, "prune", outputs)
    assert code == 2 and "cannot be seen from here" in errors and (store.root / "rounds/k1").is_dir()
    monkeypatch.undo()
    cli(monkeypatch, capsys, "prune", outputs)  # on its own machine it is known to be gone
    assert names(store.root) == set()


HOLD = """
import sys, time; from pathlib import Path; from lth.store.store import Store
with Store(Path(sys.argv[1])).lock("busy"):
    print("held", flush=True); time.sleep(120)
"""


def test_a_round_in_training_is_left_alone_and_leftovers_go(outputs, store, monkeypatch, capsys):
    experiment(outputs, "stopped", [], finished=False)
    experiment(outputs, "done", [])
    owners = {"busy": "id-gone", "wanted": "id-stopped", "done": "id-done", "gone": "id-gone"}
    for key, owner in owners.items():
        folder = store.partial(key, owner)
        (folder / "epoch-1.safetensors").write_text("x")
        with store.lock(key):
            pass
        aged(folder, 30)
    for folder in ("new/busy-77", "new/gone-77", "new/writing-77", "corrupt/gone-77-abc"):
        (store.root / folder).mkdir(parents=True)
        (store.root / folder / "mask.lth").write_text("x")
        aged(store.root / folder, 0 if "writing" in folder else 30)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(store.root)], stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout.readline() == "held\n"
        cli(monkeypatch, capsys, "prune", outputs, "keep=0")
        assert names(store.root) == {"partial/busy", "partial/wanted", "new/busy-77", "new/writing-77"}
        assert {path.name for path in (store.root / "locks").iterdir()} == {"busy", "wanted"}
        with store.lock("busy", wait=False) as held:
            assert not held
        trainer.kill()
    cli(monkeypatch, capsys, "prune", outputs, "keep=0")
    assert names(store.root) == {"partial/wanted", "new/writing-77"}


def test_while_an_experiment_runs_the_last_hour_is_left_alone(outputs, store, tmp_path, monkeypatch, capsys):
    stored(store, "fresh", days=0)
    folder = ExperimentFolder(experiment(outputs, "a", []), "x").path
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print('held', flush=True)"
    code += "; time.sleep(120)"
    lock = str(folder / ".lock")
    with subprocess.Popen([sys.executable, "-c", code, lock], stdout=subprocess.PIPE, text=True) as player:
        assert player.stdout.readline() == "held\n"
        cli(monkeypatch, capsys, "prune", outputs, "keep=0")
        assert names(store.root) == {"rounds/fresh"}
        player.kill()
    cli(monkeypatch, capsys, "prune", outputs, "keep=0")
    assert names(store.root) == set()


def test_a_lock_removed_under_a_waiting_process_is_not_two_locks(store):
    """Whoever waited on a file that is no longer there must take the new one."""
    with store.lock("k"):
        code = HOLD.replace("busy", "k")
        waiter = subprocess.Popen(
            [sys.executable, "-c", code, str(store.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert "waiting for it" in waiter.stderr.readline()
        (store.root / "locks/k").unlink()
    assert waiter.stdout.readline() == "held\n"
    with store.lock("k", wait=False) as held:
        assert not held
    waiter.kill()
    waiter.communicate()


def test_no_store_is_said(outputs, monkeypatch, capsys):
    code, _, errors = cli(monkeypatch, capsys, "list", outputs)
    assert code == 2 and "is no store" in errors
    code, _, errors = cli(monkeypatch, capsys, "prune", outputs, "keep=-1")
    assert code == 2 and "keep=-1 is no number of days: give 0 or more" in errors


@pytest.mark.parametrize(
    "word, said",
    [
        ("do=purge", "there is no do=purge among list, verify, prune; did you mean do=prune?"),
        ("dry_run=ys", "dry_run=ys is neither true nor false"),
        ("d=list", "there is no key 'd'; did you mean do=list?"),
    ],
)
def test_a_wrong_word_removes_nothing(outputs, store, monkeypatch, capsys, word, said):
    stored(store, "old")
    code, _, errors = cli(monkeypatch, capsys, "prune", outputs, word)
    assert code == 2 and said in errors and errors.count("\n") == 1 and names(store.root) == {"rounds/old"}
