from itertools import product

import pytest
import torch

from lth.decoding.attention import best_tokens
from lth.decoding.attention_beam import AttentionBeam
from lth.decoding.ngram import estimate, write_arpa
from lth.errors import UserError
from lth.models.attention import key_mask
from lth.models.transformer import Transformer
from lth.speech.bpe import BPETokens
from lth.speech.tokens import CharacterTokens

SIZES = {"channels": 4, "units": 16, "heads": 2, "feed_forward": 32, "encoder_layers": 1, "decoder_layers": 2}
TOKENS = CharacterTokens(" AB")
PIECES = BPETokens(["\u2581A", "B", "\u2581"])
NO_SPACES = CharacterTokens("ABC")
FRAMES = 3


class Words:
    """A language model that knows A, and what came before."""

    start = "<s>"

    def word(self, state, word):
        return {"A": -0.5, "B": -2.5}.get(word, -4.0) - 0.3 * (state == word), word

    def end(self, state):
        return -0.2 if state == "B" else -1.2


@pytest.fixture(scope="module")
def heard():
    """Models of random weights, and a few frames each."""
    found = []
    for seed in range(4):
        torch.manual_seed(seed)
        model = Transformer(20, len(TOKENS), **SIZES).eval()
        with torch.no_grad():
            for parameter in (*model.decoder.parameters(), *model.ctc.parameters()):
                parameter.normal_()
            model.decoder.output.bias[0] -= 8.0  # no text is as short as can be
        found.append((model, 3 * torch.randn(1, FRAMES, 16)))
    return found


@torch.no_grad()
def worth(model, encoded, text, ctc_weight, lm, alpha, beta, tokens=TOKENS):
    """Of a whole text, with nothing remembered: torch's CTC loss, one pass of the decoder, words by splitting."""
    speech, mask = model.decoder.key_values(encoded), key_mask(torch.tensor([FRAMES]), FRAMES)
    logits, _ = model.decoder(torch.tensor([[0, *text]]), torch.tensor([len(text) + 1]), speech, mask)
    attention = logits[0].log_softmax(-1)[range(len(text) + 1), [*text, 0]].sum()
    scores = model.ctc(encoded)[0].log_softmax(-1)[:, None]
    lengths = torch.tensor([FRAMES]), torch.tensor([len(text)])
    ctc = -torch.nn.functional.ctc_loss(scores, torch.tensor([text], dtype=torch.long), *lengths, reduction="sum")
    total = (1 - ctc_weight) * attention + (ctc_weight * ctc if ctc_weight else 0.0)
    state = lm.start if lm else None
    for word in tokens.decode(text) if tokens is NO_SPACES else tokens.decode(text).split():
        score, state = lm.word(state, word) if lm else (0.0, None)
        total += alpha * score + beta
    return float(total + (alpha * lm.end(state) if lm else 0.0))


@pytest.mark.parametrize("ctc_weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("lm", "beta"), [(None, 0.0), (Words(), 0.0), (Words(), 0.7), (None, -0.5)])
@pytest.mark.parametrize("tokens", [TOKENS, PIECES], ids=["characters", "pieces"])
def test_with_full_width_it_finds_the_best_of_all_texts(heard, ctc_weight, lm, beta, tokens):
    beam = AttentionBeam(tokens, "attention", width=100, candidates=3, ctc_weight=ctc_weight, alpha=0.8, beta=beta)
    beam.lm = lm
    texts = [text for length in range(FRAMES + 1) for text in product(range(1, 4), repeat=length)]
    answers = set()
    for model, encoded in heard:
        values = {text: worth(model, encoded, text, ctc_weight, lm, 0.8, beta, tokens) for text in texts}
        found = beam.search(model, encoded)
        assert values[found] == pytest.approx(max(values.values()), abs=1e-4)
        answers.add(found)
    assert len(answers) > 1


@pytest.mark.parametrize("ctc_weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_every_character_is_a_word_where_there_are_no_spaces(heard, ctc_weight, beta):
    test_with_full_width_it_finds_the_best_of_all_texts(heard, ctc_weight, Words(), beta, NO_SPACES)


def test_one_wide_and_without_ctc_it_is_greedy(heard):
    beam = AttentionBeam(TOKENS, "attention", width=1, candidates=3, ctc_weight=0.0)
    for model, encoded in heard:
        (greedy,) = best_tokens(model, encoded, torch.tensor([FRAMES]))
        text = tuple(greedy)
        found = beam.search(model, encoded)
        assert found == text[: len(found)]  # it takes the best end on the way, greedy the first likeliest one
        assert worth(model, encoded, found, 0.0, None, 0, 0) >= worth(model, encoded, text, 0.0, None, 0, 0) - 1e-4


def test_an_utterance_in_a_batch(heard):
    model, _ = heard[2]
    beam = AttentionBeam(TOKENS, "attention", width=3)
    encoded, lengths = torch.randn(3, 9, 16), torch.tensor([9, 4, 6])
    alone = [beam(model, encoded[n : n + 1, :length], length[None])[0] for n, length in enumerate(lengths)]
    assert beam(model, encoded, lengths) == alone


def test_a_model_of_other_words_is_refused_where_every_character_is_a_word(tmp_path):
    for name, sentences in (("words", ["AB BA", "BA"]), ("characters", ["A B", "B B A"])):
        write_arpa(estimate(sentences, 2), tmp_path / name)
    AttentionBeam(NO_SPACES, "attention", lm=str(tmp_path / "characters"))
    AttentionBeam(TOKENS, "attention", lm=str(tmp_path / "words"))
    with pytest.raises(UserError, match=r"words knows none of the model's characters .* `python -m lth ngram"):
        AttentionBeam(NO_SPACES, "attention", lm=str(tmp_path / "words"))


@pytest.mark.parametrize("wrong", [{"width": 0}, {"ctc_weight": 1.5}, {"alpha": -1.0}, {"candidates": 0}])
def test_an_option_that_cannot_work(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AttentionBeam(TOKENS, "attention", **wrong)
