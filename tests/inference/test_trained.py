"""A trained network, tuned and heard: `lth.inference.tune` and `lth.inference.transcribe` on a tiny lottery."""

import io
import json

import numpy as np
import pytest
import soundfile
import soxr
from rich.console import Console

from lth.decoding.ngram import estimate, write_arpa
from lth.errors import UserError
from lth.inference.listening import Listener
from lth.inference.trained import load_trained
from lth.inference.transcribe import transcribe
from lth.inference.tune import tune
from lth.lottery.setup import names
from lth.speech.corpora.corpus import audio_file
from tests.configs import compose
from tests.lotteries import command, run
from tests.models.small import SMALL

CONSOLE = Console(file=io.StringIO(), width=200)


@pytest.fixture(scope="module")
def demo(tmp_path_factory, cache):
    """A tiny lottery and a language model of its train transcripts."""
    outputs = tmp_path_factory.mktemp("trained")
    run(compose(*command("rounds=0", "trainer.max_epochs=6", outputs=outputs, cache=cache)), CONSOLE)
    setting, *_ = load_trained(words("tune", f"ticket={outputs}/demo/rounds/round-00"), ())
    write_arpa(estimate([cut.supervisions[0].text for cut in setting.corpus.train], 2), outputs / "lm.arpa")
    return outputs


def words(name, *overrides):
    return names.compose(overrides, name)


def test_the_network_is_the_round_s_and_hears_what_it_heard(demo):
    setting, recogniser, ticket = load_trained(words("tune", f"ticket={demo}/demo/rounds/round-00"), ())
    kept = [json.loads(line) for line in (demo / "demo/rounds/round-00/hypotheses.jsonl").read_text().splitlines()]
    expected = {row["id"]: row["hypothesis"] for row in kept if row["set"] == "dev"}
    for batch in setting.dev_batches():
        said = recogniser.hypotheses(*recogniser(batch))
        assert said == [expected[id] for id in batch["ids"]]
    assert ticket.home == demo / "demo"


def test_tuning_tries_what_it_was_told_and_is_never_worse_than_where_it_began(demo):
    base = [f"ticket={demo}/demo/rounds/round-00", "decoder=beam", f"decoder.lm={demo}/lm.arpa", "decoder.processes=1"]
    one = tune(words("tune", *base, "trials=1", "decoder.alpha=0.4"), CONSOLE)
    assert (one["alpha"], one["beta"]) == (0.4, 0.0)  # the command's own come first
    found = tune(words("tune", *base, "trials=8", "decoder.alpha=0.4", "alpha=[0.2,0.6]", "beta=[0,1]"), CONSOLE)
    assert 0.2 <= found["alpha"] <= 0.6 and 0 <= found["beta"] <= 1 and found["dev_wer"] <= one["dev_wer"]
    assert json.loads((demo / "demo/tuned-beam.json").read_text()) == found
    setting, recogniser, _ = load_trained(
        words("tune", *base, f"decoder.alpha={found['alpha']}", f"decoder.beta={found['beta']}"), ()
    )
    from lth.lottery.round import evaluate, scores

    assert scores(setting, evaluate(setting, recogniser))["dev_wer"] == found["dev_wer"]


def test_test_is_not_read_in_tuning(demo, monkeypatch):
    monkeypatch.setattr(
        "lth.lottery.setup.setting.ExperimentSetup.test_batches", lambda self: pytest.fail("test is read")
    )
    tune(words("tune", f"ticket={demo}/demo/rounds/round-00", "decoder=beam", f"decoder.lm={demo}/lm.arpa", "trials=1"),
         CONSOLE)  # fmt: skip


@pytest.mark.parametrize(
    "overrides, said",
    [
        (["decoder=beam", "LM"], r"ticket= is missing"),
        (["ticket=nowhere", "decoder=beam", "LM"], "ticket=nowhere is neither here"),
        (["ROUND"], "nothing to tune: name a beam search and a language model"),
        (["ROUND", "decoder=beam", "LM", "alpha=[2,1]"], r"alpha=\[2, 1\] is not a range"),
        (["ROUND", "decoder=beam", "LM", "trials=0"], "trials=0 is not a whole number"),
        (["ROUND", "decoder=rnnt_beam", "LM"], "decoder=rnnt_beam cannot read this model"),
    ],
)
def test_senseless_words_are_refused(demo, overrides, said):
    short = {"ROUND": f"ticket={demo}/demo/rounds/round-00", "LM": f"decoder.lm={demo}/lm.arpa"}
    with pytest.raises(UserError, match=said):
        tune(words("tune", *(short.get(word, word) for word in overrides)), CONSOLE)


def test_recordings_of_any_kind_are_heard(demo, tmp_path, capsys):
    setting, recogniser, _ = load_trained(words("tune", f"ticket={demo}/demo/rounds/round-00"), ())
    cut = next(iter(setting.corpus.dev))
    samples, rate = soundfile.read(audio_file(cut))
    files = {"same.wav": (samples, rate), "stereo.flac": (np.stack([samples, samples], 1), rate)}
    for name, (x, r) in files.items():
        soundfile.write(tmp_path / name, x, r)
    alone = recogniser.hypotheses(*recogniser({"audio": setting_audio(cut), "lengths": lengths(cut)}))
    listed = ",".join(str(tmp_path / name) for name in files)
    rows = transcribe(words("transcribe", f"ticket={demo}/demo/rounds/round-00", f"audio=[{listed}]",
                            f"out={tmp_path}/texts.jsonl"))  # fmt: skip
    assert [row["text"] for row in rows] == [alone[0]] * 2
    assert alone[0] in capsys.readouterr().out
    kept = [json.loads(line) for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert kept == rows and rows[0]["pieces"] == [{"start": 0.0, "end": rows[0]["seconds"], "text": alone[0]}]


@pytest.fixture(scope="module")
def telephone(tmp_path_factory, demo):
    """The ticket of a tiny lottery on the built-in corpus as a telephone hears it: 8 kHz, in bfloat16."""
    setting, *_ = load_trained(words("tune", f"ticket={demo}/demo/rounds/round-00"), ())
    folder = tmp_path_factory.mktemp("telephone")
    corpus = ["corpus=manifest"]
    for split, cuts in setting.corpus.splits().items():
        lines = []
        for cut in cuts:
            samples, rate = soundfile.read(audio_file(cut))
            soundfile.write(folder / f"{cut.id}.wav", soxr.resample(samples, rate, 8_000), 8_000)
            lines.append(json.dumps({"audio": f"{cut.id}.wav", "text": cut.supervisions[0].text, "id": cut.id}) + "\n")
        (folder / f"{split}.jsonl").write_text("".join(lines))
        corpus.append(f"corpus.{split}={folder}/{split}.jsonl")
    small = [word for word in command(outputs=folder / "out", cache=folder) if not word.startswith("corpus.")]
    more = ("rounds=0", "trainer.max_epochs=6", "trainer.precision=bf16-mixed")
    run(compose(*small, *corpus, *more), CONSOLE)
    return folder


def test_a_recording_is_heard_as_in_its_round_at_any_rate(telephone):
    kept = (telephone / "out/demo/rounds/round-00/hypotheses.jsonl").read_text().splitlines()
    expected = {row["id"]: row["hypothesis"] for row in map(json.loads, kept) if row["set"] == "dev"}
    assert len(set(expected.values())) > 5
    files = ",".join(str(telephone / f"{id}.wav") for id in expected)
    ticket = f"ticket={telephone}/out/demo/rounds/round-00"
    rows = transcribe(words("transcribe", ticket, f"audio=[{files}]"))
    assert [row["text"] for row in rows] == list(expected.values())


def test_tuning_reads_audio_of_any_rate_in_any_precision(telephone, demo):
    ticket = f"ticket={telephone}/out/demo/rounds/round-00"
    found = tune(words("tune", ticket, "decoder=beam", f"decoder.lm={demo}/lm.arpa", "decoder.processes=1", "trials=1"),
                 CONSOLE)  # fmt: skip
    kept = json.loads((telephone / "out/demo/rounds/round-00/metrics.json").read_text())
    assert found["greedy_dev_wer"] == kept["dev_wer"]


def test_a_long_recording_is_its_pieces_joined(demo, tmp_path):
    setting, *_ = load_trained(words("tune", f"ticket={demo}/demo/rounds/round-00"), ())
    cuts = list(setting.corpus.dev)[:5]
    silence = np.zeros(12_000)
    parts = [part for cut in cuts for part in (soundfile.read(audio_file(cut))[0], silence)]
    soundfile.write(tmp_path / "long.wav", np.concatenate(parts), 16_000)
    (row,) = transcribe(words("transcribe", f"ticket={demo}/demo/rounds/round-00", f"audio={tmp_path}/long.wav",
                              "longest=3"))  # fmt: skip
    assert len(row["pieces"]) >= 3 and all(one["end"] - one["start"] <= 3 for one in row["pieces"])
    assert row["text"] == " ".join(one["text"] for one in row["pieces"] if one["text"])


CAUSAL = ("bidirectional=false", "lookahead=3", "rnn=mingru")


@pytest.fixture(scope="module", params=["ctc", "transducer"])
def causal(request, tmp_path_factory, cache):
    """A tiny network that can hear a stream."""
    outputs = tmp_path_factory.mktemp("causal")
    words = command("rounds=0", "trainer.max_epochs=8", "features.normalise=false", outputs=outputs, cache=cache)
    if request.param == "ctc":
        live = [f"model.{word}" for word in CAUSAL]
    else:
        words = [word for word in words if not word.startswith("model.")]
        live = [*SMALL["transducer"], *(f"model.encoder.{word}" for word in CAUSAL)]
    run(compose(*live, *words), CONSOLE)
    return f"ticket={outputs}/demo/rounds/round-00"


@pytest.mark.parametrize("stream", [0.01, 0.137, 30])
def test_a_stream_says_what_the_whole_recording_says(causal, tmp_path, capsys, stream):
    setting, *_ = load_trained(words("tune", causal), ())
    audio = audio_file(next(iter(setting.corpus.dev)))
    (whole,) = transcribe(words("transcribe", causal, f"audio={audio}"))
    capsys.readouterr()
    (row,) = transcribe(words("transcribe", causal, f"audio={audio}", f"stream={stream}"))
    assert row["text"] == whole["text"] == "".join(part["text"] for part in row["pieces"]) != ""
    assert capsys.readouterr().out == row["text"] + "\n"
    assert all(part["end"] - part["start"] <= stream + 0.001 for part in row["pieces"]) and row["slowest"] > 0


def test_what_cannot_be_streamed_is_said_before_the_first_file(demo, causal, request):
    beam = {"ctc": "beam", "transducer": "rnnt_beam"}[request.node.callspec.params["causal"]]
    for base, also, said in (
        (f"ticket={demo}/demo/rounds/round-00", [], "only a causal DeepSpeech2"),
        (causal, [f"decoder={beam}"], "leave decoder= out"),
        (causal, ["stream=0"], "stream=0 is not a number of seconds"),
        (causal, ["stream=fast"], "stream=fast is not a number"),
        (causal, ["stream=true"], "stream=True is not a number"),
        (causal, ["stream=inf"], "stream=inf is not a number of seconds from 0.01 to 3600"),
        (causal, ["longest=inf"], "longest=inf is not a number"),
    ):
        with pytest.raises(UserError, match=said):
            transcribe(words("transcribe", base, "audio=none.wav", "stream=0.2", *also))


def test_features_of_the_whole_utterance_cannot_be_streamed(causal):
    _, recogniser, _ = load_trained(words("tune", causal), ())
    recogniser.features.normalise = True
    with pytest.raises(UserError, match=r"features\.normalise=false"):
        Listener(recogniser)


def test_bad_recordings_are_named_and_the_others_heard(demo, tmp_path, capsys):
    soundfile.write(tmp_path / "short.wav", np.zeros(10), 16_000)
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    soundfile.write(tmp_path / "nan.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    listed = ",".join(str(tmp_path / name) for name in ("none.wav", "bad.wav", "nan.wav", "short.wav"))
    with pytest.raises(
        UserError, match=r"none\.wav does not exist; [^.]+\. audio: .*bad\.wav cannot be decoded .*nan\.wav has "
    ):
        transcribe(words("transcribe", f"ticket={demo}/demo/rounds/round-00", f"audio=[{listed}]"))
    assert "short.wav: \n" in capsys.readouterr().out
    with pytest.raises(UserError, match="audio= is missing"):
        transcribe(words("transcribe", f"ticket={demo}/demo/rounds/round-00"))
    with pytest.raises(UserError, match=r"longest=0\.1 is not a number"):
        transcribe(words("transcribe", f"ticket={demo}/demo/rounds/round-00", "audio=a.wav", "longest=0.1"))


def setting_audio(cut):
    import torch

    from lth.speech.corpora.corpus import load_audio

    return torch.from_numpy(load_audio(cut))[None]


def lengths(cut):
    import torch

    return torch.tensor([cut.num_samples])
