"""The lottery as a user plays it: from the command line, and killed at the worst moments."""

import csv
import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.prune import L1Unstructured, global_unstructured

from lth.lottery.messages import emptied_warning
from lth.store.maskfile import load_mask
from lth.tickets.mask import Mask
from tests.lotteries import KILLED, kill_at, play, result


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    """An experiment that nobody interrupted."""
    outputs = tmp_path_factory.mktemp("reference")
    done = play(outputs=outputs, cache=cache)
    assert done.returncode == 0, done.stderr
    return outputs, done


def rows(folder):
    with (folder / "rounds.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_parameter_without_weights_is_warned_of_once():
    some, none = torch.tensor([[True, False]]), torch.tensor([[False, False]])
    before, after = Mask({"a.weight": some, "b.weight": some}), Mask({"a.weight": some, "b.weight": none})
    assert emptied_warning(before, before) == emptied_warning(after, after) == ""
    assert "nothing is left of b.weight" in emptied_warning(
        after, before
    ) and "strategy.exclude=[b]" in emptied_warning(after, before)


def test_what_an_experiment_leaves_behind(finished):
    outputs, done = finished
    folder = outputs / "demo"
    assert {p.name for p in folder.iterdir()} >= {
        "config.yaml",
        "rounds.csv",
        "report.html",
        "init.safetensors",
        "rounds",
    }
    assert not (folder / "wandb").exists()  # tracking=disabled
    table = rows(folder)
    assert [float(row["density"]) for row in table] == pytest.approx([1, 0.5, 0.25], abs=1e-3)
    assert [row["reused"] for row in table] == ["false"] * 3
    for name in ("density_total", "dev_wer", "dev_cer", "test_wer", "test_cer", "train_loss", "epochs", "seconds"):
        assert all(float(row[name]) >= 0 for row in table)
    assert "2 pruned rounds end at 25" in done.stdout
    assert "3 rounds trained, 0 reused" in done.stdout
    for row in table:
        files = {p.name for p in (outputs / "store" / "rounds" / row["key"]).iterdir()}
        assert files == {
            "mask.lth", "weights.safetensors", "metrics.json", "hypotheses.jsonl", "history.jsonl", "SHA256SUMS"
        }  # fmt: skip


def test_masks_are_nested_and_weights_obey_them(finished):
    folder = finished[0] / "demo"
    init = load_file(folder / "init.safetensors")
    masks = [load_mask(folder / f"rounds/round-{n:02d}/mask.lth")[0] for n in range(3)]
    assert masks[0].density == 1
    for number in (1, 2):
        assert masks[number].is_subset_of(masks[number - 1])
        weights = load_file(folder / f"rounds/round-{number:02d}/weights.safetensors")
        assert not any(weights[name][~bits].any() for name, bits in masks[number].items())
        assert any((weights[name] != init[name])[bits].any() for name, bits in masks[number].items())


def test_a_mask_follows_from_the_round_before(finished):
    """torch's own global pruning of the trained weights of round 0 leaves the weights that round 1 keeps."""
    folder = finished[0] / "demo"
    weights = load_file(folder / "rounds/round-00/weights.safetensors")
    mask = load_mask(folder / "rounds/round-01/mask.lth")[0]
    modules = {name: nn.Module() for name in mask}
    for name, module in modules.items():
        module.weight = nn.Parameter(weights[name])
    global_unstructured([(module, "weight") for module in modules.values()], L1Unstructured, amount=0.5)
    for name, module in modules.items():
        assert torch.equal(mask[name], module.weight_mask.bool())


def test_corpus_wer_is_that_of_the_hypotheses(finished):
    """Edit distance by a loop over a table, against what the round reports."""
    folder = finished[0] / "demo/rounds/round-02"
    metrics = json.loads((folder / "metrics.json").read_text())
    lines = [json.loads(line) for line in (folder / "hypotheses.jsonl").read_text().splitlines()]
    errors = words = 0
    for line in (line for line in lines if line["set"] == "dev"):
        a, b = line["reference"].split(), line["hypothesis"].split()
        table = list(range(len(b) + 1))
        for i, word in enumerate(a, 1):
            diagonal, table[0] = table[0], i
            for j, other in enumerate(b, 1):
                diagonal, table[j] = table[j], min(table[j] + 1, table[j - 1] + 1, diagonal + (word != other))
        errors, words = errors + table[-1], words + len(a)
    assert metrics["dev_wer"] == pytest.approx(errors / words)
    assert all(line["id"].split("-")[1] == line["speaker"] for line in lines)  # as the built-in corpus names them


KILLS = {
    # the second epoch of round 1: round 0 took two epochs
    "mid-epoch": kill_at("lth.training.callbacks", "History", "on_train_batch_end", 2 * 10 + 13),
    "between rounds": kill_at("lth.store.folder", "ExperimentFolder", "add", 2),
    "while a round is written": kill_at(
        "lth.lottery.round", "", "save_tensors", 2, "original(*args, **kwargs); os.truncate(args[1], 1000)"
    ),
    "while a checkpoint is written": kill_at(
        "lth.training.checkpoint", "", "save_tensors", 4, "original(*args, **kwargs); os.truncate(args[1], 1000)"
    ),
}


@pytest.mark.parametrize("moment", KILLS)
def test_killed_and_resumed_equals_never_killed(finished, cache, tmp_path, moment):
    killed = play(outputs=tmp_path, cache=cache, code=KILLS[moment])
    assert killed.returncode == KILLED, killed.stdout + killed.stderr
    assert result(tmp_path / "demo")["finished"] is False
    sealed = [file for file in (tmp_path / "store/rounds").glob("*/SHA256SUMS") if len(file.parent.name) == 32]
    resumed = play(outputs=tmp_path, cache=cache)
    assert resumed.returncode == 0, resumed.stderr
    assert result(tmp_path / "demo") == result(finished[0] / "demo")
    trained, before = map(
        int, re.search(r"(\d) rounds trained, (\d) trained before, 0 reused", resumed.stdout).groups()
    )
    assert trained + before == 3 and before == len(sealed)
    if moment != "between rounds":  # it did not start that round again
        assert "epoch 2/2" in resumed.stdout and resumed.stdout.count("epoch 1/2") < 3
    assert not list((tmp_path / "store/partial").iterdir())


def test_a_call_that_trains_nothing_does_not_say_that_it_did(finished, cache, tmp_path):
    shutil.copytree(finished[0], tmp_path / "copy", symlinks=True)
    again = play(outputs=tmp_path / "copy", cache=cache)
    assert "0 rounds trained, 3 trained before, 0 reused" in again.stdout and "epoch 2/2" not in again.stdout
    assert [row["reused"] for row in rows(tmp_path / "copy/demo")] == ["false"] * 3  # this experiment trained them
    both = play("hydra.mode=MULTIRUN", "name=demo,demo-again", outputs=tmp_path / "copy", cache=cache)
    assert both.returncode == 0, both.stderr
    assert both.stdout.splitlines()[-1] == "2 experiments, 6 rounds: 0 trained, 6 reused"
    other = play("name=other", outputs=tmp_path / "copy", cache=cache)
    assert "0 rounds trained, 3 reused" in other.stdout


def test_another_strategy_shares_the_dense_round(finished, cache):
    outputs, _ = finished
    done = play("strategy=layerwise", "rounds=1", outputs=outputs, cache=cache)
    assert done.returncode == 0, done.stderr
    assert "demo holds another experiment" in done.stdout and "demo-2" in done.stdout
    assert "1 rounds trained, 1 reused" in done.stdout
    assert [row["reused"] for row in rows(outputs / "demo-2")] == ["true", "false"]
    assert rows(outputs / "demo-2")[0]["key"] == rows(outputs / "demo")[0]["key"]
    assert len(rows(outputs / "demo")) == 3


def test_more_rounds_extend_a_finished_experiment(finished, cache, tmp_path):
    shutil.copytree(finished[0], tmp_path / "copy", symlinks=True)
    done = play("rounds=3", outputs=tmp_path / "copy", cache=cache)
    assert done.returncode == 0, done.stderr
    assert [float(r["density"]) for r in rows(tmp_path / "copy/demo")] == pytest.approx([1, 0.5, 0.25, 0.125], abs=1e-3)
    assert done.stdout.count("epoch 2/2") == 1


@pytest.mark.parametrize("file", ["weights.safetensors", "mask.lth", "metrics.json"])
def test_a_corrupt_round_is_named_and_built_again(finished, cache, tmp_path, file):
    outputs = tmp_path / "copy"
    shutil.copytree(finished[0], outputs, symlinks=True)
    victim = (outputs / "demo/rounds/round-02" / file).resolve()
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.write_bytes(data)
    done = play(outputs=outputs, cache=cache)
    assert done.returncode == 0, done.stderr
    assert f"{file} does not match its checksum" in done.stderr
    assert result(outputs / "demo") == result(finished[0] / "demo")
