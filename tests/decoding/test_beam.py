"""Beam search against every label sequence, every alignment; words, language models and bad files."""

import itertools
import math
import random

import pytest
import torch

from lth.decoding.beam import Beam
from lth.decoding.greedy import Greedy
from lth.decoding.language import LanguageModel
from lth.decoding.ngram import estimate, write_arpa
from lth.errors import UserError
from lth.speech.tokens import CharacterTokens

TOKENS = CharacterTokens(" AB")
SENTENCES = ["A B", "AB A", "BA", "AB A", "B AB A", "AB", "A A B"]


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    write_arpa(estimate(SENTENCES, 3), path)
    return path


def logits(frames: int, seed: int, tokens=TOKENS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(1, frames, len(tokens), generator=generator)


def decode(decoder, x) -> str:
    return decoder(None, x, torch.tensor([x.shape[1]]))[0]


def probabilities(x) -> dict[tuple[int, ...], float]:
    """Label sequence -> the sum over all its alignments, path by path."""
    p, found = x[0].double().softmax(-1), {}
    for path in itertools.product(range(x.shape[2]), repeat=x.shape[1]):
        labels = tuple(token for token, _ in itertools.groupby(path) if token)
        found[labels] = found.get(labels, 0.0) + math.prod(float(p[t, token]) for t, token in enumerate(path))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_the_most_probable_labels(seed):
    """flashlight counts alignments that end with a blank apart, so it may miss the best by half of its probability."""
    x = logits(6, seed)
    found = {}
    for labels, probability in probabilities(x).items():
        text = TOKENS.decode(labels)
        found[text] = max(found.get(text, 0.0), probability)
    said = decode(Beam(TOKENS, "ctc", width=5000, threshold=1e4, processes=1), x)
    assert found[said] >= 0.5 * max(found.values())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("alpha, beta", [(0.0, 0.0), (0.7, 0.4), (2.0, 1.0)])
def test_with_words_it_finds_the_best_sentence(lm, seed, alpha, beta):
    """Of all sentences of known words; each is worth its alignments, with any spaces around words, and its words.

    flashlight adds up what ends in one state of the language model, be it of two sentences; hence the room.
    """
    x, model, values = logits(6, seed), LanguageModel(lm), {}
    for labels, probability in probabilities(x).items():
        words = TOKENS.decode(labels)
        values[words] = values.get(words, 0.0) + probability
    values = {text: p for text, p in values.items() if set(text.split()) <= {"A", "B", "AB", "BA"}}
    for text, probability in values.items():
        state, value = model.start, math.log(probability)
        for word in text.split():
            score, state = model.word(state, word)
            value += alpha * score + beta
        values[text] = value + alpha * model.end(state)
    decoder = Beam(TOKENS, "ctc", width=5000, threshold=1e4, lm=str(lm), alpha=alpha, beta=beta, processes=1)
    assert values[decode(decoder, x)] >= max(values.values()) - 0.5


def test_a_narrow_beam_of_sharp_frames_is_the_best_path():
    x = 30 * torch.nn.functional.one_hot(torch.tensor([[2, 2, 0, 2, 1, 3, 3, 0]]), 4).float()
    assert decode(Beam(TOKENS, "ctc", width=3, processes=1), x) == decode(Greedy(TOKENS, "ctc"), x) == "AA B"


def test_a_lexicon_alone_and_its_last_word_without_a_space(tmp_path):
    (tmp_path / "words.txt").write_text("AB\nBA  ignored spelling\n\n")
    decoder = Beam(TOKENS, "ctc", lexicon=str(tmp_path / "words.txt"), processes=1)
    x = 9 * torch.nn.functional.one_hot(torch.tensor([[2, 3, 1, 3, 2]]), 4).float()
    assert decode(decoder, x) == "AB BA"
    x = 9 * torch.nn.functional.one_hot(torch.tensor([[2, 3, 1, 3, 3]]), 4).float()  # B is no word
    assert set(decode(decoder, x).split()) <= {"AB", "BA"}


def test_hot_words_are_preferred_and_known(lm):
    x = torch.zeros(1, 5, 4)
    x[0, range(5), [2, 3, 0, 1, 0]] = 4.0  # AB
    x[0, 1, 2] = 3.5  # or AA
    plain = Beam(TOKENS, "ctc", lm=str(lm), processes=1)
    assert decode(plain, x) == "AB"
    hot = Beam(TOKENS, "ctc", lm=str(lm), hotwords=["A"], boost=0.0, processes=1)
    assert decode(hot, x) == "AB"
    assert decode(Beam(TOKENS, "ctc", lm=str(lm), hotwords=["A"], boost=9.0, processes=1), x).split()[0] == "A"


def test_several_processes_say_the_same(lm):
    torch.manual_seed(3)
    x, lengths = 2 * torch.randn(5, 9, 4), torch.tensor([9, 1, 4, 0, 7])
    one, two = (Beam(TOKENS, "ctc", lm=str(lm), processes=n)(None, x, lengths) for n in (1, 2))
    assert one == two and len(one) == 5 and one[3] == ""
    alone = [Beam(TOKENS, "ctc", lm=str(lm))(None, x[n : n + 1, :length], lengths[n : n + 1]) for n, length in
             enumerate(lengths.tolist())]  # fmt: skip
    assert [texts[0] for texts in alone] == one


@pytest.mark.parametrize(
    "files, options, said",
    [
        ({"w": ""}, {"lexicon": "w"}, "has no words"),
        ({"w": "Ae\nb\n"}, {"lexicon": "w"}, "none of its 2 words, such as 'Ae', can be spelled"),
        ({"w": b"\xff\xfe"}, {"lexicon": "w"}, "is no text"),
        ({}, {"lexicon": "w"}, "is no file"),
        ({}, {"lm": "w"}, "is no file"),
        ({"w": "\\data\\\nngram 1=1\n"}, {"lm": "w"}, "has no words"),
        ({"w": b"mmap lm \xff\xff"}, {"lm": "w"}, "does not list its words: give decoder.lexicon"),
        ({"w": "A\n", "m": "nonsense"}, {"lexicon": "w", "lm": "m"}, "is damaged or no language model"),
    ],
)
def test_bad_files_are_said(tmp_path, files, options, said):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=said):
        Beam(TOKENS, "ctc", **{key: str(tmp_path / name) for key, name in options.items()})


@pytest.fixture(scope="module", params=[10, 10_000])
def many_words(request, tmp_path_factory):
    """So many words, and a model of them that is far from even: whose score a word gets decides the text."""
    draw = random.Random(request.param)
    words: dict[str, None] = {}
    while len(words) < request.param:
        words["".join(draw.choices("ABCDEFGH", k=draw.randint(1, 6)))] = None
    known, heavy = list(words), list(words)[:: max(1, len(words) // 40)]
    sentences = [*known, *(" ".join(draw.choices(heavy, weights=range(1, len(heavy) + 1), k=4)) for _ in range(600))]
    path = tmp_path_factory.mktemp("many") / "lm.arpa"
    write_arpa(estimate(sentences, 2), path)
    return known, path


def test_hot_words_without_a_boost_change_nothing(many_words):
    """Every word is scored as itself, in whatever order the library of the search keeps them."""
    words, path = many_words
    tokens, draw = CharacterTokens(" ABCDEFGH"), random.Random(1)
    options = {"lm": str(path), "alpha": 1.0, "width": 50, "processes": 1}
    plain = Beam(tokens, "ctc", **options)
    hot = Beam(tokens, "ctc", **options, hotwords=draw.sample(words, 3), boost=0.0)
    assert [hot.search.word_dict.get_entry(n) for n in range(len(hot.spellings))] == list(hot.spellings)
    said = set()
    for seed in range(40):
        spelled = tokens.encode(" ".join(draw.choices(words, k=3))).tolist()
        x = logits(2 * len(spelled), seed, tokens)
        x[0, range(0, x.shape[1], 2), spelled] += 4.0
        x[0, 1::2, 0] += 4.0
        text = decode(hot, x)
        assert text == decode(plain, x)
        said.add(text)
    assert len(said) > 30


def test_every_word_can_be_hot_and_only_it_is_favoured(many_words):
    """The sentence is worth its words; a boost is added to each of the favoured ones, also to the library's last."""
    words, path = many_words
    model, tokens = LanguageModel(path), CharacterTokens(" ABCDEFGH")
    known = Beam(tokens, "ctc", lm=str(path), processes=1).search
    last = known.word_dict.get_entry(len(words) - 1)
    decoder = Beam(tokens, "ctc", lm=str(path), alpha=0.5, hotwords=[last], boost=7.0, width=50, processes=1)
    for word in (last, words[0]):
        x = 20 * torch.nn.functional.one_hot(
            torch.tensor([[i for token in tokens.encode(word).tolist() for i in (token, 0)]]), len(tokens)
        )
        (best,) = decoder.search(decoder._closed(x[0].float().log_softmax(-1))[None])[0]
        score, state = model.word(model.start, word)
        expected = 0.5 * (score + model.end(state)) + 7.0 * (word == last)
        assert best.words == [word] and best.score == pytest.approx(expected, abs=0.1)


def test_words_of_a_language_without_spaces_are_joined_without_them(tmp_path):
    tokens = CharacterTokens("你好世界谢们")
    write_arpa(estimate(["你 好 世 界", "谢 谢 你 们", "你好 世界"] * 3, 2), tmp_path / "lm.arpa")
    for text in ("你好世界", "谢谢你们"):
        x = 12 * torch.nn.functional.one_hot(
            torch.tensor([[i for token in tokens.encode(text).tolist() for i in (token, 0)]]), len(tokens)
        )
        for options in ({}, {"hotwords": ["世界", "谢"], "boost": 1.0}):
            decoder = Beam(tokens, "ctc", lm=str(tmp_path / "lm.arpa"), processes=1, **options)
            assert decode(decoder, x.float()) == text


def test_hot_words_need_a_language_model():
    with pytest.raises(ValueError, match=r"^hotwords are words among words: give lm too$"):
        Beam(TOKENS, "ctc", hotwords=["A"])


def test_a_hot_word_that_cannot_be_spelled_is_said(lm):
    with pytest.raises(ValueError, match=r"^hotwords=\[A,ab\]: 'ab' cannot be spelled with the model's tokens \(A B\)"):
        Beam(TOKENS, "ctc", lm=str(lm), hotwords=["A", "ab"])
