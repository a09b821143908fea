"""Modified Kneser-Ney against hand-worked values, its own laws, and what KenLM reads."""

import math
import random

import pytest
import torch

from lth.commands.ngram import make
from lth.decoding.beam import Beam
from lth.decoding.language import LanguageModel
from lth.decoding.ngram import END, START, UNKNOWN, _discounts, estimate, in_units, write_arpa
from lth.errors import UserError
from lth.lottery.setup import names
from lth.speech.tokens import CharacterTokens

TOY = ["a b", "a c", "a b"]


def text(words: int = 30, sentences: int = 400, seed: int = 0) -> list[str]:
    """Sentences whose words follow Zipf's law and each other."""
    draw = random.Random(seed)
    found = []
    for _ in range(sentences):
        sentence, last = [], 0
        for _ in range(draw.randint(1, 9)):
            last = (last + min(int(draw.paretovariate(0.8)), words)) % words
            sentence.append(f"w{last}")
        found.append(" ".join(sentence))
    return found


def test_a_bigram_model_by_hand():
    """Discounts 0.5, 1, 1.5. Words before: a 1, b 1, c 1, end 2 of 5; half of the mass is spread over 5 words."""
    model = estimate(TOY, 2)
    assert model.discounts == [(0.5, 1.0, 1.5)] * 2
    expected = {"a": 0.2, "b": 0.2, "c": 0.2, END: 0.3, UNKNOWN: 0.1}
    for word, probability in expected.items():
        assert model.probability(word) == pytest.approx(probability)
    assert model.probability("b", ("a",)) == pytest.approx(1 / 3 + 0.5 * 0.2)
    assert model.probability("c", ("a",)) == pytest.approx(0.5 / 3 + 0.5 * 0.2)
    assert model.probability("a", (START,)) == pytest.approx(1.5 / 3 + 0.5 * 0.2)
    assert model.probability("nonsense", ("a",)) == pytest.approx(0.5 * 0.1)
    assert model.probability("a", ("b",)) == pytest.approx(0.5 * 0.2)  # (2 - 1) / 2 for the end, the rest backs off


def test_discounts_by_the_formula():
    counts = dict(enumerate([1] * 10 + [2] * 6 + [3] * 3 + [4] * 2 + [9] * 5))
    y = 10 / (10 + 2 * 6)
    expected = (1 - 2 * y * 6 / 10, 2 - 3 * y * 3 / 6, 3 - 4 * y * 2 / 3)
    assert _discounts(counts, 1) == pytest.approx(expected)


@pytest.mark.parametrize("order, prune", [(2, 0), (3, 0), (4, 0), (3, 1), (4, 2)])
def test_every_distribution_sums_to_one(order, prune):
    model = estimate(text(), order, prune)
    words = [gram[0] for gram in model.probabilities[0]]
    contexts = [gram[:-1] for grams in model.probabilities for gram in grams] + [("w1", "never", "w2"), ("w3", START)]
    for context in random.Random(1).sample(sorted(set(contexts)), min(60, len(set(contexts)))):
        assert sum(model.probability(word, context) for word in words) == pytest.approx(1)


def test_the_highest_order_by_a_loop_over_the_text():
    """Of one context, from counting the text again."""
    sentences = text(8)
    model = estimate(sentences, 3)
    context, after = ("w1", "w2"), []
    for sentence in sentences:
        words = [START, *sentence.split(), END]
        after += [words[n + 2] for n in range(len(words) - 2) if (words[n], words[n + 1]) == context]
    counts = {word: after.count(word) for word in set(after)}
    assert len(counts) > 2
    cut = {word: model.discounts[2][min(count, 3) - 1] for word, count in counts.items()}
    for word, count in counts.items():
        expected = (count - cut[word] + sum(cut.values()) * model.probability(word, context[1:])) / len(after)
        assert model.probability(word, context) == pytest.approx(expected)


@pytest.mark.parametrize("order, prune", [(2, 0), (3, 0), (4, 1)])
def test_kenlm_reads_it_as_it_was_meant(tmp_path, order, prune):
    model, path = estimate(text(), order, prune), tmp_path / "lm.arpa"
    write_arpa(model, path)
    read = LanguageModel(path)
    sentences = [*text(seed=7, sentences=50), "w1 unheard w2 w3", ""]
    total, count = 0.0, 0
    for sentence in sentences:
        state, history = read.start, (START,)
        for word in sentence.split():
            score, state = read.word(state, word)
            expected = math.log(model.probability(word, history))
            assert score == pytest.approx(expected, abs=1e-4)
            history = (*history, word if (word,) in model.probabilities[0] else UNKNOWN)
            total, count = total + expected, count + 1
        assert read.end(state) == pytest.approx(math.log(model.probability(END, history)), abs=1e-4)
        total, count = total + math.log(model.probability(END, history)), count + 1
    assert read.perplexity(sentences) == pytest.approx(math.exp(-total / count), rel=1e-4)
    assert read.knows("w1") and read.unknown(["w1", "unheard"]) == 0.5


def test_pruning_leaves_out_what_is_rare_and_only_that():
    whole, pruned = estimate(text(), 3), estimate(text(), 3, prune=1)
    assert whole.probabilities[1].keys() == pruned.probabilities[1].keys()
    assert 0 < len(pruned.probabilities[2]) < len(whole.probabilities[2])


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "is damaged or no language model"),
        (b"once upon a time\n", 'first non-empty line was "once upon a time"'),
        (b"\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-1\ta\t0\n", "is damaged or no language model"),
        (b"mmap lm http://kheafield.com/code format version 5\n\x00rubbish", "is damaged or no language model"),
    ],
)
def test_what_is_no_model_is_said_in_one_sentence(tmp_path, content, said):
    path = tmp_path / "lm.arpa"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"python -m lth ngram") as caught:
        LanguageModel(path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"decoder\.lm=.*nothing is no file"):
        LanguageModel(tmp_path / "nothing")


@pytest.mark.parametrize("sentences, said", [([], "no words"), (["a <s> b"], "<s> is no word")])
def test_texts_that_cannot_be_counted(sentences, said):
    with pytest.raises(UserError, match=said):
        estimate(sentences, 3)


def test_characters_are_counted_where_no_text_has_a_space():
    chinese = ["你好世界", " 谢谢 "]
    assert in_units(chinese, "word") == (chinese, "word", "2 of 2 sentences have no space, and each counts as one word")
    counted, unit, said = in_units(chinese, None)
    assert (counted, unit) == (["你 好 世 界", "谢 谢"], "character") and said.startswith("no sentence has a space")
    assert in_units(chinese, "character") == (counted, "character", "")
    assert estimate(counted, 2).probabilities[0].keys() == {(c,) for c in (*"你好世界谢", END, UNKNOWN)}


def test_texts_with_spaces_are_words_and_those_that_mix_are_said():
    assert in_units(["a b", "c d", "a"], None) == (["a b", "c d", "a"], "word", "")
    assert in_units(["你好 世界", "你好", "谢谢"], None)[1:] == (
        "word", "2 of 3 sentences have no space, and each counts as one word"
    )  # fmt: skip
    with pytest.raises(UserError, match=r"^units=character is for texts without spaces, and 1 of these have some"):
        in_units(["a b", "c"], "character")
    with pytest.raises(UserError, match=r"^units=syllable is unknown: give word, character, or null"):
        in_units(["a b"], "syllable")


def test_the_command_on_chinese_and_the_beams_that_use_it(tmp_path, capfd):
    """A perfect text stays perfect by every decoder that takes the model; CER 75 % once, for the spaces between."""
    texts = ["你好世界", "谢谢你们", "世界你好"]
    (tmp_path / "t.txt").write_text("\n".join(texts * 3))
    make(names.compose([f"texts=[{tmp_path}/t.txt]", f"out={tmp_path}/lm.arpa"], "ngram"))
    assert "9 sentences, 36 characters" in (said := capfd.readouterr().out) and "no sentence has a space" in said
    tokens = CharacterTokens.of(texts)
    for text in texts:
        ids = [i for token in tokens.encode(text).tolist() for i in (token, 0)]
        x = 12 * torch.nn.functional.one_hot(torch.tensor([ids]), len(tokens)).float()
        beam = Beam(tokens, "ctc", lm=str(tmp_path / "lm.arpa"), processes=1)
        assert beam(None, x, torch.tensor([len(ids)])) == [text]


def test_the_command(tmp_path, capfd):
    (tmp_path / "one.txt").write_text("\n".join(text()))
    config = names.compose([f"texts=[{tmp_path}/one.txt]", f"out={tmp_path}/lm.arpa", "order=2"], "ngram")
    assert make(config) == tmp_path / "lm.arpa"
    assert "400 sentences" in capfd.readouterr().out
    config.texts = [f"{tmp_path}/none.txt"]
    with pytest.raises(UserError, match=r"none\.txt cannot be read"):
        make(config)
    config.texts, config.order = [f"{tmp_path}/one.txt"], 1
    with pytest.raises(UserError, match="at least 2"):
        make(config)
