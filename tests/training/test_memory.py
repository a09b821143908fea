"""The memory of a training: its parts by hand, and a refusal before anything is trained."""

import pytest
import torch
from torch import nn

import lth.training.memory
from lth.errors import UserError
from lth.lottery.plan import check_fits
from lth.lottery.setup.build import build
from lth.lottery.setup.setting import prepare
from lth.training.memory import GIB, activations, check_memory, predicted
from tests.configs import compose
from tests.lotteries import command, play
from tests.models.small import SMALL


class Two(nn.Module):
    """Two linear layers with a ReLU: autograd keeps the input, and what comes out of the ReLU."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(8, 32, bias=False), nn.Linear(32, 4, bias=False)

    def forward(self, x, lengths):
        return self.two(self.one(x).relu()), lengths


class Pairs(nn.Module):
    """Keeps a value for each pair of frames."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x, lengths):
        return (torch.cdist(x, x) * self.weight).exp(), lengths


def test_what_is_kept_by_hand():
    assert activations(Two(), 8, 1000) == pytest.approx(4 * 1000 * (8 + 32))
    parameters = 8 * 32 + 32 * 4
    assert predicted(Two(), 8, 1000, 5) == pytest.approx(4 * 4 * parameters + 5 * 4 * 1000 * 40)


def test_what_grows_with_the_square_of_the_length():
    one, two = activations(Pairs(), 8, 1000), activations(Pairs(), 8, 2000)
    assert 3.5 < two / one < 4.1


@pytest.mark.parametrize("name", SMALL)
def test_every_model_is_predicted_and_nothing_is_drawn(name):
    model = build(compose(*SMALL[name]), "model", features=80, tokens=9)
    state = torch.random.get_rng_state()
    small, large = (predicted(model, 80, 300, utterances) for utterances in (1, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = 16 * sum(p.numel() for p in model.parameters())
    assert weights < small and large - weights == pytest.approx(4 * (small - weights), rel=0.01)


def test_what_does_not_fit_is_refused_with_the_figure():
    with pytest.raises(
        UserError, match=r"training this Two takes more than \d+\.\d GiB, .* has 0\.0 GiB: lower trainer"
    ) as said:
        check_memory(Two(), 8, 10_000, 1_000, "cpu", limit=1000)
    assert f"{predicted(Two(), 8, 10_000, 1_000) / GIB:.1f} GiB" in str(said.value)
    check_memory(Two(), 8, 10_000, 1_000, "cpu", limit=int(0.95 * predicted(Two(), 8, 10_000, 1_000)))


def test_a_lottery_that_does_not_fit_is_not_begun(tmp_path, cache):
    done = play(
        outputs=tmp_path,
        cache=cache,
        code="import lth.training.memory as m\nm.available = lambda kind: 1000",
    )
    assert (
        done.returncode == 2
        and "training this DeepSpeech2 takes more than" in done.stderr
        and "Traceback" not in done.stderr
    )
    assert not (tmp_path / "demo").exists()
    assert lth.training.memory.available("cpu") > GIB


def test_a_container_may_have_less_than_the_machine(tmp_path, monkeypatch):
    machine = lth.training.memory.available("cpu")
    files = [tmp_path / name for name in ("v1", "v2", "none")]
    monkeypatch.setattr("lth.training.memory.LIMITS", files)
    files[0].write_text("max\n")
    assert lth.training.memory.available("cpu") >= machine
    files[1].write_text("1000000\n")
    assert lth.training.memory.available("cpu") == 1_000_000


def test_utterances_are_as_long_as_perturbation_makes_them(cache, monkeypatch):
    frames = []
    monkeypatch.setattr("lth.lottery.plan.check_memory", lambda model, bins, count, *rest, **_: frames.append(count))
    for words in ([], ["augment.speed=[0.5,1]"]):
        check_fits(prepare(compose(*command(*words, outputs=cache, cache=cache))))
    assert frames[1] == pytest.approx(2 * frames[0], abs=3)
