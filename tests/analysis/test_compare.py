"""Groups, labels, who wins and curves: hand-made experiments with known counts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from omegaconf import OmegaConf

from lth.analysis.compare import Group, groups_of, wins
from lth.analysis.document import Interval
from lth.analysis.experiments import gather
from lth.analysis.labels import label, labels
from lth.analysis.measure import curve
from lth.analysis.sections import tickets
from tests.analysis.folders import write_experiment
from tests.configs import compose


def experiments(outputs, *names, **options):
    for name in names:
        write_experiment(outputs / name, name, **options)
    return [one for name in names for one in gather(outputs / name)[0]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "constant"),
        (["strategy=layerwise"], "layerwise"),
        (["strategy=decaying_layerwise"], "decaying_layerwise"),
        (["strategy=gradient"], "gradient"),
        (["strategy=snip"], "snip"),
        (["strategy=wanda"], "wanda"),
        (["strategy=nm"], "nm 2:4"),
        (["strategy=block"], "block 1×4"),
        (["strategy=gradual", "target=0.1"], "gradual"),
        (["strategy=erk", "strategy/rewind=epoch", "strategy.rewind.epoch=3"], "erk rewind=epoch 3"),
        (["strategy=random", "strategy.exclude=[convs]"], "random without convs"),
        (["strategy/criterion=wanda", "strategy/structure=per_row"], "constant criterion=wanda structure=per_row"),
    ],
)
def test_labels_are_the_words_that_were_typed(words, said):
    assert label(OmegaConf.to_container(compose(*words))) == said


def test_options_that_differ_are_added_and_only_those(tmp_path):
    made = []
    for name, amount in (("a", 0.2), ("b", 0.5)):
        config = {"strategy": {"amount": amount, "prune_factor": 1, "schedule": {"name": "constant"}}}
        (one,) = experiments(tmp_path, name, config=config)
        made.append(replace(one, about={**one.about, "id": name}))
    found = labels({one.id: one.config for one in made})
    assert list(found.values()) == [
        "constant, amount 0.2",
        "constant, amount 0.5",
    ]


def test_other_models_are_told_apart_by_their_kind_and_those_of_one_kind_by_their_options(tmp_path):
    models = {
        "a": {"name": "conformer", "layers": 6},
        "b": {"name": "transducer", "joint": 8, "encoder": {"name": "conformer", "layers": 6}},
        "c": {"name": "transducer", "joint": 8, "encoder": {"name": "deepspeech2", "units": 9}},
        "d": {"name": "transducer", "joint": 8, "encoder": {"name": "deepspeech2", "units": 7}},
    }
    made = []
    for name, model in models.items():
        (one,) = experiments(tmp_path, name, config={"model": model, "strategy": {"schedule": {"name": "constant"}}})
        made.append(replace(one, about={**one.about, "id": name}))

    def said(names):
        return [*labels({name: made["abcd".index(name)].config for name in names}).values()]

    assert said("ab") == ["constant, conformer", "constant, transducer"]
    assert said("bc") == ["constant, model encoder conformer", "constant, model encoder deepspeech2"]
    assert said("cd") == ["constant, model encoder units 9", "constant, model encoder units 7"]


def test_trials_that_played_the_same_rounds_are_one_lottery(tmp_path):
    short, long = (experiments(tmp_path, name)[0] for name in ("short", "long"))
    short = replace(short, rounds=short.rounds[:2])
    (group,), _ = groups_of([short, long], 100)
    assert [one.name for ones in group.lotteries.values() for one in ones] == ["long"]


def test_other_texts_are_another_group_and_said(tmp_path):
    one = experiments(tmp_path, "one")
    other = experiments(tmp_path, "other")
    for r in other[0].rounds:
        r.metrics["inputs"]["corpus"] = "another fingerprint"
    other[0].__dict__.pop("setting", None)
    groups, said = groups_of([*one, *other], 200)
    assert len(groups) == 2
    assert said == [
        "digits is there in 2 versions (other recordings, texts or splits); "
        "experiments on different ones are not compared."
    ]


def test_wins_are_judged_on_dev_and_differences_on_test(tmp_path):
    groups, _ = groups_of(experiments(tmp_path, "demo"), 2000)
    (win,) = wins(groups[0])
    assert win.density == 0.5  # round 1: dev 1/5 as the dense; round 2, at 25 %, is worse
    difference, p = groups[0].difference(win.dense, win.rounds, "test")
    assert difference.value == pytest.approx(1 / 6)
    # errors less dense per utterance are 2, 0 (1 - 1), ... resampling three utterances of two words each
    before, after = np.array([0, 1, 0]), np.array([2, 0, 0])
    rng = np.random.default_rng(1)
    drawn = rng.integers(3, size=(20_000, 3))
    plain = (after - before)[drawn].sum(1) / 6
    assert p == pytest.approx(2 * min((plain <= 0).mean(), (plain >= 0).mean()), abs=0.06)
    sentence = tickets.lead(groups)
    assert sentence.startswith("constant wins on digits at 50.0 % of the weights, test WER 33.3")
    assert "16.7" in sentence and "one seed" in sentence and "no evidence" in sentence


@pytest.mark.parametrize(
    ("p", "said", "trust"),
    [
        (0.03, "no evidence either way", "no evidence of a difference either way"),  # 0.06 by Holm over two tickets
        (0.02, "better", "a difference beyond chance"),
    ],
)
def test_the_first_sentence_says_what_its_table_says(tmp_path, monkeypatch, p, said, trust):
    """The table corrects for all tickets that it compares; the sentence is one of them."""
    monkeypatch.setattr(Group, "difference", lambda *_: (Interval(-0.02, -0.04, -0.001), p))
    (one,) = experiments(tmp_path, "demo")
    dense, best, extreme = one.rounds
    best, extreme = (replace(r, row=replace(r.row, dev_wer=wer)) for r, wer in ((best, 0.1), (extreme, 0.2)))
    object.__setattr__(one, "rounds", [dense, best, extreme])
    groups, _ = groups_of([one], 200)
    table = tickets._tickets(groups[0])
    assert [(row[2], row[-2], row[-1]) for row in table.rows] == [("extreme", 2 * p, said), ("best", 2 * p, said)]
    sentence = tickets.lead(groups)
    assert sentence.startswith("constant wins on digits at 25.0 %") and sentence.endswith(f"one seed: {trust}.")


def test_the_first_sentence_over_seeds_says_what_their_table_says(tmp_path, monkeypatch):
    monkeypatch.setattr(Group, "difference", lambda *_: (Interval(-0.02, -0.04, -0.001), 0.03))
    made = []
    for seed in (0, 1):
        (one,) = experiments(tmp_path, f"seed-{seed}")
        rounds = [replace(r, row=replace(r.row, key=f"{r.row.key}-{seed}", dev_wer=0.2)) for r in one.rounds]
        made.append(replace(one, rounds=rounds, config={**one.config, "seed": seed}))
    groups, _ = groups_of(made, 200)
    table = tickets._over_seeds(groups[0])
    assert [row[-1] for row in table.rows] == ["no evidence either way"] * 2
    assert "mean of 2 seeds: no evidence of a difference either way" in tickets.lead(groups)


def test_nothing_wins_is_said(tmp_path):
    groups, _ = groups_of(experiments(tmp_path, "demo"), 200)
    for one in groups[0].experiments:
        object.__setattr__(one, "rounds", [one.rounds[0], one.rounds[2]])
    assert tickets.lead(groups).startswith("No ticket wins on digits: none reaches")


def test_density_at_a_wer_is_interpolated_in_its_logarithm():
    densities, wers = [1.0, 0.4, 0.1], [0.10, 0.10, 0.20]
    found = curve.density_at(densities, wers, 0.15)
    assert math.log(found) == pytest.approx((math.log(0.4) + math.log(0.1)) / 2)
    assert curve.density_at(densities, wers, 0.20) == 0.1
    assert curve.density_at(densities, wers, 0.05) is None
    assert curve.density_at([1.0, 0.5, 0.25], [0.1, 0.3, 0.1], 0.1) == 0.25  # good again: the sparsest counts
