import pickle

import pytest
import torch

from lth.errors import UserError
from lth.training.checkpoint import SafeCheckpointIO, latest, load, save

STATE = {
    "epoch": 3,
    "names": ["a", None, 1.5, True],
    "pair": (torch.arange(4), torch.ones(2, 3, dtype=torch.bfloat16)),
    "optimizer": {0: {"step": torch.tensor(7.0), "exp_avg": torch.randn(2, 2).T}, 1: {}},
    "empty": [],
}


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def test_what_is_saved_comes_back(tmp_path):
    save(STATE, tmp_path / "epoch-00001.safetensors")
    assert same(load(tmp_path / "epoch-00001.safetensors"), STATE)


def test_an_object_is_refused_when_saving(tmp_path):
    with pytest.raises(TypeError, match="cannot hold a set"):
        save({"x": {1}}, tmp_path / "c.safetensors")


def test_a_pickle_is_never_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    path = tmp_path / "epoch-00001.safetensors"
    path.write_bytes(pickle.dumps(Evil()))
    from lth.files import sha256

    path.with_suffix(".sha256").write_text(sha256(path))
    with pytest.raises(UserError, match=r"epoch-00001\.safetensors cannot be read"):
        load(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("harm", ["flip", "truncate", "no checksum"])
def test_damage_is_noticed_and_the_newest_sound_one_is_used(tmp_path, harm):
    for epoch in (1, 2):
        save({"epoch": epoch}, tmp_path / f"epoch-{epoch:05d}.safetensors")
    newest = tmp_path / "epoch-00002.safetensors"
    data = bytearray(newest.read_bytes())
    if harm == "flip":
        data[-1] ^= 1
        newest.write_bytes(data)
    elif harm == "truncate":
        newest.write_bytes(data[:-3])
    else:
        newest.with_suffix(".sha256").unlink()
    with pytest.raises(UserError, match="epoch-00002"):
        load(newest)
    assert load(latest(tmp_path)) == {"epoch": 1}
    assert not newest.exists()


def test_removal_takes_the_checksum_along(tmp_path):
    save({"x": 1}, tmp_path / "epoch-00001.safetensors")
    SafeCheckpointIO().remove_checkpoint(tmp_path / "epoch-00001.safetensors")
    assert not list(tmp_path.iterdir())
    assert latest(tmp_path) is None
