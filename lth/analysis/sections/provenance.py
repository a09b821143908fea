"""Where one experiment came from, and how to look closer."""

from lth.analysis.document import Column, Section, Table
from lth.analysis.inputs import Analysis


def section(analysis: Analysis) -> Section | None:
    """Return identity, keys and config of one experiment; None where there are several."""
    one = analysis.only
    if one is None:
        return None
    known = [[key.replace("_", " "), _text(v)] for key, v in one.about.items() if not isinstance(v, list | dict)]
    known.append(["look closer", f"python -m lth inspect {one.path}"])
    if "offline" in str(one.config.get("tracking")):
        known.append(["upload to W&B", f"python -m lth sync {one.path}"])
    keys = [[played.row.round, played.row.key] for played in one.rounds]
    tables = [
        Table("provenance", "The experiment", [Column("what"), Column("is")], known),
        Table("keys", "Its rounds in the store", [Column("round", "count"), Column("key")], keys),
    ]
    config = one.path / "config.yaml"
    listings = {"Configuration": config.read_text(encoding="utf-8")} if config.is_file() else {}
    return Section("provenance", "Provenance", tables=tables, listings=listings)


def _text(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
