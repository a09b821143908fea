"""python analyze.py: from folders and from W&B the same tables, a page, a report; bad input in one sentence."""

import contextlib
import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import wandb
from rich.console import Console

from lth.analysis.analyse import analyse, state
from lth.analysis.document import Section
from lth.analysis.inputs import Analysis
from lth.analysis.remote import bring
from lth.commands.analyze import compare
from lth.errors import UserError
from lth.tracking.record import experiment_hash
from lth.tracking.sync import sync
from tests.analysis.folders import write_experiment
from tests.configs import PROJECT, compose, compose_analysis
from tests.loopback_wandb import fixture
from tests.lotteries import command, run

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server
CONSOLE = Console(file=io.StringIO(), width=100)


def tables(folder: Path) -> dict[str, list[list[str]]]:
    found = {}
    for file in sorted((folder / "analysis/tables").glob("*.csv")):
        with file.open(newline="") as text:
            found[file.name] = list(csv.reader(text))
    return found


def said(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "analyze.py", *words], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stderr


def test_it_writes_tables_figures_and_a_page(tmp_path):
    write_experiment(tmp_path, "demo")
    sections = analyse(compose_analysis(f"outputs={tmp_path}", "resamples=500"), CONSOLE)
    assert {"tickets", "curves", "mistakes"} <= {one.key for one in sections}
    (row,) = [row for row in tables(tmp_path)["tickets.csv"][1:] if row[2].startswith("extreme")]
    head = tables(tmp_path)["tickets.csv"][0]
    values = dict(zip(head, row, strict=True))
    # by tests/analysis/folders.py: round 1 keeps 6 of 12, dev 1/5 as dense, test 2/6 against 1/6
    assert float(values["weights"]) == 0.5 and values["wins"] == "yes"
    assert float(values["test WER"]) == pytest.approx(2 / 6) and float(values["difference"]) == pytest.approx(1 / 6)
    assert (tmp_path / "analysis/figures/wer_test.png").is_file()
    page = (tmp_path / "analysis/report.html").read_text().replace("\xa0", " ")
    assert "constant wins on digits at 50.0 % of the weights" in page


def test_a_section_is_one_file_and_one_line(tmp_path):
    write_experiment(tmp_path, "demo")
    words = ("sections.curves=null", "+sections.mine._target_=tests.commands.test_analyze.section")
    sections = analyse(compose_analysis(f"outputs={tmp_path}", "resamples=500", *words), CONSOLE)
    assert [one.key for one in sections] == ["tickets", "anatomy", "mistakes", "mine"]
    assert "demo of 3 rounds" in (tmp_path / "analysis/report.html").read_text()


def test_what_a_section_finds_damaged_is_named(tmp_path):
    (write_experiment(tmp_path, "demo") / "noise.csv").write_text("round,ticket\n0,dense\n")
    with pytest.raises(UserError, match=r"noise\.csv has no column"):
        analyse(compose_analysis(f"outputs={tmp_path}", "resamples=500"), CONSOLE)


def section(analysis: Analysis) -> Section:
    """A section of somebody's own."""
    return Section("mine", "Mine", [f"{one.name} of {len(one.rounds)} rounds" for one in analysis.experiments])


def test_an_unfinished_and_a_damaged_experiment_are_named_and_the_others_go_on(tmp_path):
    write_experiment(tmp_path, "whole")
    write_experiment(tmp_path / "b", "half", done=2, finished=False)
    (tmp_path / "b/half").rename(tmp_path / "half")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/experiment.json").write_text("{")
    (first, *_) = analyse(compose_analysis(f"outputs={tmp_path}", "resamples=500"), CONSOLE)
    text = " ".join(first.text)
    assert "half: unfinished: 1 of 2 pruned rounds" in text
    assert "broken is left out" in text and "damaged" in text


def test_one_utterance_gives_a_table_without_intervals(tmp_path):
    folder = write_experiment(tmp_path, "demo")
    for stored in (tmp_path / "store/rounds").iterdir():
        lines = [json.loads(line) for line in (stored / "hypotheses.jsonl").read_text().splitlines()]
        kept = [line for line in lines if line["set"] == "dev" or line["id"] == "t1"]
        (stored / "hypotheses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    analyse(compose_analysis(f"outputs={folder.parent}", "resamples=500"), CONSOLE)
    head, *rows = tables(tmp_path)["tickets.csv"]
    values = dict(zip(head, rows[0], strict=True))
    assert values["test WER_low"] == "" and values["p"] == "" and values["verdict"] == "not tested"


WRONG = {
    "experiments=[nosuch]": "there is no nosuch in",
    "source=disk": "source=disk is unknown: give local or wandb",
    "resamples=3": "resamples=3 is not enough: give a whole number",
    "stability=perhaps": "stability=perhaps is neither true nor false",
    "watch=-1": "watch=-1 is no time to wait",
    "+sections.mine._target_=lth.analysis.sections.nosuch.section": "sections.mine names no function",
    "study=nosuch": "study=nosuch: there is no",
}


@pytest.mark.parametrize("word", WRONG)
def test_a_wrong_word_is_named(tmp_path, word):
    write_experiment(tmp_path, "demo")
    config = compose_analysis(f"outputs={tmp_path}", word)
    with pytest.raises(UserError, match=WRONG[word]):
        compare(config, "python analyze.py")


def test_the_command_says_it_in_one_line(tmp_path):
    code, error = said(f"outputs={tmp_path}")
    assert code == 2
    assert error == f"analyze.py: outputs={tmp_path} holds no experiment: run one, or say where they are\n"
    code, error = said("nosuchkey=1")
    assert code == 2 and "nosuchkey" in error and error.count("\n") == 1


def test_watching_sees_what_changes_and_nothing_else(tmp_path):
    folder = write_experiment(tmp_path, "demo")
    before = state(tmp_path)
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis/report.html").touch()
    assert state(tmp_path) == before
    (folder / "rounds.csv").write_text((folder / "rounds.csv").read_text() + "\n")
    assert state(tmp_path) != before


@pytest.fixture
def played(wandb_server, tmp_path, cache):
    """A tiny lottery, local and uploaded."""
    outputs = tmp_path / "here"
    words = [word for word in command("rounds=1", outputs=outputs, cache=cache) if not word.startswith("tracking")]
    run(compose(*words, "tracking=offline"), CONSOLE)
    with contextlib.redirect_stdout(io.StringIO()):
        assert not sync(outputs / "demo")
    return outputs


def test_wandb_tells_the_same_tables_as_the_folders(played, tmp_path):
    local = compose_analysis(f"outputs={played}", "resamples=500")
    analyse(local, CONSOLE)
    for _ in range(2):  # the second time nothing is fetched
        remote = compose_analysis(f"outputs={tmp_path / 'there'}", "resamples=500", "source=wandb")
        analyse(remote, CONSOLE)
    here, there = tables(played), tables(tmp_path / "there")
    assert here.keys() - there.keys() <= {"bodies.csv"}  # needs the trained weights, which stay where they are
    for name in there:
        assert here[name] == there[name], name


def test_another_experiment_of_that_name_is_not_taken_for_the_first(played, tmp_path, cache):
    there = tmp_path / "there/analysis/wandb"
    bring("audio-lottery", None, there)
    first = json.loads((there / "demo/experiment.json").read_text())["id"]
    outputs = tmp_path / "second"
    words = [word for word in command("rounds=0", "seed=1", outputs=outputs, cache=cache) if "tracking" not in word]
    run(compose(*words, "tracking=offline"), CONSOLE)
    with contextlib.redirect_stdout(io.StringIO()):
        assert not sync(outputs / "demo")
    bring("audio-lottery", None, there)
    assert not (there / "demo").exists()
    found = {path.parent.name: json.loads(path.read_text()) for path in there.glob("*/experiment.json")}
    assert len(found) == 2 and {len(one["keys"]) for one in found.values()} == {1, 2}
    assert all(name == f"demo-{own_part(one)}" for name, one in found.items())
    assert first in {one["id"] for one in found.values()}


def own_part(about):
    return experiment_hash(about["id"])


def test_only_what_is_asked_for_is_brought(played, tmp_path):
    there = tmp_path / "there"
    bring("audio-lottery", None, there, ["de*"])
    assert [path.parent.name for path in there.glob("*/experiment.json")] == ["demo"]
    with pytest.raises(UserError, match="experiments: there is no an4-x in loopback/audio-lottery"):
        bring("audio-lottery", None, there, ["an4-x"])


def test_a_report_is_made_once_and_brought_up_to_date(played):
    config = compose_analysis(f"outputs={played}", "resamples=500", "report=wandb")
    for _ in range(2):
        analyse(config, CONSOLE)
    (report,) = wandb.Api().reports("loopback/audio-lottery")
    assert report.display_name == "Winning tickets"
    spec = json.dumps(report.spec)
    assert "Tickets against their dense networks" in spec and "demo-mask:" in spec and "Group" in spec


def test_no_login_is_said_and_loses_nothing(tmp_path, monkeypatch):
    write_experiment(tmp_path, "demo")
    monkeypatch.setattr("lth.tracking.client.logged_in", lambda: False)
    console = Console(file=io.StringIO(), width=100)
    analyse(compose_analysis(f"outputs={tmp_path}", "resamples=500", "report=wandb"), console)
    assert "no W&B report: report=wandb project=audio-lottery needs a W&B login" in console.file.getvalue()
    with pytest.raises(UserError, match="needs a W&B login"):
        analyse(compose_analysis(f"outputs={tmp_path}", "source=wandb"), console)
