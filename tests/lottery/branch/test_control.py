"""Controls of a finished ticket: each in the ticket's own setting, with one part replaced."""

import io
import json
from pathlib import Path

import pytest
import torch
import wandb
from rich.console import Console
from safetensors.torch import load_file

import lth.tracking.sync
from lth.analysis.report import write_report
from lth.errors import UserError
from lth.lottery.branch.control import KINDS, control, control_seed
from lth.store.maskfile import load_mask
from lth.store.rows import read_csv
from tests.attempts import attempt, the_line
from tests.configs import compose
from tests.loopback_wandb import fixture
from tests.lotteries import command, play, run

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server

PROJECT = "loopback/audio-lottery"


def lottery(*overrides: str, outputs: Path, cache: Path) -> Path:
    run(compose(*command(*overrides, outputs=outputs, cache=cache)), Console(file=io.StringIO()))
    return outputs / "demo"


def controls(*overrides: str, outputs: Path) -> str:
    """What is printed; only the ticket and places are said, the rest is the ticket's."""
    printed = io.StringIO()
    control(compose(f"outputs={outputs}", *overrides), Console(file=printed, width=120), write_report)
    return printed.getvalue()


@pytest.fixture(scope="module")
def played(tmp_path_factory, cache):
    """A lottery of two pruned rounds, layers of unequal densities, and all controls of its second ticket."""
    outputs = tmp_path_factory.mktemp("controlled")
    demo = lottery("seed=3", "rounds=2", outputs=outputs, cache=cache)
    said = controls("control=all", f"ticket={demo}/rounds/round-02", "tracking=disabled", outputs=outputs)
    return demo, said


def folder(demo: Path, kind: str) -> Path:
    return demo.parent / f"demo-02-control-{kind}"


def mask(experiment: Path, number: int = 0):
    return load_mask(experiment / f"rounds/round-{number:02d}/mask.lth")[0]


def init(experiment: Path) -> dict[str, torch.Tensor]:
    return load_file(experiment / "init.safetensors")


def inputs(experiment: Path, number: int = 0) -> dict:
    return json.loads((experiment / f"rounds/round-{number:02d}/metrics.json").read_text())["inputs"]


def test_each_differs_from_the_ticket_in_its_own_part_only(played):
    demo, _ = played
    ticket = inputs(demo, 2)
    for kind, parts in {
        "random": {"mask"},
        "shuffled": {"mask"},
        "fresh": {"init"},
        "sign": {"init"},
        "dense": {"mask", "trainer"},
    }.items():
        own = inputs(folder(demo, kind))
        assert {name for name in own if own[name] != ticket[name]} == parts
    assert inputs(folder(demo, "dense"))["trainer"] == ticket["trainer"] | {"max_epochs": 3 * 2}
    assert read_csv(folder(demo, "dense") / "rounds.csv")[0].epochs == 6


def test_masks_are_counted(played):
    demo, _ = played
    ticket = mask(demo, 2)
    random, shuffled = mask(folder(demo, "random")), mask(folder(demo, "shuffled"))
    layers: dict[str, list[str]] = {}
    for name in ticket:
        layers.setdefault(".".join(name.split(".")[:2]), []).append(name)
    assert len(layers) == 5 and len(layers["rnns.0"]) == 4
    kept = {layer: sum(int(ticket[n].sum()) for n in names) for layer, names in layers.items()}
    assert {layer: sum(int(random[n].sum()) for n in names) for layer, names in layers.items()} == kept
    assert shuffled.survivors() == ticket.survivors() and random.survivors() != ticket.survivors()
    assert len({m.digest() for m in (ticket, random, shuffled)}) == 3
    assert mask(folder(demo, "fresh")) == mask(folder(demo, "sign")) == ticket
    assert mask(folder(demo, "dense")).density == 1


def test_fresh_values_are_the_models_own_under_the_documented_seed(played):
    from lth.lottery.setup.setting import prepare

    demo, _ = played
    was, now = init(demo), init(folder(demo, "fresh"))
    setting = prepare(compose(*command("seed=3", outputs=demo.parent, cache=_cache(demo))))
    torch.manual_seed(control_seed(3, "fresh", 0))
    assert all(torch.equal(tensor, now[name]) for name, tensor in setting.model().state_dict().items())
    assert all((was[name] != now[name]).all() for name in mask(demo, 2))
    weights = load_file(folder(demo, "fresh") / "rounds/round-00/weights.safetensors")
    assert not any(weights[name][~bits].any() for name, bits in mask(demo, 2).items())


def _cache(demo: Path) -> Path:
    import yaml

    return Path(yaml.safe_load((demo / "config.yaml").read_text())["corpus"]["cache"])


def test_signs_and_deviations(played):
    demo, _ = played
    was, now = init(demo), init(folder(demo, "sign"))
    for name, tensor in was.items():
        if name in mask(demo, 2):
            assert torch.equal(now[name].sign(), tensor.sign())
            size = now[name].abs()
            assert size.min() == size.max() == pytest.approx(tensor.double().var(correction=0).sqrt().item(), rel=1e-5)
        else:
            assert torch.equal(now[name], tensor)


def test_what_is_said_and_left_behind(played):
    demo, said = played
    rows = {kind: read_csv(folder(demo, kind) / "rounds.csv")[0] for kind in KINDS}
    ticket = read_csv(demo / "rounds.csv")[2]
    table = said[said.rindex("epochs") :]
    for words in ("ticket", "dense for one round", "random mask", "shuffled mask", "fresh init", "signs only"):
        assert words in table
    last = said.strip().splitlines()[-1]
    better = last.partition("no better than")[0]
    assert ("random mask" in better) == (rows["random"].dev_wer > ticket.dev_wer)
    assert ("fresh init" in better) == (rows["fresh"].dev_wer > ticket.dev_wer)
    original = json.loads((demo / "experiment.json").read_text())
    for kind in KINDS:
        state = json.loads((folder(demo, kind) / "experiment.json").read_text())
        assert (state["control"], state["transfer"], state["finished"]) == (kind, None, True)
        assert state["source"] == {
            "experiment": original["id"],
            "name": "demo",
            "round": 2,
            "key": original["keys"][2],
            "mask": mask(demo, 2).digest(),
        }
    assert "source" not in original


def test_given_again_it_trains_nothing_and_more_draws_add_to_it(played, monkeypatch):
    demo, _ = played
    before = {kind: json.loads((folder(demo, kind) / "experiment.json").read_text())["keys"] for kind in KINDS}
    words = ("control=[random,dense]", f"ticket={demo}/rounds/round-02", "tracking=disabled", "control_seeds=[0,1]")
    said = controls(*words, outputs=demo.parent)
    assert [line.split(" · ")[-1] for line in said.splitlines() if line.startswith("round 0/0 ·")].count("reused") == 0
    assert said.count("epoch 1/2") == 1 and said.count("epoch 1/6") == 0
    again = json.loads((folder(demo, "random") / "experiment.json").read_text())["keys"]
    assert again == before["random"]
    other = folder(demo, "random-seed-1")
    assert json.loads((other / "experiment.json").read_text())["control_seed"] == 1
    assert mask(other) != mask(folder(demo, "random"))
    assert "from a few trainings each" in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    {
        "control=all": "control=all needs the ticket that it is a control of: ticket=",
        "control=nosuch ticket=DEMO": "control=nosuch is not valid: give all, or some of random, shuffled, fresh",
        "control=[random,7] ticket=DEMO": "control=7 is not valid",
        "control=[] ticket=DEMO": r"control=\[\] is not valid",
        "control=all control_seeds=3 ticket=DEMO": "control_seeds=3 is not valid",
        "control=all ticket=DEMO/rounds/round-00": "keeps every weight: there is nothing to control for",
        "control=all ticket=DEMO resume=a/b/c": "are two commands; leave one of them out",
        "control=all ticket=/nowhere": "ticket=/nowhere is neither here",
        "transfer=mask": "transfer=mask needs the ticket to be transferred: ticket=",
        "transfer=everything": "transfer=everything is not valid: it must be one of ticket, mask, init, weights",
    }.items(),
)
def test_bad_words(played, capsys, cache, words, complaint):
    demo, _ = played
    assert attempt(*words.replace("DEMO", str(demo)).split(), "name=bad", outputs=demo.parent, cache=cache) == 2
    import re

    assert re.search(f"^run.py: .*{complaint}", the_line(capsys))
    assert not list(demo.parent.glob("bad*"))


def test_another_setting_on_the_command_line_is_refused(played, cache):
    """In a process of its own, where Hydra knows what the command said."""
    demo, _ = played
    done = play("control=sign", f"ticket={demo}/rounds/round-02", "seed=4", outputs=demo.parent, cache=cache)
    assert done.returncode == 2 and done.stdout == ""
    assert "control=sign would not be in the setting of its ticket: seed is 4 here and was 3 there" in done.stderr
    same = ("seed=3", "trainer.log_every=5", "rounds=2", "name=elsewhere", "trainer.threads=1")
    done = play("control=sign", f"ticket={demo}/rounds/round-02", *same, outputs=demo.parent, cache=cache)
    assert done.returncode == 0, done.stderr
    assert "reused" in done.stdout and (demo.parent / "elsewhere-02-control-sign/report.html").is_file()


def test_lineage_of_controls_that_were_recorded_offline(wandb_server, cache, tmp_path):
    demo = lottery("rounds=1", "tracking=offline", outputs=tmp_path, cache=cache)
    controls("control=[random,sign]", f"ticket={demo}/rounds/round-01", "name=a", outputs=tmp_path)
    assert [lth.tracking.sync.sync(folder) for folder in lth.tracking.sync.experiments([], tmp_path)] == [[]] * 3
    runs = {run.name: run for run in wandb.Api().runs(PROJECT)}
    assert len(runs) == 4
    for kind in ("random", "sign"):
        one = runs[f"demo-01-control-{kind}-round-00"]
        assert (one.group, one.job_type, one.config["control"]) == ("demo", "round", kind)
        assert sorted(a.name for a in one.used_artifacts()) == ["demo-init:v0", "demo-mask:v1"]
    assert not wandb_server.state.unknown


def test_controls_of_a_ticket_that_is_a_wandb_artifact(wandb_server, cache, tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    demo = lottery("rounds=1", "tracking=online", outputs=there, cache=cache)
    where = f"{PROJECT}/demo-mask:round-01"
    # what is remote says nothing of where this machine has its corpus
    control(
        compose("control=[shuffled,dense]", f"ticket={where}", "tracking=online", f"outputs={here}"),
        Console(file=io.StringIO()),
    )
    assert mask(here / "demo-01-control-shuffled").survivors() == mask(demo, 1).survivors()
    assert inputs(here / "demo-01-control-dense")["trainer"]["max_epochs"] == 4
    first = next(r for r in wandb.Api().runs(PROJECT) if r.name == "demo-01-control-dense-round-00")
    assert first.group == "demo"
    assert sorted(a.name for a in first.used_artifacts()) == ["demo-init:v0", "demo-mask:v1"]
    assert not wandb_server.state.unknown
    # the newest run of the group is a control's, and yet the lottery is what its name brings back
    rows = run(compose(f"resume={PROJECT}/demo", f"outputs={tmp_path}/third"), Console(file=io.StringIO()))
    assert [row.key for row in rows] == [row.key for row in read_csv(demo / "rounds.csv")]
    rows = run(compose(f"resume={PROJECT}/demo-01-control-dense", f"outputs={tmp_path}/third"), Console(quiet=True))
    state = json.loads((tmp_path / "third/demo-01-control-dense/experiment.json").read_text())
    assert len(rows) == 1 and state["control"] == "dense" and state["source"]["round"] == 1


def test_a_control_that_fails_leaves_the_others_alone(played, monkeypatch, tmp_path):
    import lth.lottery.branch.control

    demo, _ = played
    original = lth.lottery.branch.control.run

    def failing(plan, *args, **kwargs):
        if plan.config.control == "random":
            raise UserError("the loss is nan")
        return original(plan, *args, **kwargs)

    monkeypatch.setattr(lth.lottery.branch.control, "run", failing)
    with pytest.raises(UserError, match="random: the loss is nan"):
        controls("control=[random,sign]", f"ticket={demo}", "tracking=disabled", outputs=tmp_path)
    assert list(tmp_path.glob("demo-0?-control-sign/report.html"))
