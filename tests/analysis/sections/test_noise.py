"""Noise surfaces: what the analysis says of `noise.csv`, from rows worked out by hand and from one real command."""

import json

import pytest
import yaml

from lth.analysis.document import Interval
from lth.analysis.experiments import Experiment, read_experiment
from lth.analysis.inputs import Analysis
from lth.analysis.sections.noise import section, surfaces
from lth.errors import UserError
from lth.store.noise_rows import NoiseRow, read_noise_csv, write_noise_csv
from tests.lotteries import play


def row(ticket, kind, value, errors, difference=None, low=None, high=None, split="test"):
    wer = errors / 100
    number = {"dense": 0, "extreme": 3, "best": 2}[ticket]
    scored = {"errors": errors, "words": 100, "utterances": 20, "low": wer - 0.05, "high": wer + 0.05}
    paired = {"difference": difference, "difference_low": low, "difference_high": high}
    about = {"round": number, "ticket": ticket, "density": 0.5**number, "split": split, "kind": kind, "value": value}
    return NoiseRow(**about, wer=wer, cer=wer / 2, **scored, **paired, transcript="transcripts/x/hypotheses.jsonl")


ROWS = [
    row("dense", "none", None, 10),
    row("extreme", "none", None, 9, -0.01, -0.03, 0.01),
    row("dense", "level", 0.5, 40),
    row("extreme", "level", 0.5, 50, 0.10, 0.04, 0.16),
    row("dense", "snr", 10.0, 30),
    row("extreme", "snr", 10.0, 25, -0.05, -0.08, -0.02),
    row("dense", "snr", 0.0, 60),
    row("extreme", "snr", 0.0, 60, 0.0, -0.04, 0.04),
    row("dense", "none", None, 11, split="dev"),
]


def experiment(path, noise, rows, **config):
    path.mkdir()
    write_noise_csv(path / "noise.csv", rows)
    (path / "config.yaml").write_text(yaml.safe_dump({"noise": noise, **config}))
    (path / "experiment.json").write_text(json.dumps({"name": path.name}))
    return read_experiment(path)


def test_a_noise_csv_comes_back_as_it_was(tmp_path):
    write_noise_csv(tmp_path / "noise.csv", ROWS)
    assert read_noise_csv(tmp_path / "noise.csv") == ROWS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("round,ticket\n0,dense\n", "has no column cer, density, "),
        (None, "does not exist: give the experiment's command again with test_noise=grid"),
    ],
)
def test_a_damaged_noise_csv_is_named(tmp_path, text, said):
    file = tmp_path / "noise.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=said):
        read_noise_csv(file)
    write_noise_csv(file, ROWS)
    file.write_text(file.read_text().replace(",snr,", ",loud,", 1))
    with pytest.raises(UserError, match="is damaged"):
        read_noise_csv(file)


def test_the_section(tmp_path):
    clean = experiment(tmp_path / "a", {"kind": "none"}, ROWS)
    noisy = experiment(tmp_path / "b", {"kind": "level", "min": 0.0, "max": 0.5, "apply_to": ["train"]}, ROWS[:4])
    found = section(Analysis([clean, noisy]))
    # Of four differences in noise: +10 (4, 16) twice, -5 (-8, -2), 0 (-4, 4). The clean ones do not count.
    assert "lower WER than its dense network in 1 of 4 noises, a higher one in 2, and in 1 there is no" in found.text[0]
    wer, extreme, change = found.charts
    assert [heat.title for heat in found.charts] == [
        "test WER, dense",
        "test WER, extreme",
        "test WER, extreme minus dense",
    ]
    assert wer.rows == ["clean", "level 0 to 0.5"] and wer.columns == ["clean", "level 0.5", "10 dB", "0 dB"]
    assert wer.values == [[0.1, 0.4, 0.3, 0.6], [0.1, 0.4, None, None]]
    assert extreme.values[0] == [0.09, 0.5, 0.25, 0.6]
    assert change.values == [[-0.01, 0.1, -0.05, 0.0], [-0.01, 0.1, None, None]]
    assert (change.kind, change.middle) == ("points", 0)
    (table,) = found.tables
    assert len(table.rows) == len(ROWS) + 4 and all(len(cells) == len(table.columns) for cells in table.rows)
    assert table.rows[3] == [
        "clean", "level 0.5", "test", "extreme", 3, 0.125, Interval(0.5, 0.45, 0.55), 0.25, Interval(0.10, 0.04, 0.16)
    ]  # fmt: skip


def test_no_grid_is_no_section(tmp_path):
    (tmp_path / "a").mkdir()
    assert section(Analysis([read_experiment(tmp_path / "a")])) is None


def test_surfaces_of_the_same_training_noise_are_told_apart(tmp_path):
    two = [experiment(tmp_path / name, {"kind": "none"}, ROWS, seed=seed) for seed, name in enumerate("ab")]
    assert [name for name, _ in surfaces(two)] == ["clean, seed 0", "clean, seed 1"]
    same = [experiment(tmp_path / name, {"kind": "none"}, ROWS, seed=0) for name in "cd"]
    assert [name for name, _ in surfaces(same)] == ["clean, c", "clean, d"]


def test_train_noise(tmp_path):
    def noise(config):
        return Experiment(tmp_path, config, {}, []).train_noise

    assert noise({}) == noise({"noise": {"kind": "snr", "apply_to": ["test"]}}) == "clean"
    assert noise({"noise": {"kind": "snr", "min": -5, "max": 20.0}}) == "-5 to 20 dB"


def test_one_command_trains_and_tests_in_each_noise(tmp_path, cache):
    words = ("experiment=noise_grid", "corpus=synthetic", "rounds=1", "trainer.max_epochs=1")
    few = ("test_noise.levels=null", "test_noise.snrs=[0]", "hydra.sweeper.params.noise='none,level'")
    done = play(*words, *few, outputs=tmp_path, cache=cache)
    assert done.returncode == 0, done.stderr
    assert "2 experiments, 4 rounds: 4 trained, 0 reused" in done.stdout
    experiments = [read_experiment(tmp_path / name) for name in ("noise-none", "noise-level")]
    heats = {heat.title: heat for heat in section(Analysis(experiments)).charts}
    dense = heats["test WER, dense"]
    assert (dense.rows, dense.columns) == (["clean", "level 0 to 0.5"], ["clean", "0 dB"])
    assert all(value is not None for values in dense.values for value in values)
