"""Going on from W&B alone, on a machine that has nothing: the same experiment, and never more than was asked for."""

import csv
import io
import json
from pathlib import Path

import pytest
import wandb
from omegaconf import OmegaConf
from rich.console import Console

import lth.lottery.setup.recorded
import lth.tracking.sync
from lth.errors import UserError
from lth.lottery.setup.recorded import relocate
from lth.store.maskfile import load_mask
from lth.tracking.fetch import download
from lth.tracking.record import load_records, run_id
from lth.tracking.upload import make_again
from tests.configs import compose
from tests.loopback_wandb import fixture
from tests.loopback_wandb.played import play_all
from tests.lotteries import command, play, run

wandb_client = fixture.wandb_client
wandb_server = fixture.wandb_server

WHERE = "loopback/audio-lottery"


def lottery(*overrides: str, outputs: Path, cache: Path) -> str:
    """An experiment in this process; what it printed."""
    printed = io.StringIO()
    run(compose(*command(*overrides, outputs=outputs, cache=cache)), Console(file=printed))
    return printed.getvalue()


def rows(folder: Path) -> list[dict]:
    """`rounds.csv` without times."""
    with (folder / "rounds.csv").open() as file:
        return [{k: v for k, v in row.items() if "second" not in k} for row in csv.DictReader(file)]


def files(folder: Path, number: int, *names: str) -> list[bytes]:
    return [(folder / "rounds" / f"round-{number:02d}" / name).read_bytes() for name in names]


def test_without_weights_only_the_last_round_is_trained_again(wandb_server, cache, tmp_path):
    there, here, never = (tmp_path / name for name in ("there", "here", "never_stopped"))
    lottery("rounds=1", "tracking=online", outputs=there, cache=cache)
    lottery("rounds=2", outputs=never, cache=cache)

    done = play(f"resume={WHERE}/demo", "rounds=2", "tracking=online", outputs=here, cache=cache)
    assert done.returncode == 0, done.stderr
    trained = [line.split(" · ")[0] for line in done.stdout.splitlines() if "epoch 1/2" in line]
    assert trained == ["round 1/2", "round 2/2"]
    assert "other weights than W&B remembers" not in done.stderr
    assert rows(here / "demo") == rows(never / "demo")
    assert not (here / "demo/rounds/round-00/weights.safetensors").exists()
    for number, names in enumerate([(), ("weights.safetensors",), ("weights.safetensors",)]):
        names = (*names, "hypotheses.jsonl", "history.jsonl")
        assert files(here / "demo", number, *names) == files(never / "demo", number, *names)
        mask, reference = (load_mask(o / f"demo/rounds/round-{number:02d}/mask.lth")[0] for o in (here, never))
        assert mask == reference

    # one experiment on W&B, its lineage going on where it stopped
    id = json.loads((there / "demo/experiment.json").read_text())["id"]
    api = wandb.Api()
    assert {r.id for r in api.runs(WHERE)} == {run_id(id, number) for number in range(3)}
    used = {alias for a in api.run(f"{WHERE}/{run_id(id, 2)}").used_artifacts() for alias in a.aliases}
    assert {run_id(id, 0), run_id(id, 1)} <= used
    assert [record.round for record in load_records(here / "demo")] == [0, 1, 2]
    assert not wandb_server.state.unknown


def test_with_weights_a_round_comes_back_whole_and_nothing_is_trained_twice(wandb_server, cache, tmp_path, monkeypatch):
    there, here = tmp_path / "there", tmp_path / "here"
    lottery("rounds=1", "tracking=online", "tracking.log_weights=true", outputs=there, cache=cache)
    done = play(f"resume={WHERE}/demo", "rounds=1", outputs=here, cache=cache)
    assert done.returncode == 0, done.stderr
    assert "epoch 1/2" not in done.stdout
    assert (here / "demo/rounds.csv").read_text() == (there / "demo/rounds.csv").read_text()
    for number in range(2):
        folders = [o / f"demo/rounds/round-{number:02d}" for o in (here, there)]
        names = sorted(path.name for path in folders[1].iterdir())
        assert sorted(path.name for path in folders[0].iterdir()) == names
        assert files(here / "demo", number, *names) == files(there / "demo", number, *names)

    for key, value, complaint in (
        ("corpus.sizes.train", 50, "another experiment: corpus is"),
        ("trainer.lr", 0.1, "another experiment: trainer.lr is 0.1 here and was 0.0015 there"),
        ("strategy.amount", 0.3, "another experiment: its strategy"),
        ("strategy", "layerwise", "leave out strategy=layerwise"),
    ):
        monkeypatch.setattr(
            lth.lottery.setup.recorded,
            "command_overrides",
            lambda k=key, v=value: [("corpus.cache", str(cache)), (k, v)],
        )
        with pytest.raises(UserError, match=complaint):
            lottery(f"resume={WHERE}/demo", outputs=tmp_path / "other", cache=cache)
        assert not list((tmp_path / "other").glob("store/r*/*"))


def test_an_offline_experiment_is_there_once_it_is_uploaded(wandb_server, cache, tmp_path, monkeypatch):
    there, here = tmp_path / "there", tmp_path / "here"
    lottery("rounds=1", "tracking=offline", outputs=there, cache=cache)
    assert not lth.tracking.sync.sync(there / "demo")
    monkeypatch.setattr(lth.lottery.setup.recorded, "command_overrides", lambda: [("corpus.cache", str(cache))])
    printed = lottery(f"resume={WHERE}/demo", "tracking=offline", outputs=here, cache=cache)
    assert "epoch" not in printed.partition("results in")[2]
    assert rows(here / "demo") == rows(there / "demo")
    assert not list((here / "demo/wandb").glob("offline-run-*"))  # W&B has these runs: nothing to upload twice
    for record in load_records(here / "demo"):  # and could be given every artifact again
        assert {artifact.type for artifact in record.artifacts} >= {"mask", "round"}
        assert [make_again(here / "demo", artifact).digest for artifact in record.artifacts] == [
            artifact.digest for artifact in record.artifacts
        ]
    uploads = wandb_server.state.operations["CreateArtifact"]
    assert not lth.tracking.sync.sync(here / "demo")
    assert wandb_server.state.operations["CreateArtifact"] == uploads


def test_an_experiment_that_is_not_there_is_named(wandb_server, cache, tmp_path):
    play_all(tmp_path, "online")
    for where, complaint in {
        "loopback/lottery/dmeo": "there is no round of an experiment dmeo",
        "loopback/nowhere/demo": "W&B says: Could not find project",
        "demo": "not of the form ENTITY/PROJECT/EXPERIMENT",
    }.items():
        with pytest.raises(UserError, match=complaint):
            lottery(f"resume={where}", outputs=tmp_path / "here", cache=cache)
    wandb_server.misbehave(401)
    with pytest.raises(UserError, match="W&B says"):
        lottery("resume=loopback/lottery/demo", outputs=tmp_path / "here", cache=cache)


def test_an_experiment_recorded_without_its_rounds_is_refused(wandb_server, cache, tmp_path):
    play_all(tmp_path, "online")  # as an earlier version logged it
    with pytest.raises(UserError, match="lack what a resume needs"):
        lottery("resume=loopback/lottery/demo", outputs=tmp_path / "here", cache=cache)


def manifest(server, name: str) -> Path:
    """The server's file of the manifest of an artifact's newest version."""
    versions = server.state.collections["loopback", "lottery", name].versions
    return server.state.manifests[server.state.artifacts[versions[-1]].manifest].file


@pytest.mark.parametrize("entry", ["../../escaped", "/escaped", "sub/../../escaped", "sub/mask.lth"])
def test_no_file_is_written_outside_the_folder(wandb_server, tmp_path, entry):
    play_all(tmp_path, "online")
    file = manifest(wandb_server, "demo-mask")
    content = json.loads(file.read_text())
    content["contents"][entry] = content["contents"]["mask.lth"]
    file.write_text(json.dumps(content))
    folder = tmp_path / "a" / "b" / "folder"
    folder.mkdir(parents=True)
    artifact = wandb.Api().artifact("loopback/lottery/demo-mask:round-02")
    assert entry in artifact.manifest.entries
    before = set(tmp_path.rglob("*escaped*"))
    with pytest.raises(UserError, match="leads out of its folder"):
        download(artifact, entry, folder)
    assert set(tmp_path.rglob("*escaped*")) == before and not Path("/escaped").exists()
    assert download(artifact, "mask.lth", folder).read_bytes() == b"mask 2"
    assert [path.name for path in folder.rglob("*")] == ["mask.lth"]  # the other entries were not followed


def test_a_reference_and_a_changed_file_are_refused(wandb_server, tmp_path):
    play_all(tmp_path, "online")
    (tmp_path / "secret").write_text("mine")
    file = manifest(wandb_server, "demo-mask")
    content = json.loads(file.read_text())
    honest = dict(content["contents"]["mask.lth"])
    content["contents"]["mask.lth"]["ref"] = f"file://{tmp_path}/secret"
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="leads out of its folder"):
        download(wandb.Api().artifact("loopback/lottery/demo-mask:round-02"), "mask.lth", tmp_path)

    content["contents"]["mask.lth"] = honest
    file.write_text(json.dumps(content))
    wandb_server.state.blob(honest["digest"]).write_bytes(b"mask X")
    with pytest.raises(UserError, match=r"mask.lth .* does not match its checksum"):
        download(wandb.Api().artifact("loopback/lottery/demo-mask:round-02"), "mask.lth", tmp_path)


def test_a_hostile_round_does_not_enter_the_store(wandb_server, cache, tmp_path):
    """Metrics that were changed on the server, their MD5 in the manifest with them."""
    lottery("rounds=0", "tracking=online", "tracking.project=lottery", outputs=tmp_path / "there", cache=cache)
    file = manifest(wandb_server, "demo-round")
    content = json.loads(file.read_text())
    content["contents"]["metrics.json"] = content["contents"]["hypotheses.jsonl"]
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"metrics.json does not match the checksum"):
        lottery("resume=loopback/lottery/demo", "rounds=0", outputs=tmp_path / "here", cache=cache)
    assert not list((tmp_path / "here/store").glob("r*/*"))


INPUTS = {"accelerator": "cpu", "precision": "32-true"}


def recorded(**changes) -> dict:
    config = OmegaConf.to_container(compose("corpus=an4", "corpus.root=/their/an4", "outputs=/their/outputs"))
    return {**config, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"features": {"_target_": "os.system", "command": "true"}},
        {"augment": {"spec": [{"_target_": "builtins.eval"}]}},
        {"tokens": "${oc.env:HOME}"},
        {"model": {"_target_": "${tokens}", "layers": "${oc.env:HOME}"}},
        {"model": {"name": "os.system", "command": "true"}},
        {"strategy": {"criterion": {"name": "lth.tickets.structure.Weights"}}},
        {"corpus": {"name": "an4", "loader": "os.system"}},
    ],
)
def test_a_recorded_config_cannot_call_what_it_likes(changes):
    with pytest.raises(UserError, match=r"wants to call|may read more|none of this program's choices"):
        relocate(recorded(**changes), compose(), "resume=x/y/z", INPUTS)


def test_where_things_lie_is_never_taken_from_wandb():
    theirs = recorded(store="/their/store")
    theirs["corpus"]["loader"]["root"] = "/their/secrets"
    config = relocate(theirs, compose("outputs=here", "tracking=disabled"), "resume=x/y/z", INPUTS)
    assert (config.outputs, config.store, config.tracking.mode) == ("here", "here/store", "disabled")
    assert config.corpus.root is None and config.corpus.loader.root is None
    assert config.corpus.loader["name"] == "an4"
    assert "/their" not in OmegaConf.to_yaml(config, resolve=True)


def test_the_command_says_where_the_corpus_lies(monkeypatch):
    words = [("corpus", "an4"), ("corpus.root", "/here"), ("rounds", 7), ("tracking.mode", "disabled")]
    monkeypatch.setattr(lth.lottery.setup.recorded, "command_overrides", lambda: words)
    config = relocate(recorded(), compose("corpus=an4", "corpus.root=/here"), "resume=x/y/z", INPUTS)
    assert (config.corpus.loader.root, config.rounds, config.tracking.mode) == ("/here", 7, "offline")
    with pytest.raises(UserError, match="leave out corpus=an4"):
        relocate(
            {**recorded(), "corpus": recorded()["corpus"] | {"name": "tedlium"}}, compose("corpus=an4"), "r", INPUTS
        )
