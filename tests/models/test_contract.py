"""What every model must be; see ``lth.models.ctc``."""

from functools import partial

import pytest
import torch

from lth.lottery.setup.build import build
from lth.lottery.setup.names import code, names
from lth.models.lengths import valid_frames
from lth.speech.tokens import CharacterTokens
from lth.training.losses import ctc
from tests.configs import compose
from tests.models.small import SMALL

BINS, TOKENS = 80, 9


@pytest.fixture(params=SMALL)
def model(request):
    torch.manual_seed(0)
    return build(compose(*SMALL[request.param]), "model", features=BINS, tokens=TOKENS)


def batch(lengths, seed: int = 1):
    """Features, their lengths, tokens (never twice the same in a row) and theirs."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor(lengths)
    x = torch.randn(len(lengths), int(lengths.max()), BINS, generator=generator)
    tokens = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0], [8, 1, 0, 0]])[: len(lengths)]
    return x * valid_frames(lengths, x.shape[1])[..., None], lengths, tokens, torch.tensor([4, 3, 2])[: len(lengths)]


def settle(model, x, lengths):
    """A few training passes, so that normalisation statistics are not those of the init."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(x, lengths)


def test_an_utterance_alone_and_in_any_batch(model):
    x, lengths, *_ = batch([120, 77, 93])
    settle(model, x, lengths)
    model.eval()
    together, out = model(x, lengths)
    for n, length in enumerate(lengths.tolist()):
        alone, (frames,) = model(x[n : n + 1, :length], lengths[n : n + 1])
        assert frames == out[n] == model.out_length(length)
        torch.testing.assert_close(together[n, :frames], alone[0], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_utterance_is_heard_alone_as_in_any_batch(model):
    x, lengths, *_ = batch([120, 77, 93])
    settle(model, x, lengths)
    for p in model.eval().parameters():
        p.mul_(1.5)  # so that there is something to hear
    encoded = model(x, lengths)
    for name in (name for name in names("decoder") if name != "ctcdecode"):
        config = compose(f"decoder={name}")
        if model.family not in code("decoder", config.decoder).families:
            continue
        decode = build(config, "decoder", tokens=CharacterTokens("abcdefg "), family=model.family)
        together = decode(model, *encoded)
        one_by_one = [
            decode(model, *model(x[n : n + 1, :length], lengths[n : n + 1]))[0]
            for n, length in enumerate(lengths.tolist())
        ]
        assert together == one_by_one, name
        assert any(together), name


def test_padding_does_not_reach_the_training_signal(model):
    x, lengths, tokens, token_lengths = batch([120, 93])
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.MultiheadAttention):
            module.p = module.dropout = 0.0
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    results = []
    for extra in (0, 40):
        model.load_state_dict(start)
        model.zero_grad()
        encoded, out = model.train()(torch.nn.functional.pad(x, (0, 0, 0, extra)), lengths)
        model.loss(encoded, out, tokens, token_lengths, ctc).backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        results.append(gradients | {name: b.clone() for name, b in model.named_buffers()})
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_every_parameter_learns(model):
    x, lengths, tokens, token_lengths = batch([120, 77, 93])
    encoded, out = model.train()(x, lengths)
    model.loss(encoded, out, tokens, token_lengths, ctc).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_loss_falls(model):
    x, lengths, tokens, token_lengths = batch([120, 77, 93])
    optimiser = torch.optim.AdamW(model.train().parameters(), 3e-3)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        encoded, out = model(x, lengths)
        losses.append(model.loss(encoded, out, tokens, token_lengths, ctc))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.7 * losses[0]


def test_a_dev_utterance_too_short_for_its_text_does_not_break_the_loss(model):
    x, lengths, tokens, token_lengths = batch([120, 93])
    tokens, token_lengths = tokens.repeat(1, 40), token_lengths * 40
    encoded, out = model.eval()(x, lengths)
    assert model.frames_needed(tokens[0].tolist()) >= 1
    loss = model.loss(encoded, out, tokens, token_lengths, partial(ctc, zero_infinity=True))
    assert torch.isfinite(loss)


def test_prunable_weights_are_matrices_and_each_has_one_layer(model):
    parameters = dict(model.named_parameters())
    names = [name for layer in model.prunable().values() for name in layer]
    assert len(names) == len(set(names)) and len(model.prunable()) >= 3
    assert all(parameters[name].dim() >= 2 for name in names)
    assert sum(parameters[name].numel() for name in names) > 0.7 * sum(p.numel() for p in parameters.values())
    assert model.family in ("ctc", "transducer", "attention")
