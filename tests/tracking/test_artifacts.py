"""Which artifacts a round logs, and what a new one takes."""

import json

import pytest

from lth.store.store import StoredRound
from lth.tracking.artifacts import Artifact, artifact_record, round_artifacts
from lth.tracking.record import load_records, run_id
from lth.tracking.rounds import RoundRun, SilentRun
from lth.tracking.session import TrackingOptions
from tests.configs import compose
from tests.loopback_wandb import fixture
from tests.loopback_wandb.played import ID, metrics, opened, play

wandb_client = fixture.wandb_client
ABOUT = {"id": ID, "config": {"seed": 7}}


def logged(root, number, **changes):
    """The artifacts of a round of an offline tracker's, and the record they were made for."""
    folder = root / "round"
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics(number)))
    record = opened(root, "offline").round(number, inputs={"key": f"key{number}"}).record
    options = {"init": root / "init.safetensors", "rewind": None, "about": ABOUT, "weights": False}
    return round_artifacts(record, StoredRound(folder), **(options | changes)), record


@pytest.mark.parametrize(
    ("number", "changes", "kinds"),
    [
        (0, {}, ["init", "mask", "round"]),
        (1, {}, ["mask", "round"]),
        (0, {"rewind": True}, ["init", "mask", "round"]),
        (1, {"rewind": True}, ["mask", "rewind", "round"]),
        (2, {"rewind": True, "weights": True}, ["mask", "weights", "round"]),
    ],
)
def test_what_each_round_logs(tmp_path, number, changes, kinds):
    if "rewind" in changes:
        changes = {**changes, "rewind": tmp_path / "early" / "weights.safetensors"}
    artifacts, _ = logged(tmp_path, number, **changes)
    assert [artifact.kind for artifact in artifacts] == kinds
    assert [a.type for a in artifacts if a.kind == "weights"] == ["model"] * kinds.count("weights")


def test_the_round_artifact_says_what_another_machine_needs_and_the_mask_only_which_round_it_is(tmp_path):
    (mask, whole), record = logged(tmp_path, 2)
    which = {"key": "key2", "density": 0.25, "round": 2, "run": run_id(ID, 2)}
    assert mask.label == which
    assert whole.label == {**which, "uses": record.uses, "experiment": ABOUT}
    assert [path.name for path in whole.files] == ["metrics.json", "hypotheses.jsonl", "history.jsonl", "SHA256SUMS"]
    assert mask.metadata == {**which, "dev_wer": 0.25, "test-clean_wer": 0.125, "test-clean_cer": 0.0625}


def test_the_record_names_files_from_the_experiments_folder(tmp_path):
    record = opened(tmp_path, "offline").round(3, inputs={"key": "key3"}).record
    artifact = Artifact("heat map", [tmp_path / "store" / "heat.png"], ["newest"], {"density": 0.5})
    entry = artifact_record(artifact, record, "my demo", tmp_path / "demo")
    assert (entry.name, entry.type) == ("my-demo-heat-map", "heat map")
    assert entry.aliases == [run_id(ID, 3), "newest"]
    assert entry.files == {"heat.png": "../store/heat.png"}
    assert entry.metadata == {"experiment": "my demo", "density": 0.5}
    assert entry.label == {}


def test_a_copied_file_lies_beside_the_record(wandb_client, tmp_path):
    (tmp_path / "table.csv").write_text("1")
    with opened(tmp_path, "offline").round(0, inputs={"key": "key0"}) as run:
        run.finish(metrics(0), [Artifact("table", [tmp_path / "table.csv"], copied=True)])
    (tmp_path / "table.csv").write_text("2")
    ((artifact,),) = [record.artifacts for record in load_records(tmp_path / "demo")]
    assert artifact.files == {"table.csv": f"wandb/records/{run_id(ID, 0)}/table.csv"}
    assert (tmp_path / "demo" / artifact.files["table.csv"]).read_text() == "1"


def test_a_run_with_nothing_to_tell_is_silent(wandb_client, tmp_path):
    assert isinstance(opened(tmp_path, "disabled").round(0, inputs={"key": "key0"}), SilentRun)
    tracker = opened(tmp_path, "offline")
    play(tracker, tmp_path, 0)
    assert isinstance(tracker.round(0, inputs={"key": "key0"}), SilentRun)
    assert isinstance(tracker.round(0, inputs={"key": "another"}), RoundRun)
    assert isinstance(tracker.round(1, inputs={"key": "key1"}), RoundRun)


def test_the_options_are_the_keys_of_the_tracking_group():
    tracking = compose("tracking=online", "tracking.group=mine", "tracking.log_weights=true").tracking
    options = TrackingOptions(**tracking)
    assert (options.mode, options.group, options.log_weights) == ("online", "mine", True)
    assert set(tracking) == set(TrackingOptions.__dataclass_fields__)
