"""What one experiment's rounds have left of every layer."""

from lth.analysis.document import Heat, Section
from lth.analysis.inputs import Analysis


def section(analysis: Analysis) -> Section | None:
    """Return the density of every parameter in every round of one experiment; None before anything was pruned."""
    one = analysis.only
    if one is None or one.ticket is None:
        return None
    rounds = [played for played in one.rounds if (played.stored.path / "mask.lth").is_file()]
    kept = [{**played.mask().densities(), "all prunable": played.density} for played in rounds]
    if not kept:
        return None
    names = dict.fromkeys(name for layers in kept for name in layers if name != "all prunable")
    names = [*names, "all prunable"]
    values = [[layers.get(name) for layers in kept] for name in names]
    note = "Percent of each parameter's weights that a round kept, in the model's order. Darker is denser."
    columns = [str(played.row.round) for played in rounds]
    heat = Heat("layers", "Weights kept", names, columns, values, x_label="round", note=note)
    return Section("layers", "What is left of each layer", charts=[heat])
