"""What a ticket is made of: where its weights are, what it shares with others, what training did to them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lth.analysis.document import Column, Heat, Section, Table
from lth.analysis.gather import Experiment, Round
from lth.analysis.overlap import Packed, overlap
from lth.errors import UserError
from lth.tickets.mask import Mask

#: Tickets that are looked into; a figure of more cannot be read.
MOST = 12


@dataclass(frozen=True)
class Specimen:
    """A ticket under the microscope."""

    experiment: Experiment
    round: Round

    @property
    def name(self) -> str:
        """'layerwise, seed 0, 16.6 %'"""
        return f"{self.experiment.label}, seed {self.experiment.seed}, {100 * self.round.density:.1f} %"

    @cached_property
    def mask(self) -> Mask:
        return self.round.mask()


def section(experiments: Sequence[Experiment]) -> Section | None:
    """Densities of the layers, overlaps of the masks, and what became of signs, ranks and units."""
    found, left_out = specimens(experiments)
    if not found:
        return None
    text = [_first(found)]
    if left_out:
        text.append(f"The {len(found)} sparsest tickets are looked into; {left_out} more are left out.")
    together, pairs = overlaps(found)
    bodies = [table for table in (_weights(found),) if table.rows]
    charts = [_densities(found)] + ([together] if together else [])
    return Section("anatomy", "Anatomy of the tickets", text, [*([pairs] if pairs else []), *bodies], charts)


def specimens(experiments: Sequence[Experiment]) -> tuple[list[Specimen], int]:
    """The ticket of every lottery, the sparsest `MOST` of them, in the experiments' order; how many are left out."""
    found = [
        Specimen(one, one.ticket)
        for one in experiments
        if one.control is None and one.dense and one.ticket and (one.ticket.stored.path / "mask.lth").is_file()
    ]
    chosen = sorted(found, key=lambda one: one.round.density)[:MOST]
    return [one for one in found if one in chosen], len(found) - len(chosen)


def overlaps(found: Sequence[Specimen]) -> tuple[Heat | None, Table | None]:
    """Kept in both over expected by chance, for every pair of tickets with masks of the same shapes."""
    packed, values, rows = [Packed.of(one.mask) for one in found], [], []
    for a, first in enumerate(found):
        values.append([None] * len(found))
        for b, second in enumerate(found):
            shared = overlap(packed[a], packed[b])
            if a == b or shared is None:
                continue
            values[a][b] = shared.ratio
            if a < b:
                least = min(first.round.density, second.round.density) / max(first.round.density, second.round.density)
                rows.append([first.name, second.name, _kinship(first, second), shared.jaccard, shared.ratio])
                rows[-1] += [shared.score, least]
    if not rows:
        return None, None
    names = [one.name for one in found]
    note = "Weights kept in both tickets, over what two random masks with the same density in every layer would share."
    heat = Heat("overlap", "Mask overlap against chance", names, names, values, "number", middle=1.0, note=note)
    columns = [Column("ticket"), Column("other"), Column("they share"), Column("Jaccard", "percent")]
    columns += [Column("times chance", "number"), Column("deviations above chance", "number")]
    columns += [Column("densities' ratio", "number")]
    rows.sort(key=lambda row: -(row[4] or 0))
    return heat, Table("overlap_pairs", "Pairs of tickets", columns, rows, note)


def effective_rank(matrix: Tensor) -> float:
    """exp of the entropy of the normalised singular values (Roy and Vetterli 2007); 0 for a matrix of zeros."""
    values = torch.linalg.svdvals(matrix.double())
    total = values.sum()
    if total == 0:
        return 0.0
    shares = values[values > 0] / total
    return math.exp(float(-(shares * shares.log()).sum()))


def dead_units(mask: Mask) -> tuple[int, int]:
    """(units with no weight coming in, all units): rows of a matrix, filters, all gates of a recurrent unit together.

    A recurrent unit is dead when its rows of every gate are gone from both its matrices.
    """
    dead = units = 0
    for name, bits in mask.items():
        if "weight_hh" in name:
            continue
        hidden = mask.get(name.replace("weight_ih", "weight_hh")) if "weight_ih" in name else None
        alive = bits.flatten(1).any(1)
        if hidden is not None:
            alive = (alive | hidden.any(1)).view(-1, hidden.shape[1]).any(0)
        dead, units = dead + int((~alive).sum()), units + len(alive)
    return dead, units


def _kinship(a: Specimen, b: Specimen) -> str:
    shared = [
        word
        for word, same in (
            ("init", a.experiment.about.get("init") == b.experiment.about.get("init")),
            ("strategy", a.experiment.label == b.experiment.label),
            ("corpus", a.experiment.setting[:2] == b.experiment.setting[:2]),
        )
        if same
    ]
    return ", ".join(shared) or "nothing"


def _first(found: Sequence[Specimen]) -> str:
    one = min(found, key=lambda one: one.round.density)
    densities = one.mask.densities()
    least, most = min(densities, key=densities.get), max(densities, key=densities.get)
    return (
        f"The sparsest winning ticket ({one.name}) keeps least of {least} ({100 * densities[least]:.2g} %) "
        f"and most of {most} ({100 * densities[most]:.3g} %)."
    )


def _densities(found: Sequence[Specimen]) -> Heat:
    names = list(dict.fromkeys(name for one in found for name in one.mask))
    values = [[one.mask.densities().get(name) for one in found] for name in names]
    note = "Kept of every prunable parameter, in the model's order."
    title = "Where the weights are"
    return Heat("layers", title, names, [one.name for one in found], values, "percent", note=note)


def _weights(found: Sequence[Specimen]) -> Table:
    rows = []
    for one in found:
        try:
            rows.append(_body(one))
        except (OSError, UserError):  # weights are gone from the store: the note says so
            continue
    columns = [Column("ticket"), Column("signs as in init", "percent"), Column("dense: signs as in init", "percent")]
    columns += [Column("survivors grown", "percent"), Column("effective rank", "number")]
    columns += [Column("dense: effective rank", "number"), Column("dead units", "count"), Column("units", "count")]
    note = (
        "Signs: share of the surviving weights whose sign after training is that of init; for the dense network over "
        "the same weights. Grown: larger in magnitude than in init. Effective rank (Roy and Vetterli 2007): mean over "
        "matrices. Dead units: no weight comes in. Tickets whose weights are gone from the store are left out."
    )
    return Table("bodies", "What training made of them", columns, rows, note)


def _body(one: Specimen) -> list:
    from lth.ticket import read_init

    init = read_init(one.experiment.path / "init.safetensors")
    trained, dense = one.round.weights(), one.experiment.dense.weights()
    kept = agreeing = dense_agreeing = grown = 0
    ranks, dense_ranks = [], []
    for name, bits in one.mask.items():
        before, after, other = init[name][bits], trained[name][bits], dense[name][bits]
        kept += before.numel()
        agreeing += int((before.sign() == after.sign()).sum())
        dense_agreeing += int((before.sign() == other.sign()).sum())
        grown += int((after.abs() > before.abs()).sum())
        ranks.append(effective_rank(trained[name].flatten(1)))
        dense_ranks.append(effective_rank(dense[name].flatten(1)))
    count = max(kept, 1)
    means = sum(ranks) / len(ranks), sum(dense_ranks) / len(dense_ranks)
    return [one.name, agreeing / count, dense_agreeing / count, grown / count, *means, *dead_units(one.mask)]
