"""Mask files: what goes in comes out, nothing else gets in, and they are small."""

import json
import math
import resource
from hashlib import sha256

import numpy as np
import pytest
import torch
import zstandard

from lth.errors import UserError
from lth.store.maskfile import MAGIC, CorruptMask, load_mask, save_mask
from lth.tickets.mask import Mask

DENSITIES = [0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.044, 0.02, 0.01]


def random_mask(density, *shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Mask({f"layer{n}.weight": torch.rand(s, generator=generator) < density for n, s in enumerate(shapes)})


@pytest.mark.parametrize("density", DENSITIES)
def test_within_five_percent_of_the_entropy(tmp_path, density):
    mask = random_mask(density, (1024, 1000), (512, 512))
    save_mask(tmp_path / "mask.lth", mask, {})
    entropy = -density * math.log2(density) - (1 - density) * math.log2(1 - density)
    assert (tmp_path / "mask.lth").stat().st_size * 8 <= 1.05 * entropy * mask.total
    assert load_mask(tmp_path / "mask.lth")[0] == mask


@pytest.mark.parametrize("density", [0, 1e-4, 0.001, 0.03, 0.5, 0.97, 0.9999, 1])
def test_round_trip(tmp_path, density):
    mask = random_mask(density, (), (1,), (7,), (8,), (3, 1, 5, 7), (513, 511), seed=1)
    meta = {"round": 3, "name": "größe", "nested": {"density": 0.512, "none": None}}
    save_mask(tmp_path / "mask.lth", mask, meta)
    loaded, read = load_mask(str(tmp_path / "mask.lth"))
    assert loaded == mask and list(loaded) == list(mask) and read == meta
    assert loaded.digest() == mask.digest()
    assert [p.name for p in tmp_path.iterdir()] == ["mask.lth"]


@pytest.mark.parametrize("gap", [0, 1, 253, 254, 255, 256, 509, 510, 511, 70_000])
@pytest.mark.parametrize("inverted", [False, True])
def test_gaps_at_the_edges_of_a_byte(tmp_path, gap, inverted):
    bits = torch.zeros(3 * gap + 10_000, dtype=torch.bool)
    bits[[gap, 2 * gap + 1, len(bits) - 1]] = True
    mask = Mask({"a": ~bits if inverted else bits})
    save_mask(tmp_path / "mask.lth", mask, {})
    assert load_mask(tmp_path / "mask.lth")[0] == mask


def test_gaps_longer_than_a_chunk(tmp_path):
    torch.manual_seed(0)
    mask = Mask({"a": torch.rand(30_000_000) < 0.04})  # 1.2 million gaps, beyond one chunk of the decoder
    save_mask(tmp_path / "mask.lth", mask, {})
    assert load_mask(tmp_path / "mask.lth")[0] == mask


def test_no_parameters_at_all(tmp_path):
    save_mask(tmp_path / "mask.lth", Mask({}), {})
    assert load_mask(tmp_path / "mask.lth") == (Mask({}), {})


def test_a_dense_layer_takes_next_to_nothing(tmp_path):
    save_mask(tmp_path / "mask.lth", Mask.dense({"a": torch.empty(4096, 1024)}), {})
    assert (tmp_path / "mask.lth").stat().st_size < 300


def test_the_same_mask_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        save_mask(tmp_path / name, random_mask(0.3, (100, 100)), {"a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "mask.lth"
    old = random_mask(0.3, (100,))
    save_mask(path, old, {})

    def full(self, data):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_mask(path, random_mask(0.5, (100,)), {})
    assert load_mask(path)[0] == old and [p.name for p in tmp_path.iterdir()] == ["mask.lth"]


def test_every_truncation_and_every_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "mask.lth"
    save_mask(path, random_mask(0.3, (20, 5), (30,)), {"round": 1})
    whole = path.read_bytes()
    broken = [whole[:n] for n in range(len(whole))] + [whole + b"\0"]
    broken += [whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :] for n in range(len(whole))]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(CorruptMask, match=r"mask\.lth.*(delete it|fetch it again|give the mask)"):
            load_mask(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a torch checkpoint", b"\x80\x02}q\x00.", b"{}", MAGIC])
def test_foreign_files(tmp_path, content):
    (tmp_path / "other.pt").write_bytes(content)
    with pytest.raises(CorruptMask, match=r"other\.pt"):
        load_mask(tmp_path / "other.pt")


def test_what_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "absent.lth", tmp_path):
        with pytest.raises(UserError, match=path.name):
            load_mask(path)


def forge(path, header, frames=b""):
    """A file whose checksum is right and whose content is hostile."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = len(header).to_bytes(4, "little") + header + frames
    path.write_bytes(MAGIC + sha256(body).digest() + body)


def layer(size, **changes):
    return {"name": "a", "shape": [64], "code": "bits", "bytes": size} | changes


FRAME = zstandard.ZstdCompressor().compress(bytes(8))


def hostile():
    good, size = FRAME, len(FRAME)
    gaps = zstandard.ZstdCompressor().compress(bytes([254] * 8))
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(8))
    bomb = zstandard.ZstdCompressor().compress(bytes(2**26))
    # A frame header that declares 2 ** 40 bytes and holds none.
    liar = b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little") + b"\x01\x00\x00"
    one = {
        "no header": (b"", b""),
        "not JSON": (b"{", b""),
        "not text": (b"\xff\xfe", b""),
        "deep": (b"[" * 200_000, b""),
        "long number": (b'{"layers": [{"shape": [' + b"9" * 10_000 + b"]}]}", b""),
        "no layers": ({"meta": {}}, b""),
        "layers a number": ({"meta": {}, "layers": 3}, b""),
        "layer a number": ({"meta": {}, "layers": [3]}, b""),
        "no meta": ({"layers": [layer(size)]}, good),
        "meta a list": ({"meta": [], "layers": [layer(size)]}, good),
        "twice": ({"meta": {}, "layers": [layer(size), layer(size)]}, good + good),
        "left over": ({"meta": {}, "layers": [layer(size)]}, good + b"more"),
        "two frames": ({"meta": {}, "layers": [layer(2 * size)]}, good + good),
    }
    changes = {
        "no name": {"name": 3},
        "huge": {"shape": [2**40]},
        "huge product": {"shape": [2**20, 2**20]},
        "gaps that claim a terabyte": {"code": "kept", "shape": [2**20, 2**20]},
        "many dimensions": {"shape": [1] * 100},
        "negative": {"shape": [-8, -8]},
        "none": {"shape": [0]},
        "fraction": {"shape": [64.0]},
        "true": {"shape": [True]},
        "text": {"shape": "64"},
        "null": {"shape": None},
        "other size": {"shape": [640]},
        "unknown code": {"code": "pickle"},
        "gaps that end beyond": {"code": "kept", "shape": [8]},
        "beyond the file": {"bytes": size + 1},
        "before it": {"bytes": -1},
        "no bytes": {"bytes": 0},
        "half a byte": {"bytes": float(size)},
        "cut frame": {"bytes": size - 1},
    }
    for name, change in changes.items():
        frame = gaps if name.startswith("gaps") else good
        one[name] = ({"meta": {}, "layers": [layer(len(frame)) | change]}, frame)
    for name, frame in {"unsized": unsized, "bomb": bomb, "liar": liar, "not zstd": b"12345678"}.items():
        one[name] = ({"meta": {}, "layers": [layer(len(frame))]}, frame)
        one[name + " of gaps"] = ({"meta": {}, "layers": [layer(len(frame), code="kept")]}, frame)
    return one


@pytest.mark.parametrize("name", hostile())
def test_hostile_files_are_refused_and_allocate_nothing_large(tmp_path, name):
    forge(tmp_path / "mask.lth", *hostile()[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorruptMask, match=r"mask\.lth is not a mask this version can read"):
        load_mask(tmp_path / "mask.lth")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


def test_the_forger_can_also_make_a_good_file(tmp_path):
    """Else the test above would pass whatever it forged."""
    forge(tmp_path / "mask.lth", {"meta": {}, "layers": [layer(len(FRAME))]}, FRAME)
    assert load_mask(tmp_path / "mask.lth")[0].kept == 0


def test_a_layer_named_like_a_path_is_only_a_name(tmp_path):
    mask = Mask({"../../escape": torch.tensor([True, False])})
    save_mask(tmp_path / "mask.lth", mask, {"file": "/etc/passwd"})
    assert load_mask(tmp_path / "mask.lth")[0] == mask
    assert [p.name for p in tmp_path.iterdir()] == ["mask.lth"]


def test_meta_that_json_cannot_say_is_refused_before_anything_is_written(tmp_path):
    for meta, error in (({"a": float("nan")}, ValueError), ({"a": np.float32(1)}, TypeError)):
        with pytest.raises(error):
            save_mask(tmp_path / "mask.lth", random_mask(0.5, (3,)), meta)
    assert not list(tmp_path.iterdir())
