"""Tickets against corpora: what the experiments of a multirun over ``ticket=`` and ``corpus=`` say together."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig
from rich import box
from rich.table import Table

from lth.store.rows import Row, rate_text

MOST_COLUMNS = 4  # as many fit beside a path


@dataclass(frozen=True)
class Transfer:
    """A ticket that was trained on a corpus."""

    source: str
    target: str
    row: Row  # of the ticket itself, round 0

    @classmethod
    def of(cls, config: DictConfig, rows: Sequence[Row]) -> "Transfer":
        """Make one from a command's config and the rows that came of it."""
        corpus = config.corpus
        words = [corpus.name, corpus.get("train"), config.speaker]
        return cls(f"{config.ticket} ({config.transfer})", " ".join(word for word in words if word), rows[0])


def matrix(transfers: Sequence[Transfer]) -> Table:
    """Tabulate WER in percent, a line a source and a column a target, or the other way round if those are many.

    Of several experiments (seeds, say) with the same source and target the mean.
    """
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    made.caption = "dev WER / test WER in % of the ticket itself, round 0; (n): mean of n experiments."
    made.caption_justify = "left"
    sources, targets = (list(dict.fromkeys(getattr(t, side) for t in transfers)) for side in ("source", "target"))
    wide = len(targets) > max(len(sources), MOST_COLUMNS)
    lines, columns = (targets, sources) if wide else (sources, targets)
    made.add_column("corpus" if wide else "ticket (transfer)", overflow="fold")
    for column in columns:
        made.add_column(column, justify="right", overflow="fold")
    for line in lines:
        pairs = [{line, column} for column in columns]
        made.add_row(line, *(cell([t.row for t in transfers if {t.source, t.target} == pair]) for pair in pairs))
    return made


def cell(rows: Sequence[Row]) -> str:
    """Format the rates of a source and a target; empty where that experiment failed."""
    if not rows:
        return ""
    means = [statistics.fmean(getattr(row, name) for row in rows) for name in ("dev_wer", "test_wer")]
    return " / ".join(map(rate_text, means)) + (f" ({len(rows)})" if len(rows) > 1 else "")
