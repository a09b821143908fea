"""Selection never sees test: test labels that cannot be read, and test labels made to mislead.

In the first lottery every text, utterance and score of the test sets raises when it is looked at, except where
rounds are scored and results are shown. In the others the test labels are replaced after the corpus has been
read, so that keys stay the same: by what the dense network says, and by what the sparsest ticket says.
"""

import dataclasses
import json

import pytest
from lhotse import CutSet, SupervisionSegment
from rich.console import Console
from safetensors.torch import load_file

import lth.lottery.display
import lth.lottery.experiment
import lth.lottery.noise_grid
import lth.lottery.plan
import lth.lottery.round
import lth.lottery.setup.find
import lth.lottery.setup.setting
import lth.lottery.trial
import lth.speech.batches
import lth.speech.corpora.measure
import lth.store.folder
import lth.store.rows
import tests.lotteries
from lth.lottery.trial import Outcome
from lth.speech.corpora.corpus import Corpus
from lth.store.maskfile import load_mask
from lth.store.rows import Row, read_csv, winning
from lth.store.store import StoredRound, tensors_digest
from lth.tracking.record import load_records, records_folder
from lth.training.checkpoint import SafeCheckpointIO
from tests.attempts import checksums
from tests.configs import compose
from tests.lotteries import command

WORDS = ("rounds=2", "trainer.max_epochs=4", "trainer.patience=1", "tracking=offline")
GRID = ("test_noise=grid", "test_noise.levels=[0.2]", "test_noise.snrs=null")


class LookedAtTest(AssertionError):
    """Something looked at a test set."""


class Seal:
    """Whether test may be looked at now."""

    broken = False

    def check(self):
        if not self.broken:
            raise LookedAtTest

    def around(self, function, broken: bool):
        """The function, during which test may or may not be looked at."""

        def sealed(*args, **kwargs):
            before, self.broken = self.broken, broken
            try:
                return function(*args, **kwargs)
            finally:
                self.broken = before

        return sealed


SEAL = Seal()


def guarded(name):
    def method(self, *args):
        SEAL.check()
        return getattr(float, name)(self, *args)

    return method


OPERATIONS = "eq ne lt le gt ge hash bool float int round add radd sub rsub mul rmul truediv neg abs repr str format"
#: A number that raises whatever is done with it: compared, reckoned with, shown.
SealedRate = type("SealedRate", (float,), {f"__{name}__": guarded(f"__{name}__") for name in OPERATIONS.split()})


class SealedSupervision(SupervisionSegment):
    """A supervision that does not tell its text."""

    @property
    def text(self):
        SEAL.check()
        return self.__dict__["said"]

    @text.setter
    def text(self, said):
        self.__dict__["said"] = said


def sealed_setting(config, tokens=None):
    """The setting, its test utterances sealed once all of it has been prepared."""
    setting = lth.lottery.setup.setting.prepare(config, tokens)
    tests = {}
    for name, cuts in setting.corpus.tests.items():
        for cut in cuts:
            said = cut.supervisions[0]
            cut.supervisions = [SealedSupervision(said.id, said.recording_id, 0, said.duration, text=said.text)]
        tests[name] = CutSet.from_cuts(cuts)
    assert tests
    return dataclasses.replace(setting, corpus=dataclasses.replace(setting.corpus, tests=tests))


def sealed_audio(original):
    def load(cut):
        if isinstance(cut.supervisions[0], SealedSupervision):
            SEAL.check()
        return original(cut)

    return load


def sealed_memory(original):
    return lambda memory, cut: sealed_audio(lambda cut: original(memory, cut))(cut)


def sealed_metrics(stored):
    metrics = json.loads((stored.path / "metrics.json").read_text())
    sealed = {name: SealedRate(value) for name, value in metrics.items() if name.startswith("test_")}
    tests = {name: {kind: SealedRate(v) for kind, v in one.items()} for name, one in metrics["tests"].items()}
    assert len(sealed) == 2 and tests
    return {**metrics, **sealed, "tests": tests}


def sealed_row(row: Row) -> Row:
    return dataclasses.replace(row, test_wer=SealedRate(row.test_wer), test_cer=SealedRate(row.test_cer))


def sealed_hypotheses(original):
    def hypotheses(stored):
        SEAL.check()
        return original(stored)

    return hypotheses


@pytest.fixture
def seal(monkeypatch):
    """Test can only be looked at where rounds are scored and where results are shown; not where those select."""
    monkeypatch.setattr(lth.lottery.plan, "prepare", sealed_setting)
    for module in (lth.speech.batches, lth.speech.corpora.measure):
        monkeypatch.setattr(module, "load_audio", sealed_audio(module.load_audio))
    memory = lth.speech.batches.AudioMemory
    monkeypatch.setattr(memory, "__call__", sealed_memory(memory.__call__))
    monkeypatch.setattr(StoredRound, "metrics", property(sealed_metrics))
    monkeypatch.setattr(StoredRound, "hypotheses", sealed_hypotheses(StoredRound.hypotheses))
    monkeypatch.setattr(lth.lottery.setup.find, "read_csv", lambda path: [sealed_row(row) for row in read_csv(path)])
    scoring = [(lth.lottery.round, "evaluate"), (lth.lottery.round, "scores"), (lth.lottery.noise_grid, "measure")]
    scoring.append((lth.lottery.plan, "check_recordings"))  # which only tells that a file is broken
    showing = [
        (lth.store.folder, "write_csv"),
        (tests.lotteries, "write_report"),
        (lth.lottery.experiment, "summary_table"),
    ]
    for owner, name in [*scoring, *showing, (lth.lottery.display.Display, "end")]:
        monkeypatch.setattr(owner, name, SEAL.around(getattr(owner, name), broken=True))
    for name in ("winning", "wins", "dense"):
        monkeypatch.setattr(lth.store.rows, name, SEAL.around(getattr(lth.store.rows, name), broken=False))
    monkeypatch.setattr(
        lth.lottery.noise_grid, "tested_rounds", SEAL.around(lth.lottery.noise_grid.tested_rounds, broken=False)
    )
    return SEAL


def lottery(*words, outputs, cache):
    """An experiment as a trial of a sweep plays it; its objectives after every round."""
    config = compose(*command(*WORDS, *words, outputs=outputs, cache=cache))
    heard = []

    def on_round(number, rows):
        heard.append(Outcome.of(rows).metrics())

    lth.lottery.trial.run_seeds(config, Console(quiet=True), on_round, tests.lotteries.write_report)
    return heard


def test_a_lottery_with_test_sets_that_cannot_be_read(seal, tmp_path, cache):
    heard = lottery(*GRID, outputs=tmp_path, cache=cache)
    assert len(heard) == 3
    start = lth.lottery.setup.find.from_path(tmp_path / "demo")  # ticket=outputs/demo chooses again
    rows = read_csv(tmp_path / "demo/rounds.csv")
    ticket = next(row for row in winning(rows) if row)
    assert start.mask.digest() == load_mask(tmp_path / f"demo/rounds/round-{ticket.round:02d}/mask.lth")[0].digest()
    assert all(row.test_wer is not None for row in rows) and (tmp_path / "demo/noise.csv").exists()


LEAKS = {
    "a selection by test WER": (lth.store.rows, "wins", lambda row, rows: row.test_wer <= rows[0].test_wer),
    "a mask made with test audio": (
        lth.lottery.experiment.Lottery,
        "weights",
        lambda self, *args: next(iter(next(iter(self.plan.setting.test_batches().values())))),
    ),
    "training on the test set": (
        lth.lottery.setup.setting.ExperimentSetup,
        "dev_batches",
        lambda self: next(iter(self.test_batches().values())),
    ),
    "an objective of a sweep": (
        lth.lottery.trial.Outcome,
        "of",
        classmethod(lambda cls, rows: cls(rows[-1].density, rows[-1].test_wer + 0.0)),
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_the_seal_notices(seal, monkeypatch, tmp_path, cache, leak):
    owner, name, replacement = LEAKS[leak]
    monkeypatch.setattr(owner, name, replacement)
    with pytest.raises(LookedAtTest):
        lottery(outputs=tmp_path, cache=cache)


def relabelled(labels):
    """`build`, which gives the test utterances other labels after the corpus has made its fingerprint."""
    original = lth.lottery.setup.setting.build

    def build(*args, **kwargs):
        built = original(*args, **kwargs)
        for cuts in built.tests.values() if isinstance(built, Corpus) else ():
            for cut in cuts:
                cut.supervisions[0].text = labels[cut.id]
        return built

    return build


@pytest.fixture
def checkpoints(monkeypatch):
    """The digest of the tensors of every checkpoint that is written."""
    written = []
    original = SafeCheckpointIO.save_checkpoint

    def save(self, checkpoint, path, *args, **kwargs):
        original(self, checkpoint, path, *args, **kwargs)
        written.append(tensors_digest(load_file(path)))

    monkeypatch.setattr(SafeCheckpointIO, "save_checkpoint", save)
    return written


def selected(outputs):
    """Everything that must not depend on test, of a finished experiment."""
    folder = outputs / "demo"
    rounds = sorted((folder / "rounds").iterdir())
    files = [
        {n: s for n, s in checksums(r.resolve()).items() if n in ("weights.safetensors", "mask.lth")} for r in rounds
    ]
    metrics = [json.loads((r / "metrics.json").read_text()) for r in rounds]
    kept = ("key", "density", "dev_wer", "dev_cer", "train_loss", "epochs", "inputs")
    history = [(r / "history.jsonl").read_text() for r in rounds]
    ignored = ("_timestamp", "seconds", "audio_seconds_per_second")
    rows = [[{k: v for k, v in json.loads(x).items() if k not in ignored} for x in h.splitlines()] for h in history]
    winners = next(records_folder(folder).glob("*-winners.json")).read_text()
    aliases = [[a.aliases[1:] for a in record.artifacts] for record in load_records(folder)]
    dev = [
        [x for x in r.read_text().splitlines() if json.loads(x)["set"] == "dev"] for r in folder.glob("rounds/*/hyp*")
    ]
    ticket = lth.lottery.setup.find.from_path(folder).mask.digest()
    masks = [load_mask(r / "mask.lth")[0].digest() for r in rounds]
    weights = [f["weights.safetensors"] for f in files]
    chosen = lth.lottery.noise_grid.tested_rounds(read_csv(folder / "rounds.csv"))
    return [
        masks,
        weights,
        [{k: m[k] for k in kept} for m in metrics],
        rows,
        winners,
        aliases,
        sorted(dev),
        ticket,
        chosen,
    ]


def test_misleading_test_labels_change_nothing_but_test_scores(checkpoints, tmp_path, cache):
    """Bit for bit: masks, weights, checkpoints, epochs, winners, aliases, objectives, keys."""
    heard = {"true": lottery(outputs=tmp_path / "true", cache=cache)}
    written = {"true": checkpoints.copy()}
    for liar in (0, 2):
        file = tmp_path / f"true/demo/rounds/round-{liar:02d}/hypotheses.jsonl"
        said = [json.loads(line) for line in file.read_text().splitlines()]
        labels = {row["id"]: row["hypothesis"].strip() or "E" for row in said if row["set"] != "dev"}
        checkpoints.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lth.lottery.setup.setting, "build", relabelled(labels))
            heard[liar] = lottery(outputs=tmp_path / str(liar), cache=cache)
        written[liar] = checkpoints.copy()
    tables = {name: read_csv(tmp_path / str(name) / "demo/rounds.csv") for name in heard}
    assert min(row.epochs for row in tables["true"]) < 4  # early stopping had its say
    for liar in (0, 2):
        assert heard[liar] == heard["true"] and written[liar] == written["true"] and len(written["true"]) >= 3
        for one, other in zip(selected(tmp_path / str(liar)), selected(tmp_path / "true"), strict=True):
            assert one == other
        assert tables[liar][liar].test_wer < tables["true"][liar].test_wer  # the lie is there to be believed
    by_test = {n: winning([dataclasses.replace(r, dev_wer=r.test_wer) for r in t]) for n, t in tables.items()}
    assert len({tuple(ticket and ticket.round for ticket in pair) for pair in by_test.values()}) > 1
