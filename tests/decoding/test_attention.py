import pytest
import torch

from lth.decoding.attention import best_tokens
from lth.models.attention import key_mask
from lth.models.transformer import Transformer

SIZES = {"channels": 4, "units": 16, "heads": 2, "feed_forward": 32, "encoder_layers": 1, "decoder_layers": 2}


@pytest.fixture(scope="module")
def heard():
    """A model of random weights that says something else of every utterance, and four encoded utterances."""
    torch.manual_seed(2)
    model = Transformer(20, 6, **SIZES).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.normal_()
    return model, 3 * torch.randn(4, 15, 16), torch.tensor([15, 9, 13, 7])


@torch.no_grad()
def one_by_one(model, encoded, length):
    """Without a memory of what was computed before, for one utterance."""
    encoded, length, said = encoded[None, :length], length[None], [0]
    speech, mask = model.decoder.key_values(encoded), key_mask(length, encoded.shape[1])
    while len(said) <= length:
        logits, _ = model.decoder(torch.tensor([said]), torch.tensor([len(said)]), speech, mask)
        token = int(logits[0, -1].argmax())
        if token == 0:
            break
        said.append(token)
    return said[1:]


def test_greedy_is_what_it_would_be_alone(heard):
    model, encoded, lengths = heard
    expected = [one_by_one(model, encoded[n], lengths[n]) for n in range(4)]
    assert len({tuple(said) for said in expected}) > 1
    assert best_tokens(model, encoded, lengths) == expected


def test_greedy_ends_without_an_end(heard):
    model, encoded, lengths = heard
    with torch.no_grad():
        bias = model.decoder.output.bias[0].clone()
        model.decoder.output.bias[0] = -1e4
        found = best_tokens(model, encoded, lengths)
        model.decoder.output.bias[0] = bias
    assert [len(said) for said in found] == lengths.tolist()


def test_greedy_says_nothing_where_the_end_comes_first(heard):
    model, encoded, lengths = heard
    with torch.no_grad():
        bias = model.decoder.output.bias[0].clone()
        model.decoder.output.bias[0] = 1e4
        found = best_tokens(model, encoded, lengths)
        model.decoder.output.bias[0] = bias
    assert found == [[]] * 4
