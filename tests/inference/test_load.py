"""`lth.load_ticket`: the network of a round, by itself, against the same one in its whole setting."""

import json
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import lth
from lth.errors import UserError
from lth.inference.trained import load_trained
from lth.inference.transcribe import transcribe
from lth.speech.corpora.corpus import audio_file
from tests.configs import PROJECT
from tests.inference.test_trained import words
from tests.lotteries import play


@pytest.fixture(scope="module")
def demo(tmp_path_factory, cache):
    outputs = tmp_path_factory.mktemp("load")
    done = play("rounds=1", "trainer.max_epochs=4", outputs=outputs, cache=cache)
    assert done.returncode == 0, done.stderr
    return outputs / "demo"


def test_it_is_the_round_s_network_and_hears_what_it_heard(demo):
    folder = demo / "rounds/round-01"
    setting, recogniser, _ = load_trained(words("tune", f"ticket={folder}"), ())
    ticket = lth.load_ticket(folder)
    (batch, *_) = setting.dev_batches()
    with torch.no_grad():
        there = recogniser(batch)
        here = ticket.model()(*ticket.features(batch["audio"], batch["lengths"]))
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))
    kept = [json.loads(line) for line in (folder / "hypotheses.jsonl").read_text().splitlines()]
    expected = {row["id"]: row["hypothesis"] for row in kept if row["set"] == "dev"}
    cuts = list(setting.corpus.dev)
    assert any(expected.values())
    for cut in cuts[:5]:
        assert ticket.transcribe(audio_file(cut)) == expected[cut.id]


def test_a_long_recording_is_cut_as_the_command_cuts_it(demo, tmp_path, capsys):
    setting, *_ = load_trained(words("tune", f"ticket={demo}/rounds/round-01"), ())
    file = audio_file(max(setting.corpus.dev, key=lambda cut: cut.duration))
    told = transcribe(words("transcribe", f"ticket={demo}/rounds/round-01", f"audio={file}", "longest=0.5"))
    assert len(told[0]["pieces"]) > 1
    assert lth.load_ticket(demo / "rounds/round-01").transcribe(file, longest=0.5) == told[0]["text"]


def test_its_parts_are_those_of_the_files(demo):
    ticket = lth.load_ticket(demo / "rounds/round-01")
    init, weights = load_file(demo / "init.safetensors"), load_file(demo / "rounds/round-01/weights.safetensors")
    for name, value in ticket.model().state_dict().items():
        assert torch.equal(value, weights[name]) and torch.equal(ticket.weights[name], weights[name])
    for name, value in ticket.model(trained=False).state_dict().items():
        assert torch.equal(ticket.init[name], init[name])
        assert torch.equal(value, init[name] * ticket.mask[name] if name in ticket.mask else init[name])
    assert not ticket.model().training and 0 < ticket.mask.density < 1
    assert "mask=Mask(" in repr(ticket) and len(repr(ticket)) < 300
    extreme = lth.load_ticket(demo)  # the only pruned round is the best ticket, whether it wins or not
    assert extreme.mask == ticket.mask


def test_what_is_missing_is_said(demo, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        lth.load_ticket(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"none\.wav does not exist"):
        lth.load_ticket(demo).transcribe(tmp_path / "none.wav")


def test_every_block_of_python_in_the_readme_does_what_it_says(demo, cache, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2 and all(len(block.strip().splitlines()) <= 5 for block in blocks)
    (tmp_path / "outputs").symlink_to(demo.parent)
    (tmp_path / "talk.wav").symlink_to(next(cache.rglob("*.wav")))
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert [row["round"] for row in names["table"]] == [0, 1]
    assert isinstance(names["model"], torch.nn.Module) and isinstance(names["text"], str)
    assert names["ticket"].mask.density == names["table"][1]["density"] == 0.5


def test_importing_lth_imports_nothing_else():
    code = "import sys, lth; print(sorted(m for m in sys.modules if m.startswith('lth')), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['lth'] False"
    assert {"experiments", "rounds", "load_ticket"} <= set(dir(lth))
    with pytest.raises(AttributeError, match="no attribute 'ticket'"):
        lth.ticket  # noqa: B018
