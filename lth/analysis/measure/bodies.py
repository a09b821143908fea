"""What training did to a ticket's weights, against the same weights in the dense network."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from lth.analysis.cache import remembered
from lth.analysis.measure.specimens import TicketSample
from lth.errors import UserError
from lth.tickets.anatomy import Change, change, effective_rank

#: Raised when what is kept of a body would come out otherwise.
VERSION = 1


def weight_changes(one: TicketSample, folder: Path | None = None) -> dict | None:
    """Return what training did to a ticket's weights and to the dense network's; None where weights or init are gone.

    ``ticket`` and ``dense`` are a `Change` each over the weights that the ticket keeps, ``ranks`` maps every
    parameter to the effective ranks of both.
    """
    dense, init = one.experiment.reference, one.experiment.path / "init.safetensors"
    inputs = {"version": VERSION, "round": one.round.row.key, "dense": dense.row.key}
    try:
        return remembered(
            folder, "bodies", inputs | {"init": one.experiment.about.get("init")}, lambda: _body(one, init)
        )
    except (OSError, UserError):
        return None


def _body(one: TicketSample, file: Path) -> dict:
    from lth.store.ticket import read_init

    init, mask = read_init(file), one.round.mask()
    trained, dense = one.round.weights(), one.experiment.reference.weights()
    for what, tensors in (("init", init), ("round", trained), ("dense round", dense)):
        try:
            mask.check_fits(tensors, what)
        except ValueError as error:
            raise UserError(f"{one.experiment.name}: {error}") from None
    ours = sum((change(init[name], trained[name], bits) for name, bits in mask.items()), Change(0, 0, 0))
    theirs = sum((change(init[name], dense[name], bits) for name, bits in mask.items()), Change(0, 0, 0))
    with one_thread():
        ranks = {name: [effective_rank(trained[name]), effective_rank(dense[name])] for name in mask}
    return {"ticket": list(ours), "dense": list(theirs), "ranks": ranks}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Use one torch thread: a sweep may train beside the analysis, and threads that share cores are much slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
