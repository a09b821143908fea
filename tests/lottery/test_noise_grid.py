"""The noise grid: `test_noise=grid`."""

import dataclasses
import hashlib
import json
import shutil

import jiwer
import numpy as np
import pytest
import soundfile

import lth.lottery.noise_grid
from lth.errors import UserError
from lth.files import damaged, write_sums
from lth.lottery.noise_grid import noise_conditions
from lth.lottery.setup.setting import prepare
from lth.speech.augment.noise import NoiseInjection, coloured
from lth.store.housekeeping import inventory, prune
from lth.store.noise_rows import read_noise_csv
from lth.store.rows import read_csv, winning
from lth.store.store import StoredRound
from tests.attempts import attempt, the_line
from tests.configs import TINY, compose
from tests.lotteries import KILLED, kill_at, play

GRID = ("rounds=1", "test_noise=grid", "test_noise.levels=[0,0.5]", "test_noise.snrs=[0,10]")
CLEAN = NoiseInjection("none", 0, 0, 0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory, cache):
    """A finished experiment with its grid."""
    outputs = tmp_path_factory.mktemp("grid")
    assert attempt(*GRID, outputs=outputs, cache=cache) == 0
    return outputs


def transcript(outputs, row):
    lines = (outputs / "store" / row.transcript).read_text().splitlines()
    return {x["id"]: x for x in map(json.loads, lines) if x["set"] == row.split}


def test_every_chosen_ticket_in_every_noise(measured):
    rows, rounds = read_noise_csv(measured / "demo/noise.csv"), read_csv(measured / "demo/rounds.csv")
    extreme, best = winning(rounds)
    chosen = {"dense": rounds[0], "extreme": extreme, "best": best}
    chosen = {name: row for name, row in chosen.items() if row is not None}
    noises = [("none", None), ("level", 0.5), ("snr", 0.0), ("snr", 10.0)]
    there = {(row.ticket, row.split, row.kind, row.value): row for row in rows}
    assert there.keys() == {(t, s, *n) for t in chosen for s in ("dev", "test") for n in noises}
    for row in rows:
        assert (row.round, row.density) == (chosen[row.ticket].round, chosen[row.ticket].density)
        assert row.low <= row.wer <= row.high
        if row.kind == "none":
            of_round = chosen[row.ticket]
            assert (row.wer, row.cer) == (
                (of_round.dev_wer, of_round.dev_cer) if row.split == "dev" else (of_round.test_wer, of_round.test_cer)
            )


def test_rates_are_jiwers_of_the_stored_hypotheses(measured):
    rows = read_noise_csv(measured / "demo/noise.csv")
    dense = {(row.split, row.condition): row for row in rows if row.ticket == "dense"}
    for row in rows:
        said = transcript(measured, row)
        references, hypotheses = ([x[k] for x in said.values()] for k in ("reference", "hypothesis"))
        assert row.wer == pytest.approx(jiwer.wer(references, hypotheses), abs=1e-12)
        assert row.cer == pytest.approx(jiwer.cer(references, hypotheses), abs=1e-12)
        assert row.utterances == len(said) and row.words == sum(len(r.split()) for r in references)
        assert row.errors == round(row.wer * row.words)
        if row.ticket == "dense":
            assert row.difference is None
        else:
            assert row.difference == pytest.approx(row.wer - dense[row.split, row.condition].wer, abs=1e-12)
            assert row.difference_low <= row.difference + 1e-9 and row.difference <= row.difference_high + 1e-9
        assert damaged((measured / "store" / row.transcript).parent) is None


def heard(setting, noise):
    """Utterance id -> what reaches the model, dev and test together."""
    noisy = dataclasses.replace(setting, noise=noise)
    loaders = [noisy.dev_batches(), *noisy.test_batches().values()]
    batches = [batch for loader in loaders for batch in loader]
    return {
        id: audio[:n].numpy().astype(np.float64)
        for batch in batches
        for id, audio, n in zip(batch["ids"], batch["audio"], batch["lengths"], strict=True)
    }


def test_what_an_utterance_hears_is_the_formula(cache):
    """x + level * noise and a mix at exactly 0 dB, of one stretch of a held-out clip: by hand from the digest."""
    config = compose(*TINY, f"corpus.cache={cache}", *GRID, "seed=3")
    setting = prepare(config)
    clean, level, zero, ten = (heard(setting, condition.noise) for condition in noise_conditions(config, CLEAN))
    clips = [coloured(colour, held_out=True).astype(np.float64) for colour in ("white", "pink", "brown")]
    assert not any(np.array_equal(clip, coloured(c)) for clip, c in zip(clips, ("white", "pink", "brown"), strict=True))
    assert len(clean) == 40 and clean.keys() == level.keys() == zero.keys()
    for id, x in clean.items():
        words = np.frombuffer(hashlib.sha256(json.dumps([0, id]).encode()).digest(), "<u8")
        which, where = (int(word >> np.uint64(11)) / 2**53 for word in words[2:])
        clip = clips[int(3 * which)]
        start = int(where * (len(clip) - len(x) + 1))
        noise = clip[start : start + len(x)]
        np.testing.assert_allclose(level[id], x + 0.5 * noise, atol=1e-6)
        for mixed, decibels in ((zero[id], 0), (ten[id], 10)):
            scale = np.sqrt((x**2).mean() / (noise**2).mean() / 10 ** (decibels / 10))
            np.testing.assert_allclose(mixed, x + scale * noise, atol=1e-5)


def test_every_model_hears_the_same(measured, cache, monkeypatch, tmp_path):
    """The batches that the models of two rounds transcribe, bit for bit; and another seed of the experiment's."""
    seen = []
    original = lth.lottery.noise_grid.evaluate

    def evaluate(setting, recogniser):
        audio = sorted((id, a.tobytes()) for id, a in heard(setting, setting.noise).items())
        seen.append(hashlib.sha256(repr(audio).encode()).hexdigest())
        return original(setting, recogniser)

    monkeypatch.setattr(lth.lottery.noise_grid, "evaluate", evaluate)
    words = ("rounds=1", "test_noise=grid", "test_noise.levels=[0.3]", "test_noise.snrs=null")
    assert (
        attempt(*words, outputs=tmp_path, cache=cache) == attempt(*words, "seed=1", outputs=tmp_path, cache=cache) == 0
    )
    assert len(seen) == 4 and len(set(seen)) == 1


def test_a_finished_experiment_is_only_transcribed(measured, cache, tmp_path, monkeypatch):
    shutil.copytree(measured, tmp_path / "copy", symlinks=True)
    before = (tmp_path / "copy/demo/noise.csv").read_bytes()
    monkeypatch.setattr(lth.lottery.round, "fit", None)
    asked = []
    original = lth.lottery.noise_grid.evaluate
    monkeypatch.setattr(lth.lottery.noise_grid, "evaluate", lambda *a: asked.append(a) or original(*a))
    assert attempt(*GRID, outputs=tmp_path / "copy", cache=cache) == 0
    assert not asked and (tmp_path / "copy/demo/noise.csv").read_bytes() == before
    assert attempt(*GRID, "test_noise.snrs=[0,5]", outputs=tmp_path / "copy", cache=cache) == 0
    models = {row.round for row in read_noise_csv(tmp_path / "copy/demo/noise.csv")}
    assert len(asked) == len(models)  # 5 dB only


def test_killed_in_the_middle_of_the_grid_and_resumed(measured, cache, tmp_path):
    killed = play(*GRID, outputs=tmp_path, cache=cache, code=kill_at("lth.lottery.noise_grid", "", "evaluate", 3))
    assert killed.returncode == KILLED, killed.stderr
    finished = list((tmp_path / "store/transcripts").iterdir())
    assert len(finished) == 2 and not (tmp_path / "demo/noise.csv").exists()
    times = {path: (path / "hypotheses.jsonl").stat().st_mtime_ns for path in finished}
    assert attempt(*GRID, outputs=tmp_path, cache=cache) == 0
    assert (tmp_path / "demo/noise.csv").read_bytes() == (measured / "demo/noise.csv").read_bytes()
    assert all((path / "hypotheses.jsonl").stat().st_mtime_ns == time for path, time in times.items())


def test_a_damaged_transcript_is_named_and_made_again(measured, cache, tmp_path, caplog):
    shutil.copytree(measured, tmp_path / "copy", symlinks=True)
    row = read_noise_csv(tmp_path / "copy/demo/noise.csv")[-1]
    file = tmp_path / "copy/store" / row.transcript
    before = file.read_bytes()
    file.write_bytes(before[:-30])
    assert attempt(*GRID, outputs=tmp_path / "copy", cache=cache) == 0
    assert file.read_bytes() == before
    assert "hypotheses.jsonl does not match its checksum" in caplog.text


def test_a_transcript_goes_when_nothing_needs_its_round(measured, tmp_path):
    shutil.copytree(measured, tmp_path / "copy", symlinks=True)
    store, outputs = tmp_path / "copy/store", tmp_path / "copy"
    shutil.rmtree(store / "experiments")  # it tells of the original
    kinds = [item.kind for item in inventory(store, outputs) if item.users]
    assert kinds.count("transcript") == len(list((store / "transcripts").iterdir())) > 0
    assert not prune(store, outputs, 0)
    shutil.rmtree(outputs / "demo")
    assert {item.kind for item in prune(store, outputs, 0)} >= {"transcript", "round"}
    assert not list((store / "transcripts").iterdir())


def test_other_weights_under_the_same_key_are_transcribed_anew(measured, tmp_path):
    condition = noise_conditions(compose(*GRID), CLEAN)[1]
    original = next((measured / "store/rounds").iterdir())
    shutil.copytree(original, tmp_path / original.name)
    name = lth.lottery.noise_grid.transcript_name(StoredRound(original), condition)
    assert lth.lottery.noise_grid.transcript_name(StoredRound(tmp_path / original.name), condition) == name
    with (tmp_path / original.name / "weights.safetensors").open("ab") as file:
        file.write(b" ")
    write_sums(tmp_path / original.name)
    assert lth.lottery.noise_grid.transcript_name(StoredRound(tmp_path / original.name), condition) != name


BAD = {
    "test_noise.levels=[-0.1]": "test_noise.levels lists numbers from 0 to 100, not -0.1",
    "test_noise.levels=[loud]": "not 'loud'",
    "test_noise.levels=0.5": "test_noise.levels=0.5 is no list of strengths: give a list",
    "test_noise.snrs=[]": r"test_noise.snrs=\[\] is no list of strengths: give a list such as",
    "test_noise.snrs=[1000]": "test_noise.snrs lists numbers from -100 to 100",
    "test_noise.snrs=[true]": "not True",
    "test_noise.root=/no/such": "^test_noise.root=/no/such is no folder",
    "test_noise.part=both": "^test_noise.part is one of all, train, test",
    "test_noise.seed=x": "^test_noise.seed is a whole number",
    "test_noise.kind=gird": "test_noise.kind=gird is unknown",
}


@pytest.mark.parametrize("word", BAD)
def test_bad_input_is_one_sentence(word):
    with pytest.raises(UserError, match=BAD[word]) as raised:
        noise_conditions(compose("test_noise=grid", word), CLEAN)
    assert "\n" not in str(raised.value)


def test_bad_input_stops_the_command_before_training(tmp_path, cache, capsys):
    (tmp_path / "empty").mkdir()
    assert attempt(*GRID, f"test_noise.root={tmp_path}/empty", outputs=tmp_path, cache=cache) == 2
    assert the_line(capsys).startswith(f"run.py: test_noise.root={tmp_path}/empty has no audio in it")
    assert not (tmp_path / "demo").exists()
    with pytest.raises(UserError, match="both null"):
        noise_conditions(compose("test_noise=grid", "test_noise.levels=null", "test_noise.snrs=null"), CLEAN)


def test_recordings_that_training_has_heard_are_held_out(tmp_path):
    random = np.random.default_rng(0)
    for number in range(7):
        soundfile.write(tmp_path / f"{number}.wav", random.uniform(-0.5, 0.5, 4000), 16_000)
    config = compose("test_noise=grid", f"test_noise.root={tmp_path}")
    heard = NoiseInjection("snr", 1.0, 0, 10, tmp_path)
    with pytest.raises(UserError, match=r"3 of the 3 recordings .* noise\.part=train"):
        noise_conditions(config, heard)
    held = NoiseInjection("snr", 1.0, 0, 10, tmp_path, part="train")
    noises = [condition.noise for condition in noise_conditions(config, held)[1:]]
    assert all(len(noise.clips) == 3 and len(held.clips) == 4 for noise in noises)
    assert not {clip.tobytes() for clip in noises[0].clips} & {clip.tobytes() for clip in held.clips}
    assert noise_conditions(compose("test_noise=grid", f"test_noise.root={tmp_path}", "test_noise.part=all"), heard)
    assert noise_conditions(config, NoiseInjection("snr", 1.0, 0, 10, tmp_path, apply_to=["dev"]))
