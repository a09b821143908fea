"""Every strategy prunes every model, and every model plays a lottery."""

from functools import partial

import pytest
from rich.console import Console

from lth.analysis.measure.interpolation import heard
from lth.lottery.evidence import gather
from lth.lottery.setup.setting import prepare
from lth.lottery.strategy import Strategy
from lth.tickets.anatomy import units
from tests.configs import PROJECT, TINY, compose
from tests.lotteries import run
from tests.models.small import SMALL

STRATEGIES = sorted(file.stem for file in (PROJECT / "conf" / "strategy").glob("*.yaml") if file.stem != "gradual")
QUICK = [word for word in TINY if not word.startswith("model.")]


@pytest.fixture(scope="module", params=SMALL)
def setting(request, cache):
    return prepare(compose(*SMALL[request.param], *QUICK, f"corpus.cache={cache}"))


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_prunes_it(setting, name):
    words = ["strategy.densities=[0.6]"] if name == "listed" else []
    config = setting.config.copy()
    config.target = 0.8
    config.strategy = compose(f"strategy={name}", *words).strategy
    strategy, dense, layers = Strategy.of(config), setting.dense(), list(setting.layers.values())
    target = strategy.densities(dense, layers, 1)[0]
    mask = strategy.prune(setting.init, dense, layers, 1, partial(gather, setting))
    assert mask.kept < dense.kept
    assert mask.density == pytest.approx(target, abs=0.03)  # whole groups seldom come to the very count


@pytest.mark.parametrize("words", [[], ["strategy=gradual", "strategy.gradual.every=1"]], ids=["rounds", "gradual"])
def test_it_plays_a_lottery(setting, words, tmp_path):
    config = setting.config.copy()
    config.update({"rounds": 1, "outputs": str(tmp_path), "name": "every"})
    config.tracking = compose("tracking=disabled").tracking
    config.strategy = compose(*words).strategy
    rows = run(config, Console(quiet=True))
    assert [row.round for row in rows] == [0, 1]
    assert rows[1].density == pytest.approx(0.8, abs=0.501 / setting.dense().total)  # a whole number of weights
    assert all(row.dev_wer >= 0 for row in rows)


def test_its_tickets_are_looked_into(setting):
    found = units(setting.dense())
    assert found and not any(one.dead.any() for one in found.values())
    other = setting.model().state_dict()
    ((plain, again),) = heard(setting, setting.init, other, (0.5,))
    references = [cut.supervisions[0].text for cut in setting.corpus.dev]
    for rows in (plain, again or plain):
        assert sorted(row["reference"] for row in rows) == sorted(references)
