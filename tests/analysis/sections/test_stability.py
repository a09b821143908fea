"""The line between two trainings: its ends are what the rounds were scored at, and no way is no barrier."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from lth.analysis.experiments import gather
from lth.analysis.inputs import Analysis
from lth.analysis.measure.interpolation import between, re_estimate
from lth.analysis.sections import stability
from lth.analysis.sections.stability import ALPHAS, Curve, TrainingPair, section, transcribed, twins
from lth.lottery.setup.setting import prepare
from lth.models.lengths import FrameBatchNorm
from tests.configs import compose
from tests.lotteries import command, run


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, cache):
    """A lottery of one pruned round, and its ticket trained again with another seed."""
    outputs, console = tmp_path_factory.mktemp("outputs"), Console(file=io.StringIO())
    run(compose(*command("rounds=1", outputs=outputs, cache=cache)), console)
    again = ("name=again", "seed=5", "rounds=0", f"ticket={outputs}/demo/rounds/round-01")
    run(compose(*command(*again, outputs=outputs, cache=cache)), console)
    return outputs


@pytest.fixture(scope="module")
def pair(outputs):
    (found,) = twins(gather(outputs)[0])
    return found


@pytest.fixture(scope="module")
def line(pair):
    return transcribed(pair)


def test_a_ticket_with_another_seed_is_the_same_ticket_trained_otherwise(pair):
    assert [(one.name, played.row.round) for one, played in zip(pair.experiments, pair.rounds, strict=True)] == [
        ("demo", 1),
        ("again", 0),
    ]
    first, second = pair.rounds
    assert first.mask() == second.mask()
    assert first.metrics["inputs"]["init"] == second.metrics["inputs"]["init"]
    weights = [one.weights() for one in pair.rounds]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    on_the_line = between(*weights, 0.5)
    assert all(not on_the_line[name][~bits].any() for name, bits in first.mask().items())


def test_a_ticket_of_late_rewinding_too(tmp_path, cache):
    console = Console(file=io.StringIO())
    late = ("strategy/rewind=epoch", "strategy.rewind.epoch=1", "rounds=1")
    run(compose(*command(*late, outputs=tmp_path, cache=cache)), console)
    again = ("name=again", "seed=5", "rounds=0", f"ticket={tmp_path}/demo/rounds/round-01")
    run(compose(*command(*again, outputs=tmp_path, cache=cache)), console)
    (found,) = twins(gather(tmp_path)[0])
    assert [one.row.density for one in found.rounds] == [found.rounds[0].density] * 2 != [1.0] * 2


def test_the_ends_are_what_the_rounds_were_scored_at(pair, line):
    wers = Curve(np.array(line["interpolated"]), np.array(line["words"])).wers
    assert (wers[0], wers[-1]) == (pair.rounds[0].row.dev_wer, pair.rounds[1].row.dev_wer)
    assert len(wers) == len(line["re-estimated"]) == len(ALPHAS)


def test_between_a_training_and_itself_is_no_barrier(pair):
    found = transcribed(TrainingPair((pair.experiments[0],) * 2, (pair.rounds[0],) * 2))
    for way in ("interpolated", "re-estimated"):
        curve = Curve(np.array(found[way]), np.array(found["words"]))
        assert curve.barrier().value == 0 and len(set(map(tuple, curve.errors))) == 1


def test_the_section_measures_once_and_then_remembers(outputs, line, tmp_path, monkeypatch):
    experiments, _ = gather(outputs)
    assert section(Analysis(experiments, cache=tmp_path)) is None
    calls = []
    monkeypatch.setattr(stability, "transcribed", lambda pair: calls.append(pair) or line)
    said = [section(Analysis(experiments, cache=tmp_path, stability=measure)) for measure in (True, True, False)]
    assert len(calls) == 1 and said[0] == said[1] == said[2]
    (table,) = said[0].tables
    curve = Curve(np.array(line["interpolated"]), np.array(line["words"]))
    assert table.rows[0][1] == "interpolated"
    assert table.rows[0][-1].value == pytest.approx(max(curve.wers) - (curve.wers[0] + curve.wers[-1]) / 2)
    assert [series.y for series in said[0].charts[0].series] == [curve.wers.tolist()]


def test_barrier_by_hand():
    """Ends with 1 and 3 wrong words of 10, 6 in the middle: 0.6 - 0.2."""
    errors = np.array([[1, 0], [4, 2], [2, 1]])
    found = Curve(errors, np.array([5, 5])).barrier()
    assert found.value == pytest.approx(0.4)
    assert found.low == pytest.approx(0.3) and found.high == pytest.approx(0.5)  # one utterance or the other, twice
    lower = Curve(np.array([[1, 0], [0, 0], [3, 0]]), np.array([5, 5])).barrier()
    assert lower.value == pytest.approx(0.1)  # the highest point is an end: above the mean of the two


def test_what_is_gone_or_was_changed_is_said(outputs, tmp_path):
    copy = tmp_path / "outputs"
    shutil.copytree(outputs, copy, symlinks=True)
    config = json.dumps(dict(gather(copy)[0][1].config) | {"corpus": compose("corpus.seed=9").corpus}, default=dict)
    (copy / "demo/config.yaml").write_text(config.replace("${outputs}", str(copy)))
    said = section(Analysis(gather(copy)[0], cache=tmp_path / "cache", stability=True))
    assert not said.tables and "cannot be measured" in said.text[0] and "corpus is" in said.text[0]
    (copy / "again/rounds/round-00/weights.safetensors").unlink()
    said = section(Analysis(gather(copy)[0], cache=tmp_path / "cache", stability=True))
    assert not said.tables and "are not here" in said.text[0]


def test_nothing_was_trained_twice(tmp_path):
    assert "No ticket was trained twice" in section(Analysis([], cache=tmp_path, stability=True)).text[0]


def test_re_estimated_statistics_are_those_of_what_comes_in(outputs, monkeypatch):
    """One batch: mean and unbiased variance over all its real frames, counted here."""
    config = compose(*command(outputs=outputs, cache=gather(outputs)[0][0].config["corpus"]["cache"]))
    setting = prepare(config)
    recogniser = setting.recogniser(setting.init)
    norm = next(module for module in recogniser.model.modules() if isinstance(module, FrameBatchNorm))
    came = []
    norm.register_forward_pre_hook(lambda module, args: came.append(args[0][args[1]]))
    assert re_estimate(setting, recogniser)
    (frames,) = came  # dev has 20 utterances: one batch
    frames = frames.transpose(0, 1).flatten(1).double()
    assert torch.allclose(norm.running_mean.double(), frames.mean(1), atol=1e-5)
    assert torch.allclose(norm.running_var.double(), frames.var(1), rtol=1e-4)
    assert norm.momentum == 0.1 and not any(module.training for module in recogniser.modules())


def test_a_model_without_batch_normalisation_has_nothing_to_re_estimate(outputs):
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nn.Linear(2, 2)

    assert re_estimate(prepare_none(), Plain()) is False


def prepare_none():
    """Only the machine of a setting is asked for."""
    from types import SimpleNamespace

    return SimpleNamespace(device=SimpleNamespace(accelerator="cpu"))
