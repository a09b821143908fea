"""The transducer's loss against all alignments written out, and what it is made of."""

from functools import partial
from itertools import combinations

import pytest
import torch

from lth.errors import UserError
from lth.lottery.setup.build import build
from lth.models.deepspeech2 import DeepSpeech2, parameters
from lth.models.transducer import Transducer
from lth.training.losses import ctc
from tests.configs import compose

CONV = [{"channels": 2, "kernel": [5, 3], "stride": [4, 2]}]


def small(tokens=4, **options):
    torch.manual_seed(0)
    encoder = partial(DeepSpeech2, conv=CONV, layers=1, units=6)
    return Transducer(20, tokens, encoder=encoder, predictor=5, joint=7, **options)


def alignments(model, frames, tokens):
    """-log p of the tokens, the sum over all orders of them and the blanks, in float64."""
    with torch.no_grad():
        said, _ = model.predictor(torch.tensor([[0, *tokens]]), torch.tensor([len(tokens) + 1]))
        logits = model.joint.output(torch.tanh(model.joint.heard(frames)[:, None] + said))
    scores, count = logits.double().log_softmax(-1), len(frames)
    totals = []
    for places in combinations(range(count - 1 + len(tokens)), len(tokens)):
        t = u = 0
        total = scores[count - 1, len(tokens), 0]  # the last step is a blank
        for step in range(count - 1 + len(tokens)):
            if step in places:
                total, u = total + scores[t, u, tokens[u]], u + 1
            else:
                total, t = total + scores[t, u, 0], t + 1
        totals.append(total)
    return -torch.stack(totals).logsumexp(0)


def test_the_loss_is_the_sum_over_all_alignments():
    model = small()
    encoded, lengths = 3 * torch.randn(3, 4, 6), torch.tensor([4, 2, 3])
    tokens, counts = torch.tensor([[1, 2, 2], [3, 0, 0], [1, 3, 0]]), torch.tensor([3, 1, 2])
    each = [
        alignments(model, frames[:t], text[:u].tolist()) / u
        for frames, t, text, u in zip(encoded, lengths, tokens, counts, strict=True)
    ]
    found = model.loss(encoded, lengths, tokens, counts, ctc)
    assert found.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-5)


def test_the_ctc_loss_is_added_and_needs_no_frames_for_a_text_that_only_a_transducer_can_say():
    plain, both = small(), small(ctc_weight=0.5)
    assert both.load_state_dict(plain.state_dict(), strict=False).missing_keys == ["encoder.output.weight"]
    encoded, tokens = torch.randn(1, 4, 6), torch.tensor([[1, 2, 3]])
    lengths, counts = torch.tensor([4]), torch.tensor([3])
    extra = ctc(both.encoder.output(encoded), lengths, tokens, counts)
    alone = plain.loss(encoded, lengths, tokens, counts, ctc)
    torch.testing.assert_close(both.loss(encoded, lengths, tokens, counts, ctc), alone + 0.5 * extra)
    short = torch.tensor([1])
    assert plain.frames_needed([1, 2, 3]) == 1
    alone = plain.loss(encoded[:, :1], short, tokens, counts, ctc)
    torch.testing.assert_close(both.loss(encoded[:, :1], short, tokens, counts, ctc), alone)


def test_the_loss_is_fp32_whatever_the_precision_of_the_rest():
    model = small(ctc_weight=0.3)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(torch.randn(1, 3, 6), torch.tensor([3]), torch.tensor([[1, 2]]), torch.tensor([2]), ctc)
    assert loss.dtype == torch.float32


def test_the_paper_has_its_size():
    with torch.device("meta"):
        model = build(compose("model=transducer_paper"), "model", features=80, tokens=29)
    assert parameters(model) == pytest.approx(132e6, rel=0.01)
    assert len(model.encoder.rnns) == 5 and model.encoder.output is None


def test_either_encoder_by_a_word():
    kinds = {
        word: type(build(compose(*word.split()), "model", features=80, tokens=29).encoder).__name__
        for word in ("model=transducer", "model=transducer_conformer", "model=transducer model@model.encoder=conformer")
    }
    assert list(kinds.values()) == ["DeepSpeech2", "Conformer", "Conformer"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("model.joint=0", "at least 1"),
        ("model.ctc_weight=-1", "-1"),
        ("model.encoder.layers=1.5", "whole number"),
        ("model@model.encoder=transformer", "not a Transformer"),
    ],
)
def test_what_will_not_do_is_said(word, said):
    with pytest.raises(UserError, match=said):
        build(compose("model=transducer", word), "model", features=80, tokens=29)
