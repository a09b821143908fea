"""Every option of every decoder: what is no number, no file or no word is one sentence that names it."""

import inspect
import math

import pytest

from lth.decoding.attention_beam import AttentionBeam
from lth.decoding.beam import Beam
from lth.decoding.ctcdecode import CTCDecode
from lth.decoding.options import RULES, check
from lth.decoding.rnnt_beam import RNNTBeam
from lth.errors import UserError
from lth.lottery.setup.build import build
from lth.speech.tokens import CharacterTokens
from tests.configs import compose

TOKENS = CharacterTokens(" AB")
DECODERS = {"beam": Beam, "ctcdecode": CTCDecode, "rnnt_beam": RNNTBeam, "attention_beam": AttentionBeam}
NONSENSE = {
    "width": (0, -1, 1.5, True, "many", None, math.nan),
    "most": (0, 2.5, None),
    "candidates": (0, "all"),
    "tokens_tried": (0, 1.5),
    "processes": (0, -1, "two"),
    "threshold": (0, -1.0, math.inf, math.nan, None),
    "ctc_weight": (-0.1, 1.1, math.nan, "half"),
    "alpha": (-1.0, math.nan, math.inf, 1e9, None, True, "big"),
    "beta": (math.nan, -math.inf, 1e300, None),
    "boost": (math.nan, math.inf, "5", None),
    "lm": ("", " ", 5, ["a.arpa"]),
    "lexicon": ("", 2.0),
    "hotwords": ("A", "", 9, 9.5, True, [9], [math.nan], [""], [" "], ["A", None], ["A B"], [" A"], ["<unk>"], [["A"]]),
}
SENSE = {
    "width": (1, 1000),
    "tokens_tried": (None, 1),
    "candidates": (None, 3),
    "processes": (None, 2),
    "threshold": (1e-3, 1e4),
    "ctc_weight": (0, 1, 0.3),
    "alpha": (0, 0.5, 2),
    "beta": (-4.36, 0, 4.36),
    "boost": (-5, 0.0, 5),
    "lm": (None, "lm.arpa"),
    "lexicon": (None, "words.txt"),
    "hotwords": (None, [], ["A"], ["A", "AB"], ["9"]),
}


def options_of(decoder) -> set[str]:
    return {name for name, p in inspect.signature(decoder).parameters.items() if p.kind is p.KEYWORD_ONLY}


def test_every_option_of_every_decoder_has_its_rule_and_its_nonsense():
    assert set().union(*map(options_of, DECODERS.values())) == RULES.keys() == NONSENSE.keys()


@pytest.mark.parametrize("name, value", [(name, value) for name, values in NONSENSE.items() for value in values])
def test_nonsense_is_one_sentence_of_the_key_that_was_typed(name, value):
    """By every decoder that has the option, whatever else it would need."""
    for decoder in (key for key, code in DECODERS.items() if name in options_of(code)):
        config = compose(f"decoder={decoder}")
        config.decoder[name] = value
        with pytest.raises(UserError, match=rf"^decoder\.{name}=") as caught:
            build(config, "decoder", tokens=TOKENS, family=DECODERS[decoder].families[0])
        assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


@pytest.mark.parametrize("name, value", [(name, value) for name, values in SENSE.items() for value in values])
def test_sense_is_taken(name, value):
    check(**{name: value})


@pytest.mark.parametrize(
    "value, remedy",
    [
        ("NINE", "is not a list: write the words in brackets, [NINE]"),
        (["NEW YORK"], "give its words one by one, [NEW,YORK]"),
        ([9], "holds 9, which is not text: write it in two pairs of quotes, '[\"9\"]'"),
        ([""], "holds an empty word: leave it out"),
    ],
)
def test_hot_words_say_what_to_write_instead(value, remedy):
    with pytest.raises(ValueError, match=r"^hotwords=") as caught:
        check(hotwords=value)
    assert str(caught.value).endswith(remedy)


def test_the_remedy_for_a_number_works():
    assert compose("decoder=beam", 'decoder.hotwords=["9"]').decoder.hotwords == ["9"]
