"""One speaker's utterances as a corpus."""

import pytest

from lth.errors import UserError
from lth.speech.corpora import an4, synthetic
from lth.speech.corpora.speaker import of_speaker


@pytest.fixture(scope="module")
def corpus(cache):
    return synthetic.load(cache, {"train": 60, "dev": 20, "test": 20})


def ids(cuts) -> list[str]:
    return [cut.id for cut in cuts]


def test_train_dev_and_test_are_the_speakers_and_disjoint(corpus):
    personal = of_speaker(corpus, "Annie", 2, seed=0)
    everything = [cut.id for cuts in corpus.splits().values() for cut in cuts if "-Annie-" in cut.id]
    parts = [ids(cuts) for cuts in personal.splits().values()]
    assert sorted(id for part in parts for id in part) == sorted(everything) and len(everything) == 5
    assert [len(part) for part in parts] == [2, 1, 2]
    assert personal.name == "synthetic-Annie"


def test_the_draw_is_the_seeds_alone_and_grows(corpus):
    again = [ids(of_speaker(corpus, "Annie", 2, seed=0).splits()[name]) for name in ("train", "dev", "test")]
    assert again == [ids(of_speaker(corpus, "Annie", 2, seed=0).splits()[name]) for name in ("train", "dev", "test")]
    assert set(ids(of_speaker(corpus, "Annie", 2, 0).train)) < set(ids(of_speaker(corpus, "Annie", 3, 0).train))
    draws = {(tuple(ids(c.train)), c.fingerprint) for c in (of_speaker(corpus, "Annie", 2, seed) for seed in range(6))}
    assert len({train for train, _ in draws}) > 1 and len({f for _, f in draws}) == len(draws)


def test_what_cannot_be_done_is_said(corpus, caplog):
    with pytest.raises(UserError, match=r"speaker=nobody says nothing in synthetic; its speakers are Alex, .* more"):
        of_speaker(corpus, "nobody", 1, 0)
    with pytest.raises(UserError, match=r"speaker=Annie has 5 utterances .* utterances=4 is at most 3"):
        of_speaker(corpus, "Annie", 4, 0)
    assert not caplog.messages
    of_speaker(corpus, "Alex", 1, 0)
    assert "Alex is in the train split of synthetic" in caplog.text


def test_a_test_speaker_of_an4(an4_root):
    personal = of_speaker(an4.load(an4_root), "fcaw", 5, 0)
    assert [len(cuts) for cuts in personal.splits().values()] == [5, 4, 4]
    assert {cut.supervisions[0].speaker for cuts in personal.splits().values() for cut in cuts} == {"fcaw"}
