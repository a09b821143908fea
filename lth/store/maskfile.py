"""A mask as one small file, within a few percent of the entropy of its bits.

    8 bytes   magic
    32 bytes  sha256 of all that follows
    4 bytes   length of the header, little-endian
    header    JSON: {"meta": {...}, "layers": [{"name", "shape", "code", "bytes"}, ...]}
    frames    one zstandard frame per layer, in the header's order

A layer's code is "bits" (its bits, packed) or, where that is smaller, the gaps between its "kept" or "pruned"
weights, whichever are rarer: a byte each, 255 meaning "255 further on, and nothing there". The gaps of random
bits are geometric, and zstandard's Huffman stage codes those almost perfectly.
"""

import json
import math
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

import numpy as np
import torch
import zstandard

from lth.errors import UserError
from lth.tickets.mask import Mask

MAGIC = b"LTHMASK1"
MAX_WEIGHTS = 2**30  # what a file of a few bytes may make us allocate: a GiB
LEVEL = 1  # higher levels look for repeats that random bits do not have, and code the gaps worse
CHUNK = 2**20


class CorruptMask(UserError):
    """The file is no mask, or not the one that was written."""


def save_mask(path: Path, mask: Mask, meta: dict) -> None:
    """Write `mask` to `path`, whole or not at all. `meta` is plain JSON that travels with it.

    The same mask and meta give the same bytes.

    Raises:
        ValueError: `meta` holds NaN or infinity, or the mask is larger than `load_mask` would accept.
        TypeError: `meta` holds what JSON cannot say.
    """
    if mask.total > MAX_WEIGHTS:
        raise ValueError(f"A mask of {mask.total} weights is more than the {MAX_WEIGHTS} a mask file may hold.")
    layers, frames = [], []
    for name, bits in mask.items():
        code, frame = encode(bits.flatten().numpy())
        layers.append({"name": name, "shape": list(bits.shape), "code": code, "bytes": len(frame)})
        frames.append(frame)
    header = json.dumps({"meta": meta, "layers": layers}, allow_nan=False).encode()
    body = b"".join([len(header).to_bytes(4, "little"), header, *frames])
    path = Path(path)
    partial = path.with_name(f"{path.name}.{token_hex(4)}.partial")  # others may be writing the same mask
    try:
        partial.write_bytes(MAGIC + sha256(body).digest() + body)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_mask(path: Path) -> tuple[Mask, dict]:
    """Return the mask and meta that `save_mask` wrote to `path`. Nothing in the file names another file or runs.

    Raises:
        CorruptMask: the file is foreign, cut off or changed.
        UserError: it cannot be read at all.
    """
    try:
        with Path(path).open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise CorruptMask(f"{path} is not a mask file; give the mask.lth of a round, or fetch it again.")
            checksum, body = file.read(32), file.read(MAX_WEIGHTS)
    except OSError as error:
        raise UserError(f"The mask {path} cannot be read ({error.strerror}); check the path.") from error
    if sha256(body).digest() != checksum:
        raise CorruptMask(
            f"{path} is cut off or changed (its checksum does not match); "
            "delete it to have its round rebuilt, or fetch it again."
        )
    try:
        return parse(body)
    except (LookupError, RecursionError, TypeError, ValueError, zstandard.ZstdError) as error:
        raise CorruptMask(
            f"{path} is not a mask this version can read ({error}); delete it to have its round rebuilt, "
            "or fetch it again."
        ) from error


def parse(body: bytes) -> tuple[Mask, dict]:
    """Return the mask and meta in what follows the checksum; every size is checked before anything so large is made."""
    start = 4 + int.from_bytes(body[:4], "little")
    header = json.loads(body[4:start])
    layers, total = {}, 0
    for layer in header["layers"]:
        name, shape, size = layer["name"], layer["shape"], layer["bytes"]
        require(isinstance(name, str) and name not in layers, "a layer's name is no name or comes twice")
        require(len(shape) <= 8 and all(type(n) is int and 0 < n <= MAX_WEIGHTS for n in shape), "a strange shape")
        total += math.prod(shape)
        require(total <= MAX_WEIGHTS, f"more than {MAX_WEIGHTS} weights")
        require(type(size) is int and 0 < size <= len(body) - start, "a layer's bytes are not in the file")
        bits = decode(layer["code"], body[start : start + size], math.prod(shape))
        layers[name] = torch.from_numpy(bits).view(shape)
        start += size
    require(start == len(body), "bytes that belong to no layer")
    require(isinstance(header["meta"], dict), "its meta is no mapping")
    return Mask(layers), header["meta"]


def encode(bits: np.ndarray) -> tuple[str, bytes]:
    """Return a flat bool array as its code and compressed frame, whichever code is the smaller."""
    compress = zstandard.ZstdCompressor(level=LEVEL).compress
    code = "kept" if 2 * np.count_nonzero(bits) <= bits.size else "pruned"
    rare = np.flatnonzero(bits if code == "kept" else ~bits)
    gaps = np.diff(rare, prepend=-1) - 1
    skips = gaps // 255
    coded = np.full(gaps.size + skips.sum(), 255, np.uint8)
    coded[np.cumsum(skips + 1) - 1] = gaps % 255
    frames = {code: compress(coded.tobytes()), "bits": compress(np.packbits(bits).tobytes())}
    return min(frames.items(), key=lambda item: len(item[1]))


def decode(code: str, frame: bytes, size: int) -> np.ndarray:
    """Return the flat bool array of `size` weights that `encode` made `frame` of."""
    require(code in ("bits", "kept", "pruned"), "an unknown code")
    # The decompressor allocates what the frame declares; no gap takes less than one weight.
    declared, packed = zstandard.frame_content_size(frame), math.ceil(size / 8)
    require(declared == packed if code == "bits" else 0 <= declared <= size, "a frame of the wrong size")
    raw = np.frombuffer(zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False), np.uint8)
    if code == "bits":
        return np.unpackbits(raw, count=size).view(bool)
    bits, end = np.full(size, code == "pruned"), 0
    for start in range(0, raw.size, CHUNK):
        gaps = raw[start : start + CHUNK]
        here = gaps < 255
        ends = end + np.cumsum(gaps + here, dtype=np.int64)
        bits[ends[here] - 1] = code == "kept"
        end = ends[-1]
    return bits


def require(true: bool, otherwise: str) -> None:
    """Raise ValueError with what is wrong unless `true`."""
    if not true:
        raise ValueError(otherwise)
