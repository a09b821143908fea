"""What a model costs, sees, and what of it may be pruned."""

import json

from omegaconf import DictConfig

from lth.commands.command import check_flags, command, screen
from lth.errors import UserError


def describe(config: DictConfig) -> dict:
    """Print what is known of the model, and return it."""
    from rich import box
    from rich.table import Table

    from lth.lottery.setup.build import build, make
    from lth.models.report import LIMIT, report, rows
    from lth.speech.features import Features
    from lth.tickets.allocation import split

    if not isinstance(config.classes, int) or config.classes < 2:
        raise UserError(f"classes={config.classes} is no number of classes: give a whole number, at least 2")
    check_flags(config, "json")
    features = make(Features, config, "features")
    model = build(config, "model", features=features.bins, tokens=config.classes)
    ratios = config.strategy.get("ratios")
    prunable = model.prunable()
    groups = min(len(ratios) if ratios is not None else 3, len(prunable))
    names = iter(prunable)
    parts = [[(next(names), parameters) for parameters in part] for part in split(list(prunable.values()), groups)]
    layers = rows(model, parts)
    found = report(model, features.bins)
    rate = 1 / config.features.hop
    limit = round(LIMIT / rate, 3)
    before, after = (None if n is None else round(n / rate, 3) for n in found.receptive)
    said = {
        "family": model.family,
        "classes": config.classes,
        "parameters": found.parameters,
        "prunable": found.prunable,
        "gmacs_per_audio_second": round(found.macs * rate / 1e9, 4),
        "frames_per_second": round(found.frames * rate, 2),
        "seconds_seen_before": before,
        "seconds_seen_after": after,
        "layers": [
            {"group": group, "layer": layer, "parameter": name, "shape": list(tensor.shape), "values": tensor.numel()}
            for layer, name, tensor, group in layers
        ],
    }
    if config.json:
        print(json.dumps(said, indent=1))
        return said
    console = screen(highlight=False)
    share = f"{found.prunable / found.parameters:.1%}"
    console.print(f"{found.parameters:,} parameters, {found.prunable:,} of them prunable ({share})")
    console.print(f"{said['gmacs_per_audio_second']} billion multiply-accumulates for a second of audio (of 10 s)")
    console.print(f"{said['frames_per_second']:g} output frames a second")
    console.print(f"a frame sees {_far(before, limit)} before it and {_far(after, limit)} after it")
    table = Table("group", "layer", "parameter", "shape", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("values", justify="right")
    for one in said["layers"]:
        shape = " × ".join(map(str, one["shape"]))
        table.add_row(str(one["group"]), one["layer"], one["parameter"], shape, f"{one['values']:,}")
    console.print(table)
    return said


def _far(seconds: float | None, limit: float) -> str:
    return f"more than {limit:g} s" if seconds is None else f"{seconds:g} s"


def main(program: str) -> int:
    """Do the command; return its exit code."""
    return command(program, "describe", describe)
