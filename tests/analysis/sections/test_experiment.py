"""What the report of one experiment draws and pairs, against the rows it was made from."""

from dataclasses import replace

import pytest

from lth.analysis.experiments import Experiment, Round, read_experiment
from lth.analysis.inputs import Analysis
from lth.analysis.sections import examples, layers, provenance
from lth.analysis.sections.experiment import paired, section
from lth.store.store import StoredRound
from tests.analysis.folders import write_experiment
from tests.store.test_rows import row

ROWS = [row(0, 1, 0.10, 0.12), row(1, 0.5, 0.08, 0.11), row(2, 0.25, 0.10, 0.13), row(3, 0.05, 0.11, 0.5)]


def chart(rows, tmp_path):
    rounds = [Round(one, StoredRound(tmp_path / f"{one.round}")) for one in rows]
    (found,) = section(Analysis([Experiment(tmp_path, {}, {}, rounds)], resamples=100)).charts
    return found, {series.label: series for series in found.series}


def test_curve_runs_from_dense_on_a_log_axis_and_labels_its_rounds(tmp_path):
    found, _ = chart(ROWS[::-1], tmp_path)
    assert (found.x.log, found.x.reverse, found.y.zero) == (True, True, True)
    assert found.x.ticks == [1, 0.5, 0.25, 0.05]


def test_curve_has_every_round_and_the_dense_line(tmp_path):
    _, series = chart(ROWS, tmp_path)
    assert (series["dev WER"].x, series["dev WER"].y) == ([1, 0.5, 0.25, 0.05], [0.10, 0.08, 0.10, 0.11])
    for name, wer in (("dev", 0.10), ("test", 0.12)):
        line = series[f"dense, {name}"]
        assert (line.x, line.y, line.style, line.like) == ([1, 0.05], [wer, wer], "dashed", f"{name} WER")


def test_extreme_and_best_are_marked_on_the_dev_line(tmp_path):
    _, series = chart(ROWS, tmp_path)
    marks = {label: (one.x[0], one.y[0]) for label, one in series.items() if one.style == "mark"}
    assert marks == {"extreme, 25.0 %": (0.25, 0.10), "best, 50.0 %": (0.5, 0.08)}
    assert set(series) - set(marks) == {"dev WER", "test WER", "dense, dev", "dense, test"}
    _, alone = chart(ROWS[:2], tmp_path)
    assert "extreme and best, 50.0 %" in alone


def test_a_collapse_does_not_flatten_the_rest(tmp_path):
    found, series = chart(ROWS, tmp_path)
    assert series["test WER"].y == [0.12, 0.11, 0.13]
    assert "Beyond the figure: test WER at 5.0 % (50 %)." in found.note
    near, series = chart(ROWS[:3], tmp_path)
    assert len(series["test WER"].y) == 3 and "Beyond" not in near.note


def test_curve_of_the_dense_round_alone_and_of_a_further_set(tmp_path):
    _, series = chart(ROWS[:1], tmp_path)
    assert set(series) == {"dev WER", "test WER"}
    _, series = chart([row(0, 1, 0.1, further={"other": (0.3, 0.1)}), row(1, 0.5, 0.2)], tmp_path)
    assert series["other WER"].y == [0.3, None]


def test_intervals_reach_from_low_to_high_and_hold_the_rate(tmp_path):
    said = section(Analysis([read_experiment(write_experiment(tmp_path))]))
    series = {one.label: one for one in said.charts[0].series}
    (rounds,) = said.tables
    for number, name, wer in ((1, "dev WER", 1 / 5), (2, "dev WER", 3 / 5), (1, "test WER", 2 / 6)):
        cell = rounds.rows[number][[column.name for column in rounds.columns].index(name)]
        assert cell == (series[name].y[number], series[name].low[number], series[name].high[number])
        assert cell.value == pytest.approx(wer) and cell.low <= cell.value <= cell.high
    assert rounds.rows[2][4][1:] == (1.0, 1.0)  # every word of every utterance is missed
    assert "over the 2 dev and 3 test utterances" in said.charts[0].note


def test_differences_count_words_and_utterances(tmp_path):
    analysis = Analysis([read_experiment(write_experiment(tmp_path))])
    one = analysis.only
    dev, test = paired(analysis.groups[0], one.rounds[0], one.rounds[1])
    assert (dev.set, dev.difference.value, dev.better, dev.worse, dev.utterances) == ("dev", 0.0, 1, 1, 2)
    assert (test.set, test.better, test.worse, test.utterances) == ("test", 1, 1, 3)
    assert test.difference.value == pytest.approx(1 / 6)
    assert test.difference.low <= test.difference.value <= test.difference.high


def test_layers_in_the_models_order_with_empty_and_missing_ones(tmp_path):
    one = read_experiment(write_experiment(tmp_path))
    (heat,) = layers.section(Analysis([one])).charts
    assert (heat.rows, heat.columns) == (["conv.weight", "rnn.weight_hh_l0", "all prunable"], ["0", "1", "2"])
    assert heat.values == [[1.0, 0.25, 0.25], [1.0, 1.0, 0.25], [1.0, 0.5, 0.25]]


def test_of_several_experiments_it_has_nothing_to_say(tmp_path):
    one = read_experiment(write_experiment(tmp_path))
    for make in (section, layers.section, examples.section, provenance.section):
        assert make(Analysis([one])) is not None
        assert make(Analysis([one, replace(one)])) is None
