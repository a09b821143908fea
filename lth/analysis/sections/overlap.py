"""What the masks of two lotteries have in common, and which difference between the lotteries changes them."""

from collections.abc import Iterable, Mapping, Sequence

from lth.analysis.document import Column, Heat, Section, Table
from lth.analysis.inputs import Analysis
from lth.analysis.measure.kinship import Pair, by_difference, nearness, pairs
from lth.analysis.measure.specimens import look, specimens

NOTE = (
    "Weights kept in both masks over what two random masks with the same densities in every layer would share (1 is "
    "chance), at the rounds where two lotteries are as dense as each other, nearest to their tickets."
)


def section(analysis: Analysis) -> Section | None:
    """Return the overlap of every two tickets' masks against chance; None where there are no two to compare."""
    chosen, _ = specimens(analysis.experiments)
    found = [one for one in chosen if look(one.round, analysis.masks)]
    names = {one.experiment.id: one.name for one in found}

    def packed(played):
        looked = look(played, analysis.masks)
        return looked and looked.packed

    pairs_found = pairs([one.experiment for one in found], packed)
    if not pairs_found:
        return None
    tables = [_kinds(pairs_found), _pairs(pairs_found, names)]
    return Section("overlap", "What the masks share", said(pairs_found), tables, [_heat(pairs_found, names)])


def _heat(found: Sequence[Pair], names: Mapping[str, str]) -> Heat:
    """Times chance, lottery by lottery.

    Args:
        names: by the experiments' ids, in their order.
    """
    ratios = {}
    for pair in found:
        a, b = (one.id for one in pair.experiments)
        ratios[a, b] = ratios[b, a] = pair.shared.ratio
    values = [[ratios.get((a, b)) for b in names] for a in names]
    labels = list(names.values())
    return Heat("overlap", "Mask overlap against chance", labels, labels, values, "number", middle=1.0, note=NOTE)


def _pairs(found: Sequence[Pair], names: Mapping[str, str]) -> Table:
    """Every pair with its rounds, those that share most first."""
    columns = [Column("mask"), Column("other mask"), Column("differ in"), Column("densities' ratio", "number")]
    columns += [Column("Jaccard", "percent"), Column("times chance", "number")]
    columns += [Column("of what is possible", "percent"), Column("deviations above chance", "number")]
    rows = []
    for pair in sorted(found, key=lambda pair: -(pair.shared.share or 0)):
        said = [
            f"{names[one.id]}, round {played.row.round} ({100 * played.density:.1f} %)"
            for one, played in zip(pair.experiments, pair.rounds, strict=True)
        ]
        rows.append([*said, ", ".join(pair.differ) or "nothing", nearness(pair), pair.shared.jaccard])
        rows[-1] += [pair.shared.ratio, pair.shared.share, pair.shared.score]
    note = (
        f"{NOTE} Of what is possible: 0 is chance, 100 % all that the sparser mask keeps. Deviations: standard "
        "deviations of the hypergeometric law, layers independent."
    )
    return Table("overlap_pairs", "Pairs of masks", columns, rows, note)


def _kinds(found: Sequence[Pair]) -> Table:
    """What changing one thing, and what changing several, does to a mask."""
    kinds = by_difference(found)
    columns = [Column("differ in"), Column("pairs", "count"), Column("densities' ratio", "number")]
    columns += [Column("Jaccard", "percent"), Column("times chance", "number")]
    columns += [Column("of what is possible", "percent"), Column("least", "percent"), Column("most", "percent")]
    rows = []
    for differ, ones in kinds.items():
        shares = [one.shared.share for one in ones if one.shared.share is not None]
        rows.append([", ".join(differ) or "nothing", len(ones), _mean(nearness(one) for one in ones)])
        rows[-1] += [_mean(one.shared.jaccard for one in ones), _mean(one.shared.ratio for one in ones)]
        rows[-1] += [_mean(shares), min(shares, default=None), max(shares, default=None)]
    note = "Means over pairs. Of what is possible, with its least and most: 0 is chance, 100 % the same weights."
    return Table("overlap_kinds", "What changes a mask", columns, rows, note)


def said(found: Sequence[Pair]) -> list[str]:
    """Say what the masks of lotteries share that differ in one thing only; and what noise changes, where it does."""
    kinds = by_difference(found)
    single = {differ[0]: ones for differ, ones in kinds.items() if len(differ) == 1}
    if not single:
        return []
    parts = [
        f"only in {name} share {_mean(one.shared.ratio for one in ones):.2f} times what chance would give "
        f"({len(ones)} pair{'s' * (len(ones) > 1)})"
        for name, ones in single.items()
    ]
    text = [f"Masks of lotteries that differ {'; '.join(parts)}."]
    if "noise" in single:
        noisy, seeds = (_mean(one.shared.share for one in single.get(name, ())) for name in ("noise", "init and seed"))
        if noisy is not None:
            text.append(
                f"Other noise in training leaves {100 * noisy:.0f} % of the way from chance to the same mask"
                + ("." if seeds is None else f", another init and seed in the same noise {100 * seeds:.0f} %.")
            )
    return text


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
