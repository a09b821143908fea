"""How far apart two trainings of the same ticket end: the error on the straight line between their weights.

Linear mode connectivity, Frankle, Dziugaite, Roy & Carbin (2020): two networks that start from the same ticket and
differ in the order of the data, augmentation and dropout only are *stable* when the error does not rise between them.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from lth.analysis.cache import known, remembered
from lth.analysis.document import Axis, Chart, Column, Interval, Section, Series, Table
from lth.analysis.experiments import Experiment, Round
from lth.analysis.inputs import Analysis
from lth.analysis.phrases import join_names
from lth.errors import UserError
from lth.files import SUMS
from lth.speech.bootstrap import Bootstrap
from lth.speech.wer import word_errors
from lth.store.maskfile import load_mask

#: Points on the line, both ends among them.
ALPHAS = tuple(n / 10 for n in range(11))
#: Raised when the same two rounds would give other curves.
VERSION = 1
CACHE = "stability"
#: How the statistics of batch normalisation are taken on the line.
WAYS = ("interpolated", "re-estimated")
#: Of a round's key, what may be otherwise here: hardware, and what is the same in both by definition.
HERE = ("accelerator", "precision", "mask", "init")
#: Rises of the error up to here count as none: Frankle et al. (2020), section 2.
STABLE = 0.02


@dataclass(frozen=True)
class TrainingPair:
    """Two rounds that differ in nothing but the seed of their training."""

    experiments: tuple[Experiment, Experiment]
    rounds: tuple[Round, Round]

    @property
    def name(self) -> str:
        one, seeds = self.experiments[0], " and ".join(str(r.metrics["inputs"]["seed"]) for r in self.rounds)
        what = "dense" if self.rounds[0].density == 1 else f"{100 * self.rounds[0].density:.1f} %"
        return f"{one.label}, {one.corpus}, {what}, seeds {seeds}"

    @property
    def full_name(self) -> str:
        """Return the same with the experiments' names, where several pairs would be called alike."""
        return f"{self.name} ({', '.join(one.name for one in self.experiments)})"

    @property
    def there(self) -> bool:
        """Return whether both have their trained weights."""
        return all(one.stored.has_weights for one in self.rounds)

    def inputs(self) -> dict:
        """Return all that the curves depend on."""
        sums = [(one.stored.path / SUMS).read_text(encoding="utf-8").splitlines() for one in self.rounds]
        weights = [next(line[:64] for line in lines if line.endswith("weights.safetensors")) for lines in sums]
        keys = [one.row.key for one in self.rounds]
        return {"version": VERSION, "rounds": keys, "weights": weights, "alphas": list(ALPHAS)}


@dataclass(frozen=True)
class Curve:
    """Wrong words of dev on the line: ``errors`` is (points, utterances), ``words`` (utterances,)."""

    errors: np.ndarray
    words: np.ndarray

    @property
    def wers(self) -> np.ndarray:
        """Return the (points,) corpus WERs."""
        return self.errors.sum(1) / self.words.sum()

    def barrier(self, resamples: int = 1000) -> Interval:
        """Return the highest WER on the line less the mean of its ends.

        The 95 % interval is over utterances, at the point where the WER is highest: it knows nothing of other seeds,
        and as that point was chosen for its height it is a little too high.
        """
        worst = int(self.wers.argmax())
        value = float(self.wers[worst] - self.wers[[0, -1]].mean())
        if len(self.words) < 2 or value == 0:
            return Interval(value)
        rise = self.errors[worst] - self.errors[[0, -1]].mean(0)
        low, high = Bootstrap(self.words, resamples).intervals(2 * rise[:, None])[0] / 2  # whole numbers there
        return Interval(value, float(low), float(high))


def twins(experiments: Sequence[Experiment]) -> list[TrainingPair]:
    """Return every two rounds whose keys differ in the seed only; each round once, whoever reuses it."""
    found: dict[str, tuple[Experiment, Round]] = {}
    for one in experiments:
        for played in one.rounds:
            inputs = played.metrics.get("inputs") or {}
            if "seed" in inputs and "gradual" not in inputs:  # gradual masks are made in training, each its own
                found.setdefault(played.row.key, (one, played))
    same: dict[str, list[tuple[Experiment, Round]]] = {}
    for one, played in found.values():
        rest = {name: value for name, value in trained_from(played).items() if name != "seed"}
        same.setdefault(json.dumps(rest, sort_keys=True), []).append((one, played))
    return [
        TrainingPair((a[0], b[0]), (a[1], b[1]))
        for ones in same.values()
        for a, b in combinations(sorted(ones, key=lambda pair: pair[1].metrics["inputs"]["seed"]), 2)
    ]


def trained_from(played: Round) -> dict:
    """Return the inputs of a round's key, with late rewinding said as a ticket says it that was taken elsewhere.

    Both start from the same early weights; the lottery names the round that made them, the ticket their digest.
    """
    inputs = dict(played.metrics["inputs"])
    rewind = inputs.get("rewind") or {}
    if {"epoch", "of"} <= rewind.keys():
        _, about = load_mask(played.stored.path / "mask.lth")
        inputs |= {"init": about.get("rewind_weights"), "rewind": {"epoch": rewind["epoch"]}}
    return inputs


def section(analysis: Analysis) -> Section | None:
    """Return the barriers between trainings of every ticket that was trained twice; None where none is known.

    Those in the cache are shown; others are measured, by transcribing dev along the line, only where
    `analysis.stability` says so.
    """
    folder, measure = analysis.cache, analysis.stability
    if not measure and (folder is None or not (folder / CACHE).is_dir()):
        return None
    found, text, curves = twins(analysis.experiments), [], {}
    names = Counter(pair.name for pair in found)
    for pair in found:
        try:
            if (kept := _curves(pair, folder, measure)) is not None:
                alike = names[pair.name] > 1
                curves[pair.full_name if alike else pair.name] = kept
        except UserError as error:
            text.append(f"{pair.name}: {error}.")
    if away := [pair.name for pair in found if not pair.there]:
        text.append(f"The trained weights of {join_names(away)} are not here: what lies between them is not known.")
    if waiting := sum(pair.there for pair in found) - len(curves) if not measure else 0:
        text.append(f"{waiting} more were not measured: stability=true does.")
    if not found and measure:
        text.append(
            "No ticket was trained twice: python run.py ticket=TICKET seed=OTHER rounds=0, with the corpus, model and "
            "trainer it was found with, trains it again in another order of the data."
        )
    title = "Stability of the tickets"
    if not curves:
        return Section("stability", title, text) if text else None
    barriers = {name: {way: curve.barrier() for way, curve in ways.items()} for name, ways in curves.items()}
    return Section("stability", title, [_answer(barriers), *text], [_table(curves, barriers)], _charts(curves))


def _curves(pair: TrainingPair, folder: Path | None, measure: bool) -> dict[str, Curve] | None:
    if not pair.there:
        return None
    inputs = pair.inputs()
    kept = remembered(folder, CACHE, inputs, lambda: transcribed(pair)) if measure else known(folder, CACHE, inputs)
    if kept is None:
        return None
    words = np.array(kept["words"])
    return {way: Curve(np.array(kept[way]), words) for way in WAYS if way in kept}


def transcribed(pair: TrainingPair) -> dict:
    """Wrong words of every dev utterance at every point, with the statistics as they are and re-estimated.

    Raises:
        UserError: the corpus is gone, or is not what it was; or the experiment's config makes no sense here.
    """
    from omegaconf import OmegaConf

    from lth.analysis.measure.interpolation import heard
    from lth.lottery.setup.names import check_recorded
    from lth.lottery.setup.recorded import difference
    from lth.lottery.setup.setting import prepare

    config, inputs = dict(pair.experiments[0].config), pair.rounds[0].metrics["inputs"]
    check_recorded(config, str(pair.experiments[0].path / "config.yaml"))
    setting = prepare(OmegaConf.create(config), inputs.get("tokens"))
    ours = setting.key_inputs(inputs["init"], setting.dense())
    theirs = {name: inputs[name] for name in ours if name in inputs and name not in HERE}
    if words := difference(theirs, {name: ours[name] for name in theirs}):
        raise UserError(f"{words}, so that what lies between them cannot be measured")
    found: dict[str, list] = {way: [] for way in WAYS}
    first, second = (one.weights() for one in pair.rounds)
    counts = []
    for both in heard(setting, first, second, ALPHAS):
        for way, rows in zip(WAYS, both, strict=True):
            if rows is not None:
                errors, counted = word_errors([row["reference"] for row in rows], [row["hypothesis"] for row in rows])
                counts = counted.tolist()
                found[way].append(errors.tolist())
    return {"words": counts, **{way: errors for way, errors in found.items() if errors}}


def _answer(barriers: Mapping[str, Mapping[str, Interval]]) -> str:
    """By re-estimated statistics where there are any."""
    values = {name: list(ways.values())[-1].value or 0.0 for name, ways in barriers.items()}
    stable = sum(value <= STABLE for value in values.values())
    least, most = (100 * end(values.values()) for end in (min, max))
    if len(values) == 1:
        (name,) = values
        rises = f"rises by {most:.1f} points at most" if most > 0 else "does not rise"
        return (
            f"Between two trainings of one ticket ({name}) the dev WER {rises}: "
            f"{'stable' if stable else 'not stable'} by the usual margin of {100 * STABLE:g} points."
        )
    return (
        f"Between two trainings of one ticket the dev WER rises by {least:.1f} to {most:.1f} points; {stable} of "
        f"{len(values)} pairs are stable by the usual margin of {100 * STABLE:g} points."
    )


def _table(curves: Mapping[str, Mapping[str, Curve]], barriers: Mapping[str, Mapping[str, Interval]]) -> Table:
    columns = [Column("ticket"), Column("statistics"), Column("dev WER", "percent"), Column("of the other", "percent")]
    columns += [Column("highest between", "percent"), Column("at", "number"), Column("barrier", "points")]
    rows = []
    for name, ways in curves.items():
        for way, curve in ways.items():
            wers = [float(wer) for wer in curve.wers]
            worst = max(range(len(wers)), key=wers.__getitem__)
            rows.append([name, way, wers[0], wers[-1], wers[worst], ALPHAS[worst], barriers[name][way]])
    note = (
        "Barrier: the highest dev WER on the straight line between the weights, less the mean of its ends (Frankle et "
        "al. 2020); the 95 % interval is over utterances. Statistics of batch normalisation: interpolated like the "
        "weights, or re-estimated on a part of train at every point, the ends too."
    )
    return Table("barriers", "Barriers between two trainings of a ticket", columns, rows, note)


def _charts(curves: Mapping[str, Mapping[str, Curve]]) -> list[Chart]:
    """One chart for each way of taking the statistics."""
    charts = []
    for way in WAYS:
        series = [
            Series(name, list(ALPHAS), [float(wer) for wer in ways[way].wers])
            for name, ways in curves.items()
            if way in ways
        ]
        if series:
            title = f"Between two trainings, statistics {way}"
            axes = Axis("way from one to the other"), Axis("dev word error rate", "percent")
            charts.append(Chart(f"barriers_{way.split('-')[0]}", title, *axes, series))
    return charts
