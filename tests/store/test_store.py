import logging
import subprocess
import sys
import threading
import time
from hashlib import sha256

import pytest
import torch

from lth.store.store import CorruptRound, Store, round_key, tensors_digest, verify


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def add(store, key="k1", text="hello"):
    with store.adding(key) as folder:
        (folder / "metrics.json").write_text('{"round": 0}')
        (folder / "history.jsonl").write_text(f'{{"x": "{text}"}}\n')
    return store.find(key)


def test_a_round_is_found_again_and_sealed(store):
    stored = add(store)
    assert stored.metrics == {"round": 0} and stored.history() == [{"x": "hello"}]
    sums = dict(reversed(line.split("  ")) for line in (stored.path / "SHA256SUMS").read_text().splitlines())
    assert sums == {f.name: sha256(f.read_bytes()).hexdigest() for f in stored.path.iterdir() if f.name != "SHA256SUMS"}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=stored.path, check=True)
    assert store.find("other") is None


def test_nothing_is_stored_when_writing_fails(store):
    with pytest.raises(RuntimeError), store.adding("k1") as folder:
        (folder / "metrics.json").write_text("{")
        raise RuntimeError
    assert store.find("k1") is None
    assert not list((store.root / "new").iterdir())


@pytest.mark.parametrize("harm", ["change", "delete", "no sums"])
def test_a_damaged_round_is_named_set_aside_and_absent(store, caplog, harm):
    stored = add(store)
    file = stored.path / ("SHA256SUMS" if harm == "no sums" else "history.jsonl")
    file.write_text("else") if harm == "change" else file.unlink()
    with pytest.raises(CorruptRound, match=file.name):
        verify(stored.path)
    with caplog.at_level(logging.WARNING):
        assert store.find("k1") is None
    assert file.name in caplog.text
    assert len(list((store.root / "corrupt").iterdir())) == 1
    assert add(store).metrics == {"round": 0}


def test_sums_cannot_name_files_elsewhere(store, tmp_path):
    stored = add(store)
    secret = tmp_path / "secret"
    secret.write_text("x")
    (stored.path / "SHA256SUMS").write_text(f"{sha256(b'x').hexdigest()}  ../../../secret\n")
    with pytest.raises(CorruptRound, match="SHA256SUMS is damaged"):
        verify(stored.path)


def test_an_init_is_stored_once(store):
    init = {"b": torch.zeros(2), "a": torch.ones(3, 2)}
    path = store.put_init(init)
    changed = path.stat().st_mtime_ns
    assert store.put_init(dict(reversed(init.items()))) == path
    assert path.stat().st_mtime_ns == changed
    assert path.parent.name == tensors_digest(init)


def test_the_digest_sees_names_types_shapes_and_values():
    tensors = {"a": torch.zeros(2, 3)}
    others = [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3).double()},
        {"a": torch.ones(2, 3)},
    ]
    assert len({tensors_digest(t) for t in [tensors, *others]}) == 5
    assert tensors_digest({"a": torch.zeros(3, 2).T}) == tensors_digest(tensors)


def test_the_key_depends_on_content_not_order():
    assert round_key({"a": 1, "b": [2]}) == round_key({"b": [2], "a": 1})
    assert round_key({"a": 1}) != round_key({"a": 1.5})
    with pytest.raises(ValueError):
        round_key({"a": float("nan")})


def test_the_lock_of_a_killed_process_is_free(store):
    code = (
        "import sys, time; from pathlib import Path; from lth.store.store import Store\n"
        f"with Store(Path({str(store.root)!r})).lock('k'):\n print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    got = threading.Event()

    def take():
        with store.lock("k"):
            got.set()

    thread = threading.Thread(target=take)
    thread.start()
    time.sleep(0.3)
    assert not got.is_set()
    child.kill()
    thread.join(10)
    assert got.is_set()
