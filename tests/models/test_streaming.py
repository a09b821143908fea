"""A causal model heard in parts against the same model over the whole utterance."""

import pytest
import torch

from lth.models.conformer import Conformer
from lth.models.deepspeech2 import CELLS, DeepSpeech2
from lth.models.residual import ResidualDeepSpeech2
from lth.models.streaming import Stream, Window
from tests.models.test_deepspeech2 import CONV, settle

NO_PADDING = [{"channels": 3, "kernel": (5, 7), "stride": (2, 3), "padding": (0, 0)}]


def model(rnn, lookahead, conv=CONV):
    torch.manual_seed(0)
    made = DeepSpeech2(20, 7, conv=conv, rnn=rnn, layers=2, units=9, bidirectional=False, lookahead=lookahead)
    settle(made, torch.tensor([40, 33]), torch.randn(2, 40, 20))
    return made


def streamed(made, x, sizes):
    stream, found, first = Stream(made), [], 0
    for size in sizes:
        found.append(stream(x[:, first : first + size]))
        first += size
    found.append(stream(x[:, first:], last=True))
    return found


@pytest.mark.parametrize("rnn", CELLS)
@pytest.mark.parametrize("lookahead", [0, 5])
@pytest.mark.parametrize("sizes", [[1] * 99, [100], [0, 3, 40, 0, 41], []])
def test_parts_of_any_size_give_the_logits_of_the_whole(rnn, lookahead, sizes):
    made, x = model(rnn, lookahead), torch.randn(2, 100, 20)
    with torch.no_grad():
        whole, (frames, _) = made(x, torch.tensor([100, 100]))
    found = torch.cat(streamed(made, x, sizes), 1)
    assert found.shape == whole.shape == (2, frames, 7)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3, 17])
def test_short_utterances_and_no_padding(frames):
    for made in (model("mingru", 4), model("lstm", 2, NO_PADDING)):
        x = torch.randn(1, frames, 20)
        expected = max(0, made.out_length(frames))
        found = torch.cat(streamed(made, x, [1] * (frames - 1)), 1)
        assert found.shape[1] == expected
        if expected:
            with torch.no_grad():
                torch.testing.assert_close(found, made(x, torch.tensor([frames]))[0], rtol=1e-4, atol=1e-4)


def test_two_thousand_steps():
    made, x = model("minlstm", 0), torch.randn(1, 4000, 20)
    with torch.no_grad():
        whole, _ = made(x, torch.tensor([4000]))
    torch.testing.assert_close(torch.cat(streamed(made, x, [8] * 499), 1), whole, rtol=1e-4, atol=1e-4)


def test_nothing_waits_longer_than_it_has_to():
    """After t frames every logit is out that frames after t cannot change, and no other."""
    made, x = model("gru", 5), torch.randn(1, 60, 20)
    with torch.no_grad():
        whole, _ = made(x, torch.tensor([60]))
    for t in (1, 9, 20, 33, 59):
        out = Stream(made)(x[:, :t]).shape[1]
        other = torch.cat([x[:, :t], torch.randn(1, 60 - t, 20)], 1)
        with torch.no_grad():
            changed, _ = made(other, torch.tensor([60]))
        same = torch.isclose(changed, whole, atol=1e-6).all(-1)[0]
        assert same[:out].all()
        assert not same[out]


def test_only_causal_models_that_are_trained():
    both = DeepSpeech2(20, 7, conv=CONV, layers=1, units=4)
    with pytest.raises(ValueError, match="only a causal DeepSpeech2"):
        Stream(both.eval())
    for other in (Conformer(20, 7, layers=1, units=8), ResidualDeepSpeech2(20, 7, channels=2, layers=1, units=4)):
        with pytest.raises(ValueError, match=f"only a causal DeepSpeech2 .* is a {type(other).__name__}"):
            Stream(other.eval())
    with pytest.raises(ValueError, match=r"call eval\(\) first"):
        Stream(model("lstm", 2).train())
    with pytest.raises(ValueError, match="cannot be streamed"):
        Window(2, 3)
