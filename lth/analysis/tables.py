"""Tables of inspected experiments, rounds and masks, for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from lth.store.rows import density_text, rate_text

#: What ``checksums`` says of something whole.
SOUND = "ok"


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print an inspected document for people; densities and error rates in percent."""
    if found["kind"] == "experiment":
        about = {key: found.get(key, "") for key in ("name", "path", "id", "command")} | found["setting"]
        about |= {"init": found["init"]["digest"], "init checksums": _short(found["init"]["checksums"])}
        console.print(_facts(about), "", _rounds(found["rounds"]), sep="\n")
        if whole := [part for part in found["rounds"] if "layers" in part]:
            console.print("", _matrix(whole), sep="\n")
        return
    about = {key: found[key] for key in ("path", "key", "digest") if key in found}
    about |= {"checksums": _short(found["checksums"])} | {f"from {k}": v for k, v in found["from"].items()}
    if "test_wer" in found:
        about["dev, test WER %"] = f"{rate_text(found['dev_wer'])}, {rate_text(found['test_wer'])}"
    console.print(_facts(about))
    if "layers" in found:
        console.print("", _layers(found), sep="\n")


def _facts(facts: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    for key, value in facts.items():
        if value is not None:
            table.add_row(printable(key.replace("_", " ")), printable(value))
    return table


def _table(left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right")
    return table


def _rounds(rounds: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(["round", "key"], ["weights %", "of all %", "dev WER", "test WER"])
    table.add_column("")
    table.add_column("checksums")
    for part in rounds:
        densities = [density_text(part[name]) if name in part else "" for name in ("density", "density_total")]
        rates = [rate_text(part.get(name)) for name in ("dev_wer", "test_wer")]
        key, mark = printable(part.get("key", ""))[:8], part.get("note", "")
        table.add_row(str(part["round"]), key, *densities, *rates, mark, _short(part["checksums"]))
    return table


def _matrix(rounds: Sequence[Mapping[str, Any]]) -> Table:
    """Densities of every parameter; a round shared with another experiment may name other parameters."""
    table = _table(["% kept in round"], [str(part["round"]) for part in rounds])
    columns = [{layer["name"]: density_text(layer["density"]) for layer in part["layers"]} for part in rounds]
    for name in dict.fromkeys(name for column in columns for name in column):
        table.add_row(printable(name), *(column.get(name, "") for column in columns))
    table.add_row("all prunable", *(density_text(part["density"]) for part in rounds), style="bold")
    return table


def _layers(found: Mapping[str, Any]) -> Table:
    table = _table(["parameter", "shape"], ["kept", "of", "%"])
    for part in found["layers"]:
        shape, counts = "×".join(map(str, part["shape"])), (f"{part['kept']:,}", f"{part['prunable']:,}")
        table.add_row(printable(part["name"]), shape, *counts, density_text(part["density"]))
    total = (f"{found['kept']:,}", f"{found['prunable']:,}", density_text(found["density"]))
    table.add_row("all prunable", "", *total, style="bold")
    if "parameters" in found:
        kept = found["parameters"] - found["prunable"] + found["kept"]
        counts = (f"{kept:,}", f"{found['parameters']:,}", density_text(found["density_total"]))
        table.add_row("all parameters", "", *counts, style="bold")
    return table


def _short(checksums: str) -> str:
    return SOUND if checksums == SOUND else "DAMAGED"


def printable(text: object) -> str:
    """Return a name out of somebody's file, fit for a terminal: no control sequence gets through."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
