"""Lightning checkpoints without pickle: tensors in safetensors, the rest as JSON in the same file's header."""

import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lth.errors import UserError
from lth.files import replacing, save_tensors, sha256, write_text

PLAIN = (type(None), bool, int, float, str)


def _encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_encode(k, tensors), _encode(v, tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(v, tensors) for v in value]}
    if type(value) in PLAIN:
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_decode(k, tensors): _decode(v, tensors) for k, v in content}
    items = [_decode(v, tensors) for v in content]
    return items if kind == "list" else tuple(items)


def save(state: dict, path: Path) -> None:
    """Write nested dicts, lists, tuples, tensors and plain values to ``path``, and its SHA-256 beside it."""
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_encode(state, tensors))
    with replacing(path) as temporary:
        save_tensors(tensors, temporary, {"tree": tree})
        digest = sha256(temporary)
    write_text(path.with_suffix(".sha256"), digest)


def load(path: Path) -> dict:
    """Read what :func:`save` wrote; raises UserError when the file is damaged."""
    try:
        if sha256(path) != path.with_suffix(".sha256").read_text():
            raise UserError(f"{path} does not match its checksum; delete it to train the round from its start")
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return _decode(json.loads(file.metadata()["tree"]), tensors)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it to train the round from its start") from error


class SafeCheckpointIO(CheckpointIO):
    """A plugin by which the Lightning Trainer writes and reads checkpoints through :func:`save` and :func:`load`."""

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options: Any = None) -> None:
        save(checkpoint, Path(path))

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict:
        return load(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        for file in (Path(path), Path(path).with_suffix(".sha256")):
            file.unlink(missing_ok=True)


def latest(folder: Path) -> Path | None:
    """Return the newest sound checkpoint of a round in training, or None; remove damaged ones.

    A checkpoint without its checksum was being written when the process died; the one before it still stands.
    """
    for path in sorted(folder.glob("epoch-*.safetensors"), reverse=True):
        sums = path.with_suffix(".sha256")
        if sums.is_file() and sha256(path) == sums.read_text():
            return path
        SafeCheckpointIO().remove_checkpoint(path)
    return None
