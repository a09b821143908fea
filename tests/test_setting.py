"""What a round's key depends on, and what it does not."""

import pytest
import torch

from lth.errors import UserError
from lth.setting import prepare
from lth.store import round_key
from lth.tickets.mask import Mask
from tests.configs import TINY, compose


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    cache = tmp_path_factory.mktemp("corpus")

    def make(*overrides):
        return prepare(compose(*TINY, f"corpus.cache={cache}", *overrides))

    return make


@pytest.fixture(scope="module")
def base(make):
    return make()


def key(setting, mask=None):
    return round_key(setting.key_inputs("init", mask or setting.dense()))


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "trainer.lr=1e-3",
        "trainer.max_epochs=3",
        "trainer.batch_size=8",
        "trainer.gradient_clip=1.0",
        "trainer.patience=1",
        "model.dropout=0.2",
        "features.hop=0.02",
        "augment=none",
        "noise=level",
        "noise=snr",
        "corpus.seed=1",
        "tokens='ABCDEFGHIJKLMNOPQRSTUVWXYZ '",
    ],
)
def test_what_can_change_a_result_changes_the_key(make, base, override):
    assert key(make(override)) != key(base)


@pytest.mark.parametrize(
    "override",
    [
        "strategy=layerwise",
        "rounds=9",
        "name=other",
        "trainer.threads=2",
        "trainer.workers=1",
        "trainer.log_every=7",
        "tracking=disabled",
        "memory_hours=0",
        "outputs=elsewhere",
        "noise.max=0.9",
        "noise.part=train",
        "test_noise=grid",
    ],
)
def test_what_cannot_change_a_result_does_not(make, base, override):
    assert key(make(override)) == key(base)


def test_the_mask_and_the_init_are_part_of_the_key(base):
    bits = {name: b.clone() for name, b in base.dense().items()}
    next(iter(bits.values())).view(-1)[0] = False
    assert key(base, Mask(bits)) != key(base)
    assert round_key(base.key_inputs("a", base.dense())) != round_key(base.key_inputs("b", base.dense()))


def test_the_init_is_the_models_own_and_follows_from_the_seed(make, base):
    again, other = make(), make("seed=1")
    assert all(torch.equal(again.init[name], value) for name, value in base.init.items())
    assert any(not torch.equal(other.init[name], value) for name, value in base.init.items())
    torch.manual_seed(0)
    fresh = base.model().state_dict()
    assert all(torch.equal(fresh[name], value) for name, value in base.init.items())


def test_a_character_outside_the_given_tokens_is_named(make):
    with pytest.raises(UserError, match=r"contains the character '.' \(U\+00..\).*tokens="):
        make("tokens=ABC")
