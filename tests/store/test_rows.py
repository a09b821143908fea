"""Which tickets win, and rounds.csv there and back, on rows small enough to judge by eye."""

import csv
import math

import pytest
from rich.console import Console

from lth.errors import UserError
from lth.store.rows import Row, note, read_csv, summary_table, winning, wins, write_csv


def row(number, density, dev, test=0.5, **changes):
    values = {
        "round": number,
        "density": density,
        "density_total": density * 0.9 + 0.1,
        "dev_wer": dev,
        "dev_cer": dev / 3,
        "test_wer": test,
        "test_cer": None if test is None else test / 3,
        "train_loss": 0.25,
        "epochs": 30,
        "seconds": 412.5,
        "audio_seconds_per_second": 61.25,
        "reused": number == 0,
        "key": f"{number:032x}",
    }
    return Row(**{**values, **changes})


def test_extreme_is_the_sparsest_that_is_no_worse_and_best_the_lowest():
    rows = [row(0, 1, 0.10), row(1, 0.5, 0.08), row(2, 0.25, 0.10), row(3, 0.125, 0.1001)]
    extreme, best = winning(rows)
    assert (extreme.round, best.round) == (2, 1)
    assert [wins(r, rows) for r in rows] == [False, True, True, False]
    assert [note(r, rows) for r in rows] == ["dense", "best", "extreme", ""]


def test_extreme_may_lie_beyond_a_losing_round():
    rows = [row(0, 1, 0.10), row(1, 0.5, 0.2), row(2, 0.25, 0.09)]
    assert winning(rows) == (rows[2], rows[2])
    assert note(rows[2], rows) == "extreme, best"


def test_best_ties_go_to_the_sparser_and_need_not_win():
    rows = [row(0, 1, 0.10), row(1, 0.5, 0.2), row(2, 0.25, 0.2), row(3, 0.1, 0.3)]
    assert winning(rows) == (None, rows[2])


def test_dense_is_never_a_ticket():
    assert winning([row(0, 1, 0.0)]) == (None, None)
    assert winning([row(0, 1, 0.0), row(1, 0.5, 0.4)])[1].round == 1


def test_without_a_dense_round_nothing_is_extreme():
    rows = [row(0, 0.2, 0.1), row(1, 0.1, 0.2)]
    assert winning(rows) == (None, rows[0])


def test_order_of_the_rows_does_not_matter():
    rows = [row(2, 0.25, 0.09), row(0, 1, 0.10), row(1, 0.5, 0.09)]
    assert winning(rows) == (rows[0], rows[0])


def test_a_round_that_diverged_is_no_ticket():
    rows = [row(0, 1, 0.1), row(1, 0.5, math.nan), row(2, 0.2, 0.4)]
    assert winning(rows) == (None, rows[2])


def test_test_never_takes_part_in_the_selection():
    kind = [row(0, 1, 0.10, 0.9), row(1, 0.5, 0.09, 0.01), row(2, 0.25, 0.10, 0.8), row(3, 0.1, 0.11, 0.0)]
    for test in (0.0, 0.3, math.nan, None):
        turned = [row(r.round, r.density, r.dev_wer, test) for r in kind]
        assert [w.round for w in winning(turned)] == [w.round for w in winning(kind)] == [2, 1]


METRICS = {
    "key": "abc",
    "round": 3,
    "seed": 1,
    "density": 0.512,
    "density_total": 0.55,
    "kept": 512,
    "prunable": 1000,
    "parameters": 1080,
    "dev_wer": 0.1,
    "dev_cer": 0.03,
    "test_wer": 0.2,
    "test_cer": 0.06,
    "tests": {
        "test-clean": {"wer": 0.2, "cer": 0.06, "utterances": 10, "words": 100},
        "test-other": {"wer": 0.4, "cer": 0.12, "utterances": 9, "words": 90},
    },
    "train_loss": 0.5,
    "epochs": 16,
    "seconds": 99.0,
    "audio_seconds_per_second": 50.0,
    "trained_by": "other",
    "inputs": {},
}


def test_row_of_metrics():
    made = Row.from_metrics(METRICS, reused=True)
    assert (made.round, made.key, made.density, made.reused) == (3, "abc", 0.512, True)
    assert (made.test_wer, made.further) == (0.2, {"test-other": (0.4, 0.12)})


def test_csv_there_and_back(tmp_path):
    third = Row.from_metrics(METRICS)
    rows = [row(0, 1, 1 / 3), row(1, 0.8, 0.1 + 0.2, None, train_loss=None), third]
    path = tmp_path / "rounds.csv"
    write_csv(path, [rows[2], rows[0], rows[1]])
    assert read_csv(path) == rows  # in round order, floats bit for bit
    assert list(tmp_path.iterdir()) == [path]


def test_csv_as_a_spreadsheet_reads_it(tmp_path):
    path = tmp_path / "rounds.csv"
    write_csv(path, [row(0, 1, 0.1), row(1, 0.5, 0.1), Row.from_metrics(METRICS)])
    with path.open(newline="") as file:
        records = list(csv.DictReader(file))
    design = (
        "round density density_total dev_wer dev_cer test_wer test_cer "
        "train_loss epochs seconds audio_seconds_per_second reused key"
    )
    assert list(records[0])[:13] == design.split()
    assert [r["reused"] for r in records] == ["true", "false", "false"]
    assert [(r["winning"], r["note"]) for r in records] == [
        ("false", "dense"),
        ("true", "extreme, best"),
        ("true", ""),
    ]
    assert [r["test-other_wer"] for r in records] == ["", "", "0.4"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "rounds.csv"
    write_csv(path, [row(0, 1, 0.1)])
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_csv(path, [row(0, 1, 0.1, key="\ud800")])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("round,density\n0,1\n", "no column"),
        ("", "no column"),
        (None, "does not exist"),
        ("cut", "is damaged"),
    ],
)
def test_unreadable_csv_is_named(tmp_path, text, said):
    path = tmp_path / "rounds.csv"
    if text == "cut":
        write_csv(path, [row(0, 1, 0.1), row(1, 0.5, 0.1)])
        text = path.read_text()[:-60]
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=said) as error:
        read_csv(path)
    assert str(path) in str(error.value)


def test_summary_table_marks_and_fits_a_terminal():
    rows = [row(0, 1, 0.0543, 0.06), row(1, 0.64, 0.0511), row(2, 0.328, 0.0543), row(3, 0.0044, 1.0, None)]
    console = Console(width=80, record=True, force_terminal=False)
    console.print(summary_table(rows))
    text = console.export_text()
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line[:6].strip().isdigit()}
    assert lines["0"] == ["0", "100", "5.43", "1.81", "6.00", "2.00", "412", "61.2", "reused", "dense"]
    assert lines["1"][-2:] == ["trained", "best"]
    assert lines["2"][1:3] == ["32.8", "5.43"]
    assert lines["2"][-1] == "extreme"
    assert lines["3"] == ["3", "0.44", "100.0", "33.33", "412", "61.2", "trained"]
    assert "…" not in text
    console.print(summary_table([row(0, 1, 0.5), row(10, 0.328, 0.4999, seconds=12345.6)]))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert any(line.endswith("12346   61.2  trained  extreme, best") for line in lines)
