"""The line between two trainings: its ends are what the rounds were scored at, and no way is no barrier."""

import io

import pytest
from rich.console import Console

from lth.analysis.gather import gather
from lth.analysis.stability import along, pairs, section
from lth.experiment import run
from tests.configs import compose
from tests.lottery import command


def test_a_ticket_trained_twice(tmp_path, cache):
    console = Console(file=io.StringIO())
    run(compose(*command("rounds=1", outputs=tmp_path, cache=cache)), console)
    again = ("name=again", "seed=5", "rounds=0", f"ticket={tmp_path}/demo/rounds/round-01")
    run(compose(*command(*again, outputs=tmp_path, cache=cache)), console)
    experiments, _ = gather(tmp_path)
    ((one, first, other, second),) = pairs(experiments)
    assert (one.name, first.row.round, other.name) == ("demo", 1, "again")
    wers = along(one, first, second, tmp_path / "lines")
    assert (wers[0], wers[-1]) == pytest.approx((first.row.dev_wer, second.row.dev_wer))
    assert along(one, first, first, tmp_path / "lines") == pytest.approx([first.row.dev_wer] * 11)
    said = section(experiments, tmp_path / "lines")
    (row,) = said.tables[0].rows
    assert row[-1] == pytest.approx(max(wers) - (wers[0] + wers[-1]) / 2)


def test_nothing_was_trained_twice(tmp_path):
    assert "No ticket was trained twice" in section([], tmp_path).text[0]
