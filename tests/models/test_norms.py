"""Norms of inputs against products worked out: a norm is what a weight alone would contribute."""

from functools import partial

import pytest
import torch
from torch import nn

from lth.models.conformer import Conformer
from lth.models.deepspeech2 import DeepSpeech2
from lth.models.norms import InputNorms
from lth.models.transducer import Transducer
from lth.models.transformer import Transformer
from lth.training.losses import ctc

SIZES = {"channels": 2, "units": 6, "heads": 2, "feed_forward": 7, "encoder_layers": 1, "decoder_layers": 1}
CONV = [{"channels": 3, "kernel": [5, 3], "stride": [2, 2]}, {"channels": 2, "kernel": [3, 3], "stride": [2, 1]}]


def small(**options):
    torch.manual_seed(0)
    return DeepSpeech2(13, 6, conv=CONV, layers=2, units=7, **options).eval()


def norms_of(model, batches):
    with InputNorms(model) as inputs, torch.no_grad():
        for x, lengths in batches:
            model(x, lengths)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    return inputs.norms()


def utterances(lengths):
    torch.manual_seed(1)
    return [torch.randn(1, length, 13) for length in lengths]


def padded(some):
    lengths = torch.tensor([x.shape[1] for x in some])
    return torch.cat([nn.functional.pad(x, (0, 0, 0, int(lengths.max()) - x.shape[1])) for x in some]), lengths


@pytest.mark.parametrize("options", [{}, {"rnn": "gru"}, {"bidirectional": False, "lookahead": 2}], ids=str)
def test_every_prunable_parameter_has_its_norms_and_padding_no_part_in_them(options):
    model, some = small(**options), utterances([40, 23, 31])
    together = norms_of(model, [padded(some)])
    alone = norms_of(model, [(x, torch.tensor([x.shape[1]])) for x in some])
    names = [name for layer in model.prunable().values() for name in layer]
    assert sorted(together) == sorted(names)
    parameters = dict(model.named_parameters())
    for name in names:
        assert together[name].shape == (1, *parameters[name].shape[1:])
        assert torch.allclose(together[name], alone[name], rtol=1e-4)


def test_a_convolutions_norms_are_those_of_its_unfolded_patches():
    for options in ({}, {"stride": (2, 1), "padding": (1, 2)}, {"dilation": (2, 1), "padding": 1}):
        model = Alone(nn.Conv2d(2, 3, (3, 2), **options))
        x = torch.randn(2, 2, 9, 8)
        given = {"padding": 0, "stride": 1, "dilation": 1} | options
        patches = nn.functional.unfold(x, (3, 2), **given)  # (B, 2 * 3 * 2, places)
        by_hand = patches.square().sum((0, 2)).sqrt().view(1, 2, 3, 2)
        assert torch.allclose(norms_of(model, [(x, torch.tensor([8, 8]))])["it.weight"], by_hand, rtol=1e-4)


class Alone(nn.Module):
    """One module as a model of its own."""

    def __init__(self, module):
        super().__init__()
        self.it = module

    def forward(self, x, lengths):
        return self.it(x), lengths

    def out_length(self, length):
        return length


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_recurrent_matrix_weighs_the_states_of_the_step_before(kind):
    rnn = kind(4, 3, batch_first=True)
    lengths = torch.tensor([5, 2])
    x = torch.randn(2, 5, 4)
    found = norms_of(Alone(rnn), [(x, lengths)])
    inputs, states = [], []
    for b, length in enumerate(lengths):
        state = torch.zeros(3)
        outputs = rnn(x[b : b + 1])[0][0]
        for t in range(length):
            inputs.append(x[b, t])
            states.append(state)
            state = outputs[t]
    assert torch.allclose(found["it.weight_ih_l0"][0], torch.stack(inputs).norm(dim=0))
    assert torch.allclose(found["it.weight_hh_l0"][0], torch.stack(states).norm(dim=0))


def test_what_is_not_known_is_refused():
    x, lengths = torch.randn(2, 5, 4), torch.tensor([5, 5])
    with pytest.raises(ValueError, match="one layer and one direction"):
        norms_of(Alone(nn.LSTM(4, 3, bidirectional=True, batch_first=True)), [(x, lengths)])
    with pytest.raises(ValueError, match="in groups"):
        norms_of(Alone(nn.Conv2d(4, 4, 1, groups=2)), [(torch.randn(1, 4, 5, 5), lengths[:1])])


#: Tokens of three utterances, and how many.
TEXTS = torch.tensor([[1, 2, 3], [4, 0, 0], [2, 1, 0]]), torch.tensor([3, 1, 2])


def norms_of_training(model):
    """The norms of everything prunable while the loss of a padded batch is computed: padding has no part in them."""
    some = [torch.randn(1, length, 20) for length in (40, 23, 31)]

    def norms(batches):
        with InputNorms(model) as inputs, torch.no_grad():
            for x, lengths, tokens, token_lengths in batches:
                model.loss(*model(x, lengths), tokens, token_lengths, ctc)
        return inputs.norms()

    together = norms([(*padded(some), *TEXTS)])
    expected = norms(
        (x, torch.tensor([x.shape[1]]), tokens[:length][None], length[None])
        for x, tokens, length in zip(some, *TEXTS, strict=True)
    )
    assert sorted(together) == sorted(name for layer in model.prunable().values() for name in layer)
    for name, found in together.items():
        torch.testing.assert_close(found, expected[name], rtol=1e-4, atol=1e-6)
    return some, together


def test_a_transformers_norms_leave_out_the_padding_of_frames_and_of_tokens():
    torch.manual_seed(0)
    model = Transformer(20, 5, **SIZES).eval()
    _, together = norms_of_training(model)
    # By hand: what the first matrix of the decoder weighs are normalised embeddings at their places.
    decoder, total = model.decoder, 0.0
    for tokens, length in zip(*TEXTS, strict=True):
        said = torch.tensor([[0, *tokens[:length].tolist()]])
        total += decoder.layers[0].text_norm(decoder.positions(decoder.embedding(said)))[0].square().sum(0)
    torch.testing.assert_close(together["decoder.layers.0.text.v.weight"][0], total.sqrt().detach())


def test_a_conformers_norms_leave_out_padding():
    torch.manual_seed(0)
    model = Conformer(20, 5, channels=2, layers=1, units=6, heads=2, feed_forward=7, kernel=3, prunable="all").eval()
    some, together = norms_of_training(model)
    # By hand: what the pointwise convolution weighs are the normalised frames after attention.
    block, total = model.blocks[0], 0.0
    for x in some:
        frames = block.before(model.subsampling(x))
        y = block.attention_norm(frames)
        total += block.convolution.norm(frames + block.attention(y, block.attention.key_value(y)))[0].square().sum(0)
    torch.testing.assert_close(together["blocks.0.convolution.gated.weight"][0], total.sqrt().detach())


def test_norms_leave_out_padding_at_every_frame_rate():
    torch.manual_seed(0)
    stages = {"convolutions": 1, "layers": [1, 2], "units": [6, 8], "feed_forward": [7, 9]}
    norms_of_training(Conformer(20, 5, channels=2, heads=2, kernel=3, prunable="all", **stages).eval())


def test_a_transducers_norms_leave_out_pairs_of_padding():
    torch.manual_seed(0)
    conv = [{"channels": 2, "kernel": [5, 3], "stride": [4, 2]}]
    model = Transducer(
        20, 5, encoder=partial(DeepSpeech2, conv=conv, layers=1, units=6), predictor=4, joint=7, ctc_weight=0.3
    ).eval()
    some, together = norms_of_training(model)
    # By hand: what the joint's output weighs are all its hidden units for every frame and every token.
    total = 0.0
    for x, tokens, length in zip(some, *TEXTS, strict=True):
        heard, _ = model(x, torch.tensor([x.shape[1]]))
        said, _ = model.predictor(torch.tensor([[0, *tokens[:length].tolist()]]), length[None] + 1)
        for frame in model.joint.heard(heard)[0]:
            for step in said[0]:
                total += torch.tanh(frame + step).square()
    torch.testing.assert_close(together["joint.output.weight"][0], total.sqrt().detach(), rtol=1e-4, atol=1e-6)
