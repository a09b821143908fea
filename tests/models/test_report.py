"""What a model costs and sees, against counts by hand."""

import json

import pytest
import torch

from lth.commands.describe import describe
from lth.errors import UserError
from lth.lottery.setup import names
from lth.lottery.setup.build import build
from lth.models.attention import Attention, key_mask
from lth.models.conformer import Block
from lth.models.deepspeech2 import DeepSpeech2
from lth.models.report import macs, receptive_field, report
from tests.configs import compose
from tests.models.small import SMALL

CONV = [{"channels": 3, "kernel": (5, 5), "stride": (2, 2)}, {"channels": 4, "kernel": (3, 3), "stride": (2, 1)}]


@pytest.mark.parametrize("rnn, gates", [("lstm", 4), ("gru", 3), ("mingru", None)])
def test_macs_of_deepspeech2_by_hand(rnn, gates):
    frames, bins, units, tokens = 100, 20, 6, 7
    model = DeepSpeech2(bins, tokens, conv=CONV, rnn=rnn, layers=2, units=units, bidirectional=True)
    first = (10 * 50) * 3 * 25  # 10 bins, 50 frames, 3 channels, a kernel of 25 on one channel
    second = (5 * 50) * 4 * 3 * 9
    steps = 50
    if gates:
        each = [gates * units * (inputs + units) for inputs in (4 * 5, units)]
    else:
        each = [2 * units * inputs for inputs in (4 * 5, units)]
    expected = first + second + 2 * steps * sum(each) + steps * units * tokens
    assert macs(model, frames, bins) == expected


def test_macs_of_attention_by_hand():
    """Four projections, scores and their sums."""

    class One(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = Attention(8, 2, 0.0)

        def forward(self, x, lengths):
            return self.attention(x, self.attention.key_value(x)), lengths

    assert macs(One(), 30, 8) == 4 * 30 * 8 * 8 + 2 * 30 * 30 * 8


def test_macs_of_a_conformer_block_by_hand():
    """Two half-steps of two matrices, attention, a gated pointwise, a depthwise and a pointwise convolution."""
    frames, units, hidden, kernel = 30, 8, 20, 5

    class One(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block(units, 2, hidden, kernel, 0.0)

        def forward(self, x, lengths):
            valid = torch.ones(1, frames, dtype=torch.bool)
            return self.block(x, valid, key_mask(lengths, frames)), lengths

    attention = 4 * frames * units**2 + 2 * frames**2 * units
    convolution = frames * units * (2 * units + kernel + units)
    assert macs(One(), frames, units) == 2 * 2 * frames * units * hidden + attention + convolution


def test_the_receptive_field_of_convolutions_alone_by_hand():
    """Kernels of 5 and 3, strides of 2 and 1, half-padded: output t sees the inputs from 2t - 4 to 2t + 4, and stands
    for 2t and 2t + 1, of which the later is its own."""

    class Convs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = torch.nn.Conv1d(6, 4, 5, 2, 2), torch.nn.Conv1d(4, 3, 3, 1, 1)

        def out_length(self, length):
            return (length - 1) // 2 + 1

        def forward(self, x, lengths):
            return self.two(self.one(x.transpose(1, 2))).transpose(1, 2), self.out_length(lengths)

    assert receptive_field(Convs(), 6) == (5, 3)


def test_the_receptive_field_by_hand():
    options = {"conv": CONV, "rnn": "gru", "layers": 1, "units": 6, "bidirectional": False}
    before, after = receptive_field(DeepSpeech2(20, 7, lookahead=3, **options), 20)
    # 3 frames of lookahead and 1 of the second convolution at stride 2, 2 of the first; its frame is the later of two
    assert before is None and after == (3 + 1) * 2 + 2 - 1
    assert receptive_field(DeepSpeech2(20, 7, conv=CONV, rnn="lstm", layers=1, units=6), 20) == (None, None)


@pytest.mark.parametrize("rnn", ["lstm", "mingru"])
@pytest.mark.parametrize("lookahead", [30, 200, 900])
def test_a_field_longer_than_the_first_window_ends_where_it_ends(rnn, lookahead):
    options = {"conv": CONV, "rnn": rnn, "layers": 2, "units": 6, "bidirectional": False}
    assert receptive_field(DeepSpeech2(20, 7, lookahead=lookahead, **options), 20) == (None, (lookahead + 1) * 2 + 1)


def test_a_field_beyond_the_longer_window_is_not_given_a_number():
    options = {"conv": CONV, "rnn": "gru", "layers": 1, "units": 6, "bidirectional": False}
    assert receptive_field(DeepSpeech2(20, 7, lookahead=1000, **options), 20) == (None, None)


@pytest.mark.parametrize("cell", [torch.nn.LSTM, torch.nn.GRU])
def test_a_recurrent_layer_of_both_directions_sees_both_ways(cell):
    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = cell(6, 4, batch_first=True, bidirectional=True)
            self.output = torch.nn.Linear(8, 3)

        def forward(self, x, lengths):
            return self.output(self.rnn(x)[0]), lengths

    assert receptive_field(Recurrent(), 6) == (None, None)


@pytest.mark.parametrize("name", SMALL)
def test_every_model_is_reported_and_nothing_is_drawn(name):
    made = build(compose(*SMALL[name]), "model", features=80, tokens=9)
    parameters = dict(made.named_parameters())
    state = torch.random.get_rng_state()
    found = report(made, 80)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert found.parameters == sum(p.numel() for p in parameters.values())
    assert found.prunable == sum(parameters[n].numel() for names in made.prunable().values() for n in names)
    assert found.macs > 0 and 0 < found.frames <= 1


def test_the_command(capsys):
    said = describe(names.compose(["strategy=layerwise", "json=true", "strategy.ratios=[1,2]"], "describe"))
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(said))
    assert [one["group"] for one in said["layers"]] == sorted(one["group"] for one in said["layers"])
    assert {one["group"] for one in said["layers"]} == {1, 2} and said["frames_per_second"] == 25
    describe(names.compose(["model=deepspeech2_streaming"], "describe"))
    assert "a frame sees more than 19 s before it and 0.84 s after it" in capsys.readouterr().out
    describe(names.compose(["model=deepspeech2_streaming", "model.lookahead=80"], "describe"))
    # 4 frames for each of lookahead, and 2 + 4 of the convolutions, seen from the third of the 4 it stands for
    assert "before it and 3.24 s after it" in capsys.readouterr().out
    with pytest.raises(UserError, match="classes=1 is no number of classes"):
        describe(names.compose(["classes=1"], "describe"))
