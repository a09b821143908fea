"""ctcdecode through a stand-in that has its interface."""

import sys
import types

import pytest
import torch

from lth.decoding.ctcdecode import CTCDecode
from lth.decoding.ngram import estimate, write_arpa
from lth.errors import UserError
from lth.speech.tokens import CharacterTokens


@pytest.fixture
def asked(monkeypatch):
    """What the package is asked for; it answers with the best path."""
    asked = {}

    class CTCBeamDecoder:
        def __init__(self, labels, **options):
            asked.update(options, labels=labels)

        def decode(self, probabilities, lengths):
            assert probabilities.exp().sum(-1).allclose(torch.ones(())) and probabilities.device.type == "cpu"
            texts = []
            for path, length in zip(probabilities.argmax(-1), lengths, strict=True):
                merged = path[:length].unique_consecutive()
                texts.append(merged[merged != 0])
            sizes = torch.tensor([[len(text)] for text in texts])
            padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
            return padded[:, None].int(), None, None, sizes.int()

    monkeypatch.setitem(sys.modules, "ctcdecode", types.SimpleNamespace(CTCBeamDecoder=CTCBeamDecoder))
    return asked


def test_it_is_asked_in_its_own_words(asked, tmp_path):
    write_arpa(estimate(["A B", "B"], 2), tmp_path / "lm.arpa")
    decoder = CTCDecode(CharacterTokens(" AB"), "ctc", width=7, lm=str(tmp_path / "lm.arpa"), alpha=1.97, beta=4.36)
    assert asked["labels"] == ["_", " ", "A", "B"] and asked["blank_id"] == 0 and asked["log_probs_input"]
    assert (asked["beam_width"], asked["alpha"], asked["beta"]) == (7, 1.97, 4.36)
    path = torch.tensor([[2, 2, 0, 2, 1, 3], [3, 0, 0, 2, 2, 2]])
    logits = 9 * torch.nn.functional.one_hot(path, 4).float()
    assert decoder(None, logits, torch.tensor([6, 1])) == ["AA B", "B"]


def test_bad_files_and_tokens_are_said(asked, tmp_path):
    (tmp_path / "lm.arpa").write_text("nonsense")
    with pytest.raises(UserError, match="is damaged or no language model"):
        CTCDecode(CharacterTokens(" A"), "ctc", lm=str(tmp_path / "lm.arpa"))
    with pytest.raises(ValueError, match="without a space"):
        CTCDecode(CharacterTokens("A"), "ctc", lm=str(tmp_path / "lm.arpa"))
