"""`noise.csv`: what noise does to the dense network and to the winning tickets of an experiment, row by row."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from lth.files import write_text
from lth.store.records import read_records


@dataclass(frozen=True)
class NoiseRow:
    """One ticket on one set in one noise. Rates are fractions; `low` and `high` bound the 95 % interval.

    `ticket` is `dense`, `extreme` or `best`. `kind` is `none`, `level` or `snr`, and `value` the level or the
    decibels. `difference` is this WER minus that of the dense network in the very same noise, its interval
    paired over utterances; None for the dense network and where there is none. `transcript` is the file of its
    hypotheses, from the store's root.
    """

    round: int
    ticket: str
    density: float
    split: str
    kind: str
    value: float | None
    wer: float
    cer: float
    errors: int
    words: int
    utterances: int
    low: float
    high: float
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    transcript: str

    @property
    def condition(self) -> str:
        """Return the noise in words, such as "10 dB"."""
        return condition_text(self.kind, self.value)


COLUMNS = tuple(f.name for f in fields(NoiseRow))
TEXTS = ("ticket", "split", "kind", "transcript")
COUNTS = ("round", "errors", "words", "utterances")


def condition_text(kind: str, value: float | None) -> str:
    """Return a noise in words: 'clean', 'level 0.25' or '10 dB'."""
    return {"none": "clean", "level": f"level {value or 0:g}", "snr": f"{value or 0:g} dB"}[kind]


def write_noise_csv(path: Path, rows: Sequence[NoiseRow]) -> None:
    """Write `noise.csv` atomically, floats in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow("" if (value := getattr(row, name)) is None else value for name in COLUMNS)
    write_text(path, text.getvalue())


def read_noise_csv(path: Path) -> list[NoiseRow]:
    """Return the rows of a `noise.csv`.

    Raises:
        UserError: no such file, a missing column, or a value that is not a number.
    """
    missing, damaged = (
        "give the experiment's command again with test_noise=grid",
        "give the command again to rewrite it",
    )
    return read_records(path, COLUMNS, _row, missing=missing, damaged=damaged)


def _row(record: dict[str, str]) -> NoiseRow:
    values: dict = {}
    for name in COLUMNS:
        text = record[name]
        if name in TEXTS:
            values[name] = text
        elif text == "":
            values[name] = None
        else:
            values[name] = int(text) if name in COUNTS else float(text)
    if values["kind"] not in ("none", "level", "snr"):
        raise ValueError(f"there is no noise of kind {values['kind']!r}")
    return NoiseRow(**values)
