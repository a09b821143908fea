import math

import pytest
import torch

from lth.lottery.setup.build import build
from lth.models.attention import key_mask
from lth.models.transformer import Transformer
from lth.training.losses import ctc
from tests.configs import compose

SIZES = {"channels": 4, "units": 16, "heads": 2, "feed_forward": 32, "encoder_layers": 2, "decoder_layers": 2}


def tiny(**options):
    torch.manual_seed(0)
    return Transformer(20, 7, **{**SIZES, "dropout": 0.0, **options})


def test_the_published_size():
    with torch.device("meta"):
        model = build(compose("model=transformer_paper"), "model", features=80, tokens=29)
    norm, d, inner = 2 * 512, 512, 2048
    attention = 4 * d * d + 3 * d  # the keys have no bias
    feed = 2 * d * inner + inner + d
    subsampling = (9 * d + d) + (9 * d * d + d) + (d * 19 * d + d)  # 80 bins: 39, 19
    encoder = 12 * (attention + feed + 2 * norm) + norm + (d * 29 + 29)
    decoder = 29 * d + 6 * (2 * attention + feed + 3 * norm) + norm + (d * 29 + 29)
    assert sum(p.numel() for p in model.parameters()) == subsampling + encoder + decoder


def test_the_loss_by_hand():
    model = tiny(ctc_weight=0.25, smoothing=0.2)
    x, lengths = torch.randn(2, 60, 20), torch.tensor([60, 47])
    texts = [[1, 2, 3], [6]]
    encoded, out = model(x, lengths)
    found = model.loss(encoded, out, torch.tensor([[1, 2, 3], [6, 0, 0]]), torch.tensor([3, 1]), ctc)
    expected = 0.0
    for n, text in enumerate(texts):
        alone, frames = model(x[n : n + 1, : lengths[n]], lengths[n : n + 1])
        aligned = ctc(model.ctc(alone), frames, torch.tensor([text]), torch.tensor([len(text)]))
        speech, mask = model.decoder.key_values(alone), key_mask(frames, alone.shape[1])
        total, said = 0.0, [0]
        for token in [*text, 0]:
            logits, _ = model.decoder(torch.tensor([said]), torch.tensor([len(said)]), speech, mask)
            scores = logits[0, -1].log_softmax(-1)
            total -= 0.8 * scores[token] + 0.2 * scores.mean()
            said.append(token)
        expected += (0.25 * aligned + 0.75 * total / (len(text) + 1)) / 2
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_token_by_token_equals_all_at_once():
    model = tiny().eval()
    encoded, lengths = model(torch.randn(2, 60, 20), torch.tensor([60, 47]))
    speech, mask = model.decoder.key_values(encoded), key_mask(lengths, encoded.shape[1])
    tokens = torch.tensor([[0, 3, 1, 1], [0, 2, 5, 4]])
    whole, _ = model.decoder(tokens, torch.tensor([4, 4]), speech, mask)
    kv_cache, steps = None, []
    for n in range(4):
        logits, kv_cache = model.decoder(tokens[:, n : n + 1], torch.tensor([1, 1]), speech, mask, kv_cache)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-4, atol=1e-5)


def test_a_token_does_not_see_those_after_it():
    model = tiny().eval()
    encoded, lengths = model(torch.randn(1, 60, 20), torch.tensor([60]))
    speech, mask = model.decoder.key_values(encoded), key_mask(lengths, encoded.shape[1])
    first, _ = model.decoder(torch.tensor([[0, 3, 1]]), torch.tensor([3]), speech, mask)
    other, _ = model.decoder(torch.tensor([[0, 3, 5]]), torch.tensor([3]), speech, mask)
    torch.testing.assert_close(first[:, :2], other[:, :2])
    assert not torch.allclose(first[:, 2], other[:, 2])


@pytest.mark.parametrize("frames", [7, 8, 10, 11, 60])
def test_frames_that_come_out(frames):
    model = tiny()
    encoded, lengths = model(torch.randn(1, frames, 20), torch.tensor([frames]))
    assert encoded.shape[1] == lengths.item() == model.out_length(frames) == math.ceil((frames - 6) / 4)


def test_layers_come_from_input_to_output():
    names = list(tiny().prunable())
    assert names[:5] == [
        "subsampling.conv1",
        "subsampling.conv2",
        "subsampling.linear",
        "encoder.0.attention",
        "encoder.0.feed",
    ]
    assert names[7:11] == ["ctc", "decoder.layers.0.text", "decoder.layers.0.speech", "decoder.layers.0.feed"]
    assert names[-1] == "decoder.output" and len(names) == 15
    assert tiny().prunable()["encoder.0.attention"] == [
        f"encoder.0.attention.{part}.weight" for part in ("q", "k", "v", "out")
    ]


@pytest.mark.parametrize("wrong", [{"ctc_weight": 0.0}, {"ctc_weight": 1.0}, {"smoothing": 1.0}, {"decoder_layers": 0}])
def test_a_choice_that_cannot_work(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        tiny(**wrong)
