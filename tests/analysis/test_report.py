"""report.html read back: what it says, that it needs nothing else, and that no name in it becomes markup."""

import re
import shutil
from html.parser import HTMLParser

import pytest

from lth.analysis.report import write_report
from lth.analysis.sections.experiment import answer, unfinished
from lth.errors import UserError
from tests.analysis.folders import write_experiment
from tests.store.test_rows import row


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.texts, self.ids = [], [], [], []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)
        self.text = " ".join(" ".join(self.texts).replace("\N{NO-BREAK SPACE}", " ").split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_data(self, data):
        self.texts.append(data)


DENSE = row(0, 1, 0.054, 0.060)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [DENSE, row(1, 0.512, 0.049, 0.057), row(2, 0.328, 0.051, 0.059), row(3, 0.21, 0.07, 0.01)],
            "The extreme ticket keeps 32.8 % of the weights at dev WER 5.1 % (dense 5.4 %); its test WER "
            "is 5.9 % (dense 6.0 %). The best ticket keeps 51.2 % of the weights at dev WER 4.9 %; its "
            "test WER is 5.7 %.",
        ),
        (
            [DENSE, row(1, 0.328, 0.051, 0.059)],
            "The extreme ticket keeps 32.8 % of the weights at dev WER 5.1 % (dense 5.4 %); its test WER "
            "is 5.9 % (dense 6.0 %). It is also the best.",
        ),
        (
            [DENSE, row(1, 0.8, 0.058, 0.01)],
            "No ticket wins: the best keeps 80.0 % of the weights at dev WER 5.8 % (dense 5.4 %); its test "
            "WER is 1.0 % (dense 6.0 %).",
        ),
        ([DENSE], "Only the dense round has finished: its dev WER is 5.4 % and its test WER is 6.0 %."),
        (
            [row(0, 0.2, 0.06, None)],
            "There is no dense round to win against: the best ticket keeps 20.0 % of the weights at dev "
            "WER 6.0 %; it has no test WER.",
        ),
        (
            [
                row(0, 1, 0.054, 0.06, further={"test-other": (0.15, 0.1)}),
                row(1, 0.5, 0.05, 0.06, further={"test-other": (0.145, 0.1)}),
            ],
            "The extreme ticket keeps 50.0 % of the weights at dev WER 5.0 % (dense 5.4 %); its test WER "
            "is 6.0 % (dense 6.0 %) and its test-other WER is 14.5 % (dense 15.0 %). It is also the best.",
        ),
    ],
)
def test_answer(rows, said):
    assert answer(rows) == said


def test_answer_of_an_unfinished_experiment():
    assert answer([DENSE, row(1, 0.5, 0.05)], so_far=True).startswith("So far, the extreme ticket keeps 50.0 %")
    assert answer([DENSE, row(1, 0.5, 0.06)], so_far=True).startswith("No ticket wins so far: ")


def test_winning_against_a_network_that_learned_nothing_is_no_news():
    assert "says little" in answer([row(0, 1, 0.95), row(1, 0.5, 0.94)])
    assert "says little" not in answer([row(0, 1, 0.5), row(1, 0.5, 0.4)])


@pytest.mark.parametrize(
    ("done", "config", "experiment", "said"),
    [
        ([0, 1, 2], {"rounds": 2}, {}, ""),
        ([0], {"rounds": 2}, {"finished": True}, ""),
        ([0, 1], {"rounds": 2}, {}, "round 2 of 2 is missing."),
        ([0], {"rounds": 5}, {}, "rounds 1 to 5 of 5 are missing."),
        ([0, 2, 4], {"rounds": 5}, {}, "rounds 1, 3, 5 of 5 are missing."),
        ([0], {"rounds": 5, "target": 0.1}, {}, "it ends when 10.00% of the weights remain."),
        ([0], {"rounds": 5, "target": 0.1}, {"rounds": 1}, "round 1 of 1 is missing."),
    ],
)
def test_unfinished_names_what_is_missing(done, config, experiment, said):
    sentence = unfinished([row(n, 0.8**n, 0.1) for n in done], config, experiment)
    assert sentence == (said and f"The experiment is unfinished: {said}")


def test_report_answers_first_and_shows_everything(tmp_path):
    page = Page(write_report(write_experiment(tmp_path)))
    found = (
        "The extreme ticket keeps 50.0 % of the weights at dev WER 20.0 % (dense 20.0 %); its test WER is "
        "33.3 % (dense 16.7 %). It is also the best."
    )
    body = page.text[page.text.index("demo The") :]
    assert body.startswith(f"demo {found}") and body.count(found) == 1
    assert "unfinished" not in body
    assert "test WER +16.7 points" in body
    assert "better on 1, worse on 1 of 3" in body
    for line in ("0 dense, reused 100.0 20.0", "1 extreme, best 50.0 20.0", "2 25.0 60.0"):
        assert line in body
    for text in (
        "rnn.weight_hh_l0",
        "corpus digits",
        "seed 7",
        "t1 2 wrong words more yes no",
        "Bands are 95 % bootstrap intervals over the 2 dev and 3 test utterances",
        "Its rounds in the store",
        "python -m lth sync",
    ):
        assert text in body
    assert '"rounds": 2' in body
    assert page.tags.count("svg") == 2
    assert {"ins", "span"} <= set(page.tags)  # what the ticket hears differently


def test_report_is_one_file_that_asks_for_nothing(tmp_path):
    page = Page(write_report(write_experiment(tmp_path)))
    assert not {"script", "link", "img", "iframe", "object", "base", "form", "button"} & set(page.tags)
    assert (tmp_path / "demo/report.html").stat().st_size < 100_000
    pointing = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset")]
    assert pointing
    assert all(value.startswith("#") for value in pointing)
    assert re.findall(r"@import|url\((?!#)", page.html) == []
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert len(page.ids) == len(set(page.ids))


def test_report_is_repeatable(tmp_path):
    folder = write_experiment(tmp_path)
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_nothing_a_user_names_becomes_markup(tmp_path):
    evil = "<script>alert(1)</script>\"'><img/src=x/onerror=alert(1)>"
    folder = write_experiment(
        tmp_path,
        layers=(evil, "$x^{$"),
        spoil=dict.fromkeys(("yes", "no", "left", "t1", "so"), evil),
        config={"corpus": {"name": evil}, "note": evil},
    )
    (folder / "experiment.json").write_text((folder / "experiment.json").read_text().replace("this-one", "<b>"))
    (folder / "experiment.json").write_text(
        (folder / "experiment.json").read_text().replace('"demo"', '"</title><script>"')
    )
    page = Page(write_report(folder))
    assert not {"script", "img", "b"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 6


def test_report_of_the_dense_round_alone(tmp_path):
    page = Page(write_report(write_experiment(tmp_path, done=1, finished=False)))
    assert "Only the dense round has finished: its dev WER is 20.0 %" in page.text
    assert "unfinished: rounds 1 to 2 of 2 are missing" in page.text
    assert page.tags.count("svg") == 1  # the curve


def test_report_survives_a_store_that_was_cleaned(tmp_path):
    folder = write_experiment(tmp_path)
    shutil.rmtree(tmp_path / "store")
    page = Page(write_report(folder))
    assert "1 extreme, best 50.0 20.0 33.3" in page.text
    assert "points" not in page.text[page.text.index("demo The") :]


def test_damage_is_named_and_the_old_report_stays(tmp_path):
    folder = write_experiment(tmp_path)
    before = write_report(folder).read_bytes()
    for name in ("config.yaml", "experiment.json"):
        kept = (folder / name).read_text()
        (folder / name).write_text("{")
        with pytest.raises(UserError, match=name):
            write_report(folder)
        (folder / name).write_text(kept)
    (folder / "rounds.csv").unlink()
    with pytest.raises(UserError, match=r"rounds\.csv"):
        write_report(folder)
    assert (folder / "report.html").read_bytes() == before
