"""A strategy as words of a command, as counts before training, and as lotteries."""

import pytest
import torch
from omegaconf import OmegaConf

from lth.errors import Infeasible, UserError
from lth.lottery.setup.names import check_recorded, names
from lth.lottery.strategy import Strategy
from lth.store.maskfile import load_mask
from lth.tickets.allocation import ERK, Excluding, Global, Layerwise
from lth.tickets.criterion import Magnitude, Snip, SynFlow, Wanda
from lth.tickets.mask import Mask
from lth.tickets.schedule import Cubic, Listed, constant, decaying
from lth.tickets.structure import NM, Block, PerRow, Weights
from tests.configs import PROJECT, compose
from tests.lotteries import play
from tests.search.test_multirun import MULTIRUN
from tests.tickets.models import NAMES, small_model, weights_of


def strategy(*words):
    return Strategy.of(compose(*words))


def choices(group):
    return sorted(path.stem for path in (PROJECT / "conf" / "strategy" / group).glob("*.yaml"))


@pytest.mark.parametrize("name", choices(""))
def test_every_choice_makes_a_strategy_and_is_safe_to_resume(name):
    config = compose(f"strategy={name}", "target=0.5")
    made = Strategy.of(config)
    assert 1 <= made.rounds(config.rounds, config.target) <= 5
    assert config.strategy.exclude == [] and "rewind" in config.strategy
    check_recorded(OmegaConf.to_container(config, resolve=False), "test")
    assert all(
        config.strategy[part].name in names(f"strategy.{part}") for part in ("schedule", "structure", "criterion")
    )


@pytest.mark.parametrize("axis", ["schedule", "allocation", "criterion", "structure"])
def test_every_axis_composes_with_every_other(axis):
    for name in choices(axis):
        made = strategy("strategy=decaying_layerwise", f"strategy/{axis}={name}", "target=0.5", "strategy/rewind=lr")
        assert made.structure == Weights() or axis == "structure"


def test_words_reach_their_parts():
    assert strategy() == Strategy(constant(0.2), Global(), Magnitude(), Weights(), (), 0)
    made = strategy("strategy=decaying_layerwise", "strategy.prune_factor=0.8", "strategy.ratios.0=2", "seed=3")
    assert made.schedule == decaying(0.2, 0.8) and made.allocation == Layerwise((2, 1, 0.9)) and made.seed == 3
    made = strategy(
        "strategy=layerwise", "strategy/structure=block", "strategy.structure.rows=2", "strategy.ratios=[1]"
    )
    assert made.structure == Block(2, 4) and made.allocation == Layerwise((1,))
    assert strategy("strategy=cubic", "target=0.1", "rounds=8").schedule == Cubic(0.1, 8)
    assert strategy("strategy=listed", "strategy.densities=[0.5,0.2]").schedule == Listed((0.5, 0.2))
    assert strategy("strategy=nm", "strategy.structure.m=8", "strategy.structure.n=4").structure == NM(4, 8)
    assert strategy("strategy=wanda", "strategy.criterion.utterances=7").criterion == Wanda(7)
    assert strategy("strategy=wanda").structure == PerRow()
    assert strategy("strategy=snip", "strategy.criterion.steps=3").criterion == Snip(steps=3)
    assert strategy("strategy=synflow").criterion == SynFlow(100)
    assert strategy("strategy=units", "strategy.exclude=[output]").allocation == Excluding(("output",), Global())
    assert strategy("strategy=erk", "strategy.exclude=output").allocation == Excluding(("output",), ERK())


def test_rounds_that_a_schedule_plays():
    assert strategy("strategy=cubic", "target=0.1", "rounds=8").rounds(8, 0.1) == 8
    assert strategy("strategy=one_shot", "target=0.1").rounds(5, 0.1) == 1
    assert strategy("strategy=one_shot").rounds(5, None) == 1
    assert strategy("strategy=nm").rounds(5, None) == 3
    assert strategy("strategy=nm").rounds(5, 0.64) == 2
    assert strategy("strategy=cubic", "rounds=0").rounds(0, None) == 0  # a control of a cubic ticket
    for words, said in (
        (["strategy=nm", "target=0.4"], "target=0.4: the schedule ends at a density of 50.00%"),
        (["strategy=listed", "target=0.1"], "target=0.1: the schedule ends at a density of 20.00%"),
    ):
        with pytest.raises(Infeasible) as error:
            strategy(*words).rounds(5, compose(*words).target)
        assert str(error.value).startswith(said)
    with pytest.raises(Infeasible, match=r"strategy.schedule: densities .* each under 0.3"):
        strategy("strategy=listed").rounds(5, None, 0.3)


@pytest.mark.parametrize("start", [1.0, 0.7])
@pytest.mark.parametrize("words", [["strategy=cubic", "target=0.1", "rounds=4"], ["strategy=listed"]], ids=str)
def test_densities_are_met_to_the_weight_from_wherever_round_0_starts(start, words):
    weights = weights_of(small_model())
    generator = torch.Generator().manual_seed(0)
    mask = Mask({name: torch.rand(w.shape, generator=generator) < start for name, w in weights.items()})
    made = strategy(*words).starting_at(mask.density)
    rounds = made.rounds(4, None, mask.density)
    planned = made.densities(mask, NAMES, rounds)
    for number in range(1, rounds + 1):
        mask = made.prune(weights, mask, NAMES, number)
        assert mask.kept == round(made.schedule.density(number, made.start) * mask.total)
        assert mask.density == pytest.approx(planned[number - 1], abs=1e-12)
    assert mask.density == pytest.approx(0.1 if "cubic" in words[0] else 0.2, abs=1e-4)


@pytest.mark.parametrize("structure", ["block", "rows", "units"])
def test_what_whole_groups_leave_undone_is_made_good(structure):
    """However small the amounts, the density stays within a group of the schedule's, and never under it."""
    weights = weights_of(small_model())
    mask = Mask.dense(weights)
    made = strategy(f"strategy={structure}", "strategy.amount=0.01")
    largest = {"block": 4, "rows": 448, "units": 4 * 2 * 48 + 4 * 48 + 4 * 96}[structure]
    for number in range(1, 25):
        mask = made.prune(weights, mask, NAMES, number)
        goal = round(0.99**number * mask.total)
        assert 0 <= mask.kept - goal < largest


def test_a_structure_without_room_is_refused_before_training():
    mask = Mask.dense(weights_of(small_model()))
    made = strategy("strategy/structure=nm")
    assert made.densities(mask, NAMES, 3) == pytest.approx([0.8, 0.64, 0.512], abs=1e-4)
    with pytest.raises(Infeasible, match=r"round 4 is to prune \d+ weights .* down to a density of 50\.\d+%"):
        made.densities(mask, NAMES, 4)
    with pytest.raises(Infeasible, match="exclude: nosuch is none of the prunable parameters conv1"):
        strategy("strategy.exclude=[nosuch]").densities(mask, NAMES, 0)


def test_scores_taken_in_steps_are_taken_under_the_mask_so_far():
    weights = {"w": torch.arange(1.0, 101)}
    kept = []

    def gather(criterion, weights, mask):
        kept.append(mask.kept)
        return {"w": torch.ones(100)}

    made = strategy("strategy=synflow", "strategy.criterion.steps=4", "target=0.16")
    mask = made.prune(weights, Mask.dense(weights), [["w"]], 1, gather)
    assert kept == [100, 63, 40, 25] and mask.kept == 16  # 100 * 0.16 ** (k / 4)
    assert mask["w"].tolist() == [False] * 84 + [True] * 16


@pytest.mark.parametrize("part", ["schedule", "allocation", "criterion", "structure"])
@pytest.mark.parametrize("value", ["null", "3", "abc"])
def test_what_is_no_part_is_said_in_a_sentence(part, value):
    with pytest.raises(
        UserError, match=rf"strategy\.{part}=.* is none: choose one of the group, such as strategy/{part}="
    ):
        strategy(f"strategy.{part}={value}")


@pytest.mark.parametrize("value", ["null", "3", "[1]", "[null]", "['']"])
def test_bad_exclusions(value):
    with pytest.raises(UserError, match=r"strategy\.exclude=.* is no list of parameters"):
        strategy(f"strategy.exclude={value}")


def test_a_part_in_the_place_of_another_is_refused():
    with pytest.raises(UserError, match=r"strategy\.criterion=.*Weights.* is none: choose one"):
        strategy("strategy.criterion._target_=lth.tickets.structure.Weights")


def masks_of(folder):
    rounds = sorted((folder / "rounds").iterdir())
    return [load_mask(path / "mask.lth")[0] for path in rounds]


def test_lotteries_of_structures(tmp_path, cache):
    words = ("strategy/structure=block,nm,units", "rounds=1", "name=${hydra:runtime.choices.strategy/structure}")
    done = play(MULTIRUN, *words, outputs=tmp_path, cache=cache)
    assert done.returncode == 0, done.stderr
    _, block = masks_of(tmp_path / "block")
    _, nm = masks_of(tmp_path / "nm")
    _, units = masks_of(tmp_path / "units")
    assert block.density == pytest.approx(0.5, abs=1e-3) and units.density == pytest.approx(0.5, abs=0.02)
    for name, bits in block.items():
        rows = bits.reshape(len(bits), -1)
        assert all(len(set(tile)) == 1 for row in rows.tolist() for tile in zip(*[iter(row)] * 4, strict=False))
        assert "weight" in name
    whole = [w for b in nm.values() for row in b.reshape(len(b), -1) for w in row.split(4) if len(w) == 4]
    assert all(int(window.sum()) == 2 for window in whole)
    hidden = units["rnns.0.forwards.weight_hh_l0"]
    alive = units["rnns.0.forwards.weight_ih_l0"].view(4, 24, -1).all(2)
    assert torch.equal(hidden, (alive[:, :, None] & alive[0]).view(96, 24)) and not alive.all()


def test_lotteries_with_evidence_share_their_dense_round(tmp_path, cache):
    words = ("strategy=erk,snip,wanda", "strategy.amount=0.6", "rounds=1", "name=${hydra:runtime.choices.strategy}")
    done = play(MULTIRUN, *words, outputs=tmp_path, cache=cache)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "3 experiments, 6 rounds: 4 trained, 2 reused"
    found = {name: masks_of(tmp_path / name)[1] for name in ("erk", "snip", "wanda")}
    assert all(mask.kept == round(0.4 * mask.total) for mask in found.values())
    erk = found["erk"].densities()
    assert 1 >= erk["convs.0.conv.weight"] > erk["output.weight"] > erk["rnns.1.forwards.weight_ih_l0"]
    for bits in found["wanda"].values():
        assert len(set(bits.reshape(len(bits), -1).sum(1).tolist())) <= 2  # rows of a parameter lose the same
