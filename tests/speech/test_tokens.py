import pytest
import torch
from torch.nn.functional import ctc_loss

from lth.decoding.greedy import Greedy
from lth.models.ctc import ctc_frames
from lth.speech.tokens import CharacterTokens


def test_text_to_tokens_and_back():
    tokens = CharacterTokens.of(["ONE TWO", "TEN"])
    assert tokens.symbols == (" ", "E", "N", "O", "T", "W")
    assert len(tokens) == 7
    assert tokens.encode("TWO").tolist() == [5, 6, 4]
    assert tokens.decode(tokens.encode("TEN TOO").tolist()) == "TEN TOO"
    with pytest.raises(KeyError):
        tokens.encode("X")


def test_a_word_lies_between_two_spaces():
    tokens = CharacterTokens.of(["ONE TWO", "TEN"])
    text = tokens.encode("ONE  TEN").tolist()
    assert [tokens.begins_word(token) for token in text] == [False] * 3 + [True] * 2 + [False] * 3
    assert not tokens.begins_word(0)


@pytest.mark.parametrize("text", ["AB", "AAB", "ABBA", "AAAA", "A"])
def test_frames_needed_is_where_the_loss_becomes_finite(text):
    tokens = CharacterTokens("AB")
    target = tokens.encode(text)[None]
    needed = ctc_frames(target[0].tolist())
    for frames, finite in ((needed, True), (needed - 1, False)):
        if frames:
            scores = torch.zeros(frames, 1, 3).log_softmax(-1)
            loss = ctc_loss(scores, target, torch.tensor([frames]), torch.tensor([len(text)]))
            assert torch.isfinite(loss).item() == finite


def test_greedy_merges_repeats_and_drops_blanks():
    tokens = CharacterTokens(" AB")
    path = torch.tensor([[2, 2, 0, 2, 1, 1, 3, 3], [0, 3, 2, 2, 3, 3, 3, 3]])
    scores = torch.nn.functional.one_hot(path, 4).float()
    assert Greedy(tokens, "ctc")(None, scores, torch.tensor([8, 4])) == ["AA B", "BA"]
