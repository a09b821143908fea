"""Which weights survive."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256

import torch
from torch import Tensor


class Mask(Mapping[str, Tensor]):
    """Parameter name -> bool tensor of the parameter's shape, on the CPU; True is a kept weight.

    A mask is never changed once made: pruning returns a new one. The parameters it names are the prunable
    ones, and its density counts only those.
    """

    def __init__(self, bits: Mapping[str, Tensor]):
        self._bits = {name: b.detach().to("cpu", torch.bool).contiguous() for name, b in bits.items()}
        self._survivors = {name: int(b.count_nonzero()) for name, b in self._bits.items()}
        self._moved: dict[torch.device, dict[str, Tensor]] = {}

    @classmethod
    def dense(cls, named: Mapping[str, Tensor]) -> "Mask":
        """Return the mask of round 0: every weight of `named` is kept."""
        return cls({name: torch.ones(tensor.shape, dtype=torch.bool) for name, tensor in named.items()})

    def __getitem__(self, name: str) -> Tensor:
        return self._bits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._bits)

    def __len__(self) -> int:
        return len(self._bits)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return self.keys() == other.keys() and all(torch.equal(b, other[name]) for name, b in self.items())

    __hash__ = None

    def __repr__(self) -> str:
        return f"Mask({len(self)} parameters, {self.kept} of {self.total} weights kept, {self.density:.2%})"

    @property
    def kept(self) -> int:
        """Return the number of weights kept."""
        return sum(self._survivors.values())

    @property
    def total(self) -> int:
        """Return the number of prunable weights, kept or not."""
        return sum(b.numel() for b in self._bits.values())

    @property
    def density(self) -> float:
        """Return kept / prunable, in [0, 1]; 1 where nothing is prunable."""
        return self.kept / self.total if self.total else 1.0

    def survivors(self) -> dict[str, int]:
        """Return the number of weights kept in each parameter."""
        return dict(self._survivors)

    def densities(self) -> dict[str, float]:
        """Return kept / prunable of each parameter."""
        return {name: self._survivors[name] / b.numel() if b.numel() else 1.0 for name, b in self.items()}

    def is_subset_of(self, other: "Mask") -> bool:
        """Return whether both name the same parameters and every weight kept here is kept in `other` too."""
        return self.keys() == other.keys() and all(
            b.shape == other[name].shape and bool((b <= other[name]).all()) for name, b in self.items()
        )

    def check_fits(self, tensors: Mapping[str, Tensor], what: str) -> None:
        """Raise ValueError unless `tensors`, called `what` in it, hold each parameter in the mask's shape."""
        for name, b in self.items():
            if name not in tensors:
                raise ValueError(f"The mask is not for this model: {name} is missing in the {what}.")
            if tensors[name].shape != b.shape:
                raise ValueError(
                    f"The mask is not for this model: {name} has shape {tuple(tensors[name].shape)} "
                    f"in the {what} and {tuple(b.shape)} in the mask."
                )

    @torch.no_grad()
    def apply_(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the pruned weights of `tensors` to zero, in place.

        `tensors` may hold more than the mask names, and on any one device: the bits follow it there once.
        Parameters that have lost nothing are not touched, so a dense mask costs nothing.

        Raises:
            KeyError: a pruned parameter is not in `tensors`.
        """
        pruned = {name: tensors[name] for name in self._pruned()}
        if not pruned:
            return
        device = next(iter(pruned.values())).device
        if device not in self._moved:
            self._moved[device] = {name: self[name].to(device) for name in pruned}
        # torch has no public name for it.
        torch._foreach_mul_(list(pruned.values()), list(self._moved[device].values()))  # pyright: ignore[reportPrivateImportUsage]

    def digest(self) -> str:
        """Return the SHA-256 in hex of name, shape and bits of each parameter that has lost a weight; "dense" if none.

        Independent of the parameters' order and of which untouched parameters count as prunable: a dense
        round trained under one choice of prunable layers is the dense round of every other.
        """
        pruned = sorted(self._pruned())
        if not pruned:
            return "dense"
        digest = sha256()
        for name in pruned:
            digest.update(json.dumps([name, list(self[name].shape)]).encode())
            digest.update(self[name].view(-1).numpy().data)
        return digest.hexdigest()

    def _pruned(self) -> list[str]:
        return [name for name, b in self.items() if self._survivors[name] < b.numel()]
