"""Overlaps by brute force and by counting; like densities; a section worked by hand."""

import itertools
import json
import math
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from lth.analysis.experiments import gather
from lth.analysis.inputs import Analysis
from lth.analysis.measure import bodies, kinship, specimens
from lth.analysis.measure.overlap import Packed, overlap
from lth.analysis.sections import anatomy
from lth.analysis.sections import overlap as shared
from lth.store.maskfile import save_mask
from lth.tickets.mask import Mask
from tests.analysis.folders import KEPT, write_experiment

LAYERS = {"conv.weight": 8, "rnn.weight_hh_l0": 4}


def random_mask(seed: int, density: float) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"conv": (3, 1, 5, 5), "hh": (16, 4), "out": (7, 11)}
    return Mask({name: torch.rand(shape, generator=generator) < density for name, shape in shapes.items()})


def test_overlap_by_brute_force():
    first, second = random_mask(0, 0.3), random_mask(1, 0.6)
    found = overlap(Packed.of(first), Packed.of(second))
    pairs = [(a, b) for name in first for a, b in zip(first[name].flatten(), second[name].flatten(), strict=True)]
    assert found.both == sum(bool(a and b) for a, b in pairs)
    assert found.either == sum(bool(a or b) for a, b in pairs)
    assert found.jaccard == pytest.approx(found.both / found.either)
    assert found.most == sum(min(int(first[name].sum()), int(second[name].sum())) for name in first)


def test_chance_by_counting_every_mask():
    """One layer of 6 weights with 2 and 3 kept: all placements of the second against the first."""
    first = torch.tensor([1, 1, 0, 0, 0, 0], dtype=torch.bool)
    shared = []
    for places in itertools.combinations(range(6), 3):
        second = torch.zeros(6, dtype=torch.bool)
        second[list(places)] = True
        shared.append(int((first & second).sum()))
    mean = sum(shared) / len(shared)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in shared) / len(shared))
    second = torch.tensor([1, 1, 1, 0, 0, 0], dtype=torch.bool)
    found = overlap(*(Packed.of(Mask({"w": bits.view(2, 3)})) for bits in (first, second)))
    assert (found.expected, found.deviation) == pytest.approx((mean, deviation))
    assert found.ratio == pytest.approx(2 / mean) and found.score == pytest.approx((2 - mean) / deviation)
    assert found.share == pytest.approx(1)


def test_chance_of_several_layers_by_counting():
    """Of 4 weights with 2 and 1 kept and of 5 with 2 and 3 kept: all placements in both layers."""
    firsts, sizes = {"a": [1, 1, 0, 0], "b": [1, 1, 0, 0, 0]}, {"a": 1, "b": 3}
    one = {name: {n for n, kept in enumerate(bits) if kept} for name, bits in firsts.items()}
    every = [itertools.combinations(range(len(bits)), sizes[name]) for name, bits in firsts.items()]
    shared = [len(one["a"] & set(a)) + len(one["b"] & set(b)) for a, b in itertools.product(*every)]
    mean = sum(shared) / len(shared)
    masks = [
        Mask({name: torch.tensor(bits).bool() for name, bits in kept.items()})
        for kept in (firsts, {"a": [0, 0, 0, 1], "b": [0, 0, 1, 1, 1]})
    ]
    found = overlap(*map(Packed.of, masks))
    assert found.expected == pytest.approx(mean)
    assert found.deviation == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in shared) / len(shared)))
    assert found.both == 0 and found.share == pytest.approx(-mean / (1 + 2 - mean))


def test_masks_of_random_weights_are_at_chance_and_a_mask_is_all_it_can_share_with_itself():
    masks = [random_mask(seed, 0.4) for seed in range(30)]
    scores = [overlap(Packed.of(a), Packed.of(b)).score for a, b in itertools.combinations(masks, 2)]
    assert abs(sum(scores) / len(scores)) < 0.3 and max(map(abs, scores)) < 5
    assert overlap(Packed.of(masks[0]), Packed.of(masks[0])).share == pytest.approx(1)
    dense = Packed.of(random_mask(0, 2))
    assert overlap(dense, dense).share is None and overlap(dense, dense).score is None


def test_masks_of_other_models_are_not_compared():
    other = Mask({"w": torch.ones(3, dtype=torch.bool)})
    assert overlap(Packed.of(random_mask(0, 0.5)), Packed.of(other)) is None


def write(outputs, name, *, seed=7, rounds=3, moved=0, noise=None, strategy="constant", init="abcd"):
    """An experiment whose masks are shifted by ``moved`` places, with real weights and init."""
    config = {"seed": seed, "strategy": {"schedule": {"name": strategy}}}
    config |= {"noise": {"kind": "level", "min": 0, "max": noise}} if noise else {}
    folder = write_experiment(outputs / name, name, done=rounds, config=config)
    about = json.loads((folder / "experiment.json").read_text())
    (folder / "experiment.json").write_text(json.dumps(about | {"id": name, "init": init}))
    before = {key: torch.arange(1.0, size + 1).view(2, -1) for key, size in LAYERS.items()}
    save_file(before, (folder / "init.safetensors").resolve())
    for number in range(rounds):
        stored = (folder / f"rounds/round-{number:02d}").resolve()
        bits = {
            key: (torch.arange(size) < kept).roll(moved).view(2, -1)
            for (key, size), kept in zip(LAYERS.items(), KEPT[number], strict=True)
        }
        save_mask(stored / "mask.lth", Mask(bits), {})
        save_file(
            {key: (-2 if number else 0.5) * before[key] * bits[key] for key in bits}, stored / "weights.safetensors"
        )
        aim = outputs / "all" / name
    aim.parent.mkdir(exist_ok=True)
    aim.symlink_to(folder)
    text = (folder / "rounds.csv").read_text()
    for number in range(rounds):  # a store of its own each: keys must differ
        text = text.replace(f"{number:032x}", f"{name}{number}")
    (folder / "rounds.csv").write_text(text)
    return folder


def test_rounds_as_dense_as_each_other_near_the_tickets(tmp_path):
    for name in ("a", "b"):
        write(tmp_path, name)
    a, b = gather(tmp_path / "all")[0]
    # tickets are round 1 of both (50 %); round 2 keeps 25 %
    assert [one.row.round for one in kinship.matched(a, b)] == [1, 1]
    sparser = replace(b, rounds=[b.rounds[0], b.rounds[2]])
    assert [one.row.round for one in kinship.matched(a, sparser)] == [2, 2]
    assert kinship.matched(a, replace(b, rounds=b.rounds[:1])) is None


def test_the_section_by_hand(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b", seed=8, moved=1, init="other")
    write(tmp_path, "c", noise=0.5)
    analysis = Analysis(gather(tmp_path / "all")[0])
    said, masks = anatomy.section(analysis), shared.section(analysis)
    tables = {
        table.name: [dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows]
        for table in (*said.tables, *masks.tables)
    }
    kinds = {row["differ in"]: row for row in tables["overlap_kinds"]}
    assert set(kinds) == {"init and seed", "noise", "init and seed, noise"}
    # 2 of 8 and 4 of 4 kept. The same masks share 6 where chance gives 2 * 2 / 8 + 4; moved by one place, 1 + 4
    assert kinds["noise"]["times chance"] == pytest.approx(6 / 4.5)
    assert kinds["noise"]["of what is possible"] == pytest.approx(1)
    assert kinds["init and seed"]["times chance"] == pytest.approx(5 / 4.5)
    assert kinds["init and seed"]["of what is possible"] == pytest.approx(0.5 / 1.5)
    assert kinds["init and seed"]["Jaccard"] == pytest.approx(5 / 7)
    assert "Other noise in training leaves 100 % of the way from chance to the same mask" in " ".join(masks.text)
    assert "another init and seed in the same noise 33 %" in " ".join(masks.text)
    (body, *_) = tables["bodies"]
    # round 1 is -2 times the init, the dense round half of it
    assert (body["signs as in init"], body["dense: signs as in init"]) == (0, 1)
    assert (body["grown"], body["dense: grown"]) == (1, 0)
    layers = next(chart for chart in said.charts if chart.name == "layers")
    assert [row[0] for row in layers.values] == [2 / 8, 1]
    overlaps = next(chart for chart in masks.charts if chart.name == "overlap")
    assert overlaps.values[0][0] is None and overlaps.values[0][1] == overlaps.values[1][0]
    assert overlaps.middle == 1


def test_what_is_gone_is_said(tmp_path):
    folders = [write(tmp_path, name) for name in ("a", "b", "c")]
    (folders[0] / "rounds/round-01/weights.safetensors").unlink()
    shutil.rmtree((folders[1] / "rounds/round-01").resolve())
    (folders[2] / "rounds/round-01/mask.lth").write_bytes(b"no mask")
    analysis = Analysis(gather(tmp_path / "all")[0])
    said = anatomy.section(analysis)
    text = " ".join(said.text)
    assert "The mask of b is gone from the store" in text
    assert "The mask of c cannot be read" in text
    assert "The trained weights of constant, seed 7, 50.0 % are not in the store" in text
    assert [chart.name for chart in said.charts] == ["layers"]
    assert shared.section(analysis) is None
    assert anatomy.section(Analysis([])) is shared.section(Analysis([])) is None


def test_what_took_long_is_kept(tmp_path, monkeypatch):
    write(tmp_path, "a")
    experiments, _ = gather(tmp_path / "all")
    first = anatomy.section(Analysis(experiments, cache=tmp_path / "cache"))
    monkeypatch.setattr(bodies, "effective_rank", lambda weights: pytest.fail("computed twice"))
    assert anatomy.section(Analysis(experiments, cache=tmp_path / "cache")) == first


def test_the_sparsest_are_looked_into(tmp_path, monkeypatch):
    write(tmp_path, "a")
    write(tmp_path, "b", rounds=3)
    monkeypatch.setattr(specimens, "MOST", 1)
    found, remarks = specimens.specimens(gather(tmp_path / "all")[0])
    assert [one.experiment.name for one in found] == ["a"]
    assert remarks == ["The 1 sparsest tickets are looked into; 1 more are left out: experiments= chooses."]
