"""Tickets against corpora: what the experiments of a multirun over ``ticket=`` and ``corpus=`` say together."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig
from rich import box
from rich.table import Table

from lth.analysis.rounds import Row, rate_text


@dataclass(frozen=True)
class Transfer:
    """A ticket that was trained on a corpus."""

    source: str
    target: str
    row: Row  # of the ticket itself, round 0

    @classmethod
    def of(cls, config: DictConfig, rows: Sequence[Row]) -> "Transfer":
        """From what the command said and the rows that came of it."""
        corpus = config.corpus
        words = [corpus.name, corpus.get("train"), config.speaker]
        return cls(f"{config.ticket} ({config.transfer})", " ".join(word for word in words if word), rows[0])


def matrix(transfers: Sequence[Transfer]) -> Table:
    """WER in percent, a line a source and a column a target; of several seeds and the like, the mean."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    made.caption = "dev WER / test WER in % of the ticket itself, round 0; (n): mean of n experiments."
    made.caption_justify = "left"
    made.add_column("ticket (transfer)", overflow="fold")
    targets = list(dict.fromkeys(t.target for t in transfers))
    for target in targets:
        made.add_column(target, justify="right")
    for source in dict.fromkeys(t.source for t in transfers):
        cells = [[t.row for t in transfers if (t.source, t.target) == (source, target)] for target in targets]
        made.add_row(source, *map(cell, cells))
    return made


def cell(rows: Sequence[Row]) -> str:
    """The rates of a source and a target; empty where that experiment failed."""
    if not rows:
        return ""
    means = [statistics.fmean(getattr(row, name) for row in rows) for name in ("dev_wer", "test_wer")]
    return " / ".join(map(rate_text, means)) + (f" ({len(rows)})" if len(rows) > 1 else "")
