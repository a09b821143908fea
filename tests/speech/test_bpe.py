import re

import pytest
import sentencepiece

from lth.errors import UserError
from lth.lottery.setup.setting import prepare
from lth.speech import bpe
from lth.speech.bpe import BPETokens
from lth.speech.tokens import CharacterTokens
from tests.configs import TINY, compose

TEXTS = ["LOW LOW LOW LOWER LOWER NEWEST NEWEST", "NEWEST NEWEST WIDEST WIDEST THE LOWEST", "A WIDER NEW LOW"] * 3


def test_text_to_pieces_and_back():
    tokens = BPETokens.of(TEXTS, size=25)
    assert len(tokens.symbols) == 25 and len(tokens) == 26
    for text in (*TEXTS, "REST WELT", "A"):
        found = tokens.encode(text).tolist()
        assert min(found) >= 1 and tokens.decode(found) == text
    assert len(tokens.encode(TEXTS[0])) < len(TEXTS[0])


def test_merges_by_hand():
    # as in section 3.2 the most frequent pair first: a word's beginning with A, four times, then that with B, thrice
    tokens = BPETokens.of(["AB AB AB AC"], size=6)
    assert tokens.symbols[:2] == (bpe.SPACE + "A", bpe.SPACE + "AB")
    assert sorted(tokens.symbols[2:]) == sorted([bpe.SPACE, "A", "B", "C"])


def test_the_key_is_all_of_it():
    first, second = BPETokens.of(TEXTS, size=22), BPETokens.of(list(TEXTS), size=22)
    assert first.key == second.key != BPETokens.of(TEXTS, size=21).key
    again = bpe.of_key(first.key)
    assert isinstance(again, BPETokens) and again.symbols == first.symbols
    for text in TEXTS:
        assert again.encode(text).tolist() == first.encode(text).tolist()
    assert isinstance(bpe.of_key("ABC "), CharacterTokens)


def test_pieces_are_those_of_the_model_that_was_trained(tmp_path):
    """What is made from the key again encodes as sentencepiece's own file does."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_prefix=str(tmp_path / "own"),
        model_type="bpe",
        vocab_size=24,
        character_coverage=1.0,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        minloglevel=3,
    )
    own = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "own.model"))
    tokens = BPETokens.of(TEXTS, size=23)
    for text in (*TEXTS, "WEST", "THE WIDE NEW LOWER"):
        assert tokens.encode(text).tolist() == own.encode(text)


def test_a_word_begins_with_its_first_piece():
    tokens = BPETokens.of(TEXTS, size=25)
    found = tokens.encode("THE NEWEST LOW").tolist()
    starts = [n for n, token in enumerate(found) if tokens.begins_word(token)]
    ends = [*starts[1:], len(found)]
    words = [tokens.decode(found[start:end]) for start, end in zip(starts, ends, strict=True)]
    assert words == ["THE", "NEWEST", "LOW"] and starts[0] == 0


def test_too_many_pieces_names_the_largest_number_there_is():
    with pytest.raises(UserError, match=r"text.size=5000 is more than .* give text.size=\d+ or less") as error:
        BPETokens.of(TEXTS, size=5000)
    largest = int(re.search(r"(\d+) or less", str(error.value))[1])
    assert len(BPETokens.of(TEXTS, size=largest).symbols) == largest
    with pytest.raises(UserError, match="or less"):
        BPETokens.of(TEXTS, size=largest + 1)


def test_too_few_pieces_names_the_smallest_number_there_is():
    with pytest.raises(UserError, match=r"text.size=3 is less than .* give text.size=\d+ or more") as error:
        BPETokens.of(TEXTS, size=3)
    least = int(re.search(r"(\d+) or more", str(error.value))[1])
    assert len(BPETokens.of(TEXTS, size=least).symbols) == least == len({*"".join(TEXTS)})


def test_further_characters():
    with pytest.raises(KeyError, match="Z"):
        BPETokens.of(TEXTS, size=25).encode("ZOE")
    tokens = BPETokens.of(TEXTS, "ZX ", size=25)
    assert tokens.decode(tokens.encode("ZOX LOW").tolist()) == "ZOX LOW"
    assert {"Z", "X", "L", " "} <= set(tokens.characters)


def test_a_worker_gets_them_whole():
    import pickle

    tokens = BPETokens.of(TEXTS, size=25)
    tokens.encode("LOW")
    again = pickle.loads(pickle.dumps(tokens))
    assert again.encode(TEXTS[0]).tolist() == tokens.encode(TEXTS[0]).tolist()


@pytest.fixture(scope="module")
def words(cache):
    return (*TINY, f"corpus.cache={cache}")


def test_the_setting_has_them(words):
    setting = prepare(compose("text=bpe", "text.size=40", *words))
    assert len(setting.tokens) == 41 and setting.key_inputs("", setting.dense())["tokens"] == setting.tokens.key
    assert setting.init["output.weight"].shape[0] == 41
    with pytest.raises(UserError, match=r"^text.size=9000 is more"):
        prepare(compose("text=bpe", "text.size=9000", *words))
    with pytest.raises(UserError, match=r"size=1.5 is not a whole number"):
        prepare(compose("text=bpe", "text.size=1.5", *words))


def test_a_tickets_tokens_are_taken_where_they_are_what_was_asked_for(words):
    own = prepare(compose("text=bpe", "text.size=40", *words)).tokens
    theirs = BPETokens(reversed(own.symbols))
    assert prepare(compose("text=bpe", "text.size=40", *words), theirs.key).tokens.key == theirs.key
    assert prepare(compose("text=bpe", "text.size=41", *words), theirs.key).tokens.size == 41
    assert isinstance(prepare(compose(*words), theirs.key).tokens, CharacterTokens)
    few = BPETokens.of(["ABC"], size=4)
    assert prepare(compose("text=bpe", "text.size=40", *words), few.key).tokens.key == own.key


def test_a_text_with_another_character_is_named_and_tokens_adds_it(words, monkeypatch):
    some = ["TWO ONE"] * 5
    monkeypatch.setattr("lth.lottery.setup.setting._texts", lambda _: some)
    with pytest.raises(UserError, match=r"contains the character '[A-Z]' .* correct the text or add it to tokens="):
        prepare(compose("text=bpe", "text.size=8", *words))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    setting = prepare(compose("text=bpe", f"text.size={len(letters) + 2}", f"tokens={letters}", *words))
    assert setting.tokens.size == len(letters) + 2 and set(letters) <= set(setting.tokens.characters)
