"""Evidence against finite differences and against the same model run by hand; what it is made of does not vary."""

import pytest
import torch

from lth.errors import UserError
from lth.lottery.evidence import gather, gradients, norms
from lth.lottery.setup.setting import prepare
from lth.tickets.criterion import Magnitude, Saliency, Snip, SynFlow, Wanda
from lth.tickets.mask import Mask
from tests.configs import TINY, compose


@pytest.fixture(scope="module")
def setting(cache):
    return prepare(compose(*TINY, f"corpus.cache={cache}", "model.dropout=0.3"))


@pytest.fixture(scope="module")
def trained(setting):
    """As if trained: other weights, and running statistics that are not those of any batch."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, tensor in setting.init.items():
        moved = tensor.clone()
        if name.endswith("running_var"):
            moved = moved * (0.5 + torch.rand(moved.shape, generator=generator))
        elif tensor.is_floating_point():
            moved = moved + 0.02 * torch.randn(moved.shape, generator=generator)
        weights[name] = moved
    return weights


def mean_loss(setting, weights, *, batch_statistics):
    """By utterance, with nothing random: no SpecAugment, no dropout."""
    recogniser = setting.recogniser(weights)
    recogniser.augment = None
    recogniser.eval()
    recogniser.model.dropout.p = 0.0
    recogniser.train(batch_statistics)
    total, utterances = 0.0, 0
    with torch.no_grad():
        for batch in setting.sample_batches():
            total += float(recogniser.loss(*recogniser(batch), batch)) * len(batch["ids"])
            utterances += len(batch["ids"])
    assert utterances == 20  # the size of dev
    return total / utterances


@pytest.mark.parametrize("init", [True, False])
def test_gradients_are_what_finite_differences_say(setting, trained, init):
    weights = setting.init if init else trained
    names = ["convs.0.conv.weight", "rnns.1.backwards.weight_hh_l0", "output.weight"]
    found = gradients(setting, weights, names, init=init)
    for name in names:
        place = int(found[name].abs().argmax())
        step, losses = 0.01, []
        for sign in (1, -1):
            moved = {n: t.clone() for n, t in weights.items()}
            moved[name].view(-1)[place] += sign * step
            losses.append(mean_loss(setting, moved, batch_statistics=init))
        by_differences = (losses[0] - losses[1]) / (2 * step)
        assert found[name].flatten()[place].item() == pytest.approx(by_differences, rel=0.03, abs=1e-4)


def test_norms_of_the_output_layer_are_those_of_what_it_receives(setting, trained):
    recogniser = setting.recogniser(trained).eval()
    received = []
    recogniser.model.output.register_forward_pre_hook(lambda module, args: received.append(args[0]))
    with torch.no_grad():
        for batch in setting.sample_batches():
            _, lengths = recogniser(batch)
            received[-1] = torch.cat([x[:length] for x, length in zip(received[-1], lengths, strict=True)])
    found = norms(setting, trained, ["output.weight"])
    assert torch.allclose(found["output.weight"], torch.cat(received).norm(dim=0)[None], rtol=1e-4)


def test_all_is_the_same_again_and_pruned_weights_have_no_say(setting, trained):
    mask = setting.dense()
    generator = torch.Generator().manual_seed(1)
    some = Mask({name: torch.rand(bits.shape, generator=generator) < 0.5 for name, bits in mask.items()})
    zeroed = {name: torch.where(some[name], t, 0) if name in some else t for name, t in trained.items()}
    before = {name: t.clone() for name, t in trained.items()}
    for criterion in (Saliency(utterances=8), Snip(utterances=8), Wanda(utterances=8), SynFlow()):
        torch.manual_seed(5)
        one = gather(setting, criterion, trained, some)
        torch.manual_seed(6)
        other = gather(setting, criterion, zeroed, some)
        assert list(one) == list(mask)
        assert all(torch.equal(one[name], other[name]) for name in mask)
        assert all(torch.isfinite(t).all() for t in one.values())
        dense = gather(setting, criterion, trained, mask)
        assert any(not torch.equal(one[name], dense[name]) for name in mask)
        scores = criterion("output.weight", trained["output.weight"], None, one)
        assert scores.shape == trained["output.weight"].shape and scores.min() >= 0
    assert all(torch.equal(before[name], trained[name]) for name in trained)
    assert gather(setting, Magnitude(), trained, mask) == {}


def test_a_sample_is_a_part_of_train_that_only_the_seed_chooses(setting):
    def ids(utterances=None):
        return [i for batch in setting.sample_batches(utterances) for i in batch["ids"]]

    train = {cut.id for cut in setting.corpus.train}
    assert len(ids()) == 20 and set(ids()) < train
    assert set(ids(5)) < set(ids(10)) < set(ids())
    assert set(ids(1000)) == train


def test_weights_without_a_gradient_are_refused_in_a_sentence(setting, trained):
    broken = dict(trained) | {"convs.0.norm.weight": torch.full_like(trained["convs.0.norm.weight"], float("nan"))}
    with pytest.raises(UserError, match=r"strategy\.criterion: the gradient of .* is not a number"):
        gather(setting, Saliency(), broken, setting.dense())
