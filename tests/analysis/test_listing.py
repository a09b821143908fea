"""`lth.experiments` and `lth.rounds` on experiments whose every number is known."""

import pytest

import lth
from lth.errors import UserError
from lth.store.rows import read_csv, write_csv
from tests.analysis.folders import write_experiment


def test_a_row_an_experiment(tmp_path):
    write_experiment(tmp_path, "demo")
    write_experiment(tmp_path / "b", "half", done=1, finished=False)
    (tmp_path / "b/half").rename(tmp_path / "half")
    demo, half = lth.experiments(tmp_path)
    assert (demo["name"], demo["corpus"], demo["seed"], demo["rounds"], demo["finished"]) == (
        "demo",
        "digits",
        7,
        3,
        True,
    )
    # by tests/analysis/folders.py: dense 1/5 on dev; round 1 keeps 6 of 12, 1/5 on dev and 2/6 on test; round 2 loses
    assert demo["dense_dev_wer"] == 0.2
    for kind in ("extreme", "best"):
        assert [demo[f"{kind}_{what}"] for what in ("density", "dev_wer", "test_wer")] == [0.5, 0.2, 2 / 6]
    assert (half["finished"], half["rounds"], half["dense_dev_wer"], half["extreme_density"]) == (False, 1, 0.2, None)
    assert demo.keys() == half.keys()
    assert [row["name"] for row in lth.experiments(tmp_path, ["ha*"])] == ["half"]


def test_a_row_a_round(tmp_path):
    folder = write_experiment(tmp_path, "demo")
    write_experiment(tmp_path / "b", "two")
    (tmp_path / "b/two").rename(tmp_path / "two")
    rows = read_csv(folder / "rounds.csv")
    rows[0].further["other"] = (0.7, 0.8)
    write_csv(folder / "rounds.csv", rows)
    table = lth.rounds(tmp_path)
    assert [(row["experiment"], row["round"], row["density"], row["note"]) for row in table] == [
        (name, number, density, note)
        for name in ("demo", "two")
        for number, density, note in ((0, 1.0, "dense"), (1, 0.5, "extreme, best"), (2, 0.25, ""))
    ]
    assert [row["other_cer"] for row in table] == [0.8, *[None] * 5]
    assert len({tuple(row) for row in table}) == 1  # the same columns in each, as a data frame wants them


def test_it_shows_itself_as_a_table(tmp_path):
    write_experiment(tmp_path, "<b>")
    table = lth.experiments(tmp_path)
    head, line = repr(table).splitlines()
    assert head.split()[:2] == ["name", "corpus"] and line.split()[:2] == ["<b>", "digits"]
    assert head.index("corpus") == line.index("digits")
    assert "<td>&lt;b&gt;</td>" in table._repr_html_() and "<th>extreme_dev_wer</th>" in table._repr_html_()
    assert repr(type(table)()) == "" and type(table)()._repr_html_()


def test_a_damaged_experiment_is_a_warning_and_none_is_an_error(tmp_path):
    with pytest.raises(UserError, match="holds no experiment"):
        lth.experiments(tmp_path)
    write_experiment(tmp_path, "demo")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/experiment.json").write_text("{")
    with pytest.warns(UserWarning, match="broken is left out"):
        assert [row["name"] for row in lth.experiments(tmp_path)] == ["demo"]
