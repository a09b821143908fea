"""Experiments that may be compared, and the statistics that all comparisons among them share."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lth.analysis.document import Interval
from lth.analysis.experiments import Errors, Experiment, Round
from lth.analysis.measure.statistics import p_value
from lth.speech.bootstrap import Bootstrap

CONTROLS = {
    "random": "random mask",
    "shuffled": "shuffled mask",
    "fresh": "fresh init",
    "sign": "signs only",
    "dense": "dense, whole budget",
}


@dataclass
class Group:
    """Experiments on one corpus with the same utterances, texts and sets."""

    corpus: str
    sets: tuple[str, ...]
    experiments: list[Experiment]
    resamples: int
    _errors: dict = field(default_factory=dict)
    _bootstraps: dict = field(default_factory=dict)

    @cached_property
    def lotteries(self) -> dict[str, list[Experiment]]:
        """Label -> its experiments that have a dense round of their own and are no control, by seed.

        Of those that played the same rounds (trials of a search, say) the longest, for they are one lottery.
        """
        found: dict[str, list[Experiment]] = defaultdict(list)
        played: list[list[str]] = []
        for one in sorted(self.experiments, key=lambda one: (one.seed is None, one.seed, -len(one.rounds))):
            keys = [row.key for row in one.rows]
            again = any(keys == longer[: len(keys)] for longer in played)
            if one.control is None and one.dense and len(keys) > 1 and not again:
                found[one.label].append(one)
                played.append(keys)
        return dict(found)

    def errors(self, one: Round, name: str) -> Errors | None:
        """Return the wrong words of a round on a set; rounds that experiments share are aligned once."""
        if one.row.key not in self._errors:
            self._errors[one.row.key] = one.errors
        return self._errors[one.row.key].get(name)

    def bootstrap(self, errors: Errors) -> Bootstrap:
        """Return the same resamples for all rounds that transcribed these utterances."""
        if errors.ids not in self._bootstraps:
            self._bootstraps[errors.ids] = Bootstrap(errors.words, self.resamples)
        return self._bootstraps[errors.ids]

    def together(self, rounds: Sequence[Round], name: str) -> tuple[Bootstrap, np.ndarray] | None:
        """Return (utterances, rounds) wrong words; None where hypotheses are gone or are of other utterances."""
        found = [errors for one in rounds if (errors := self.errors(one, name))]
        if not found or len(found) < len(rounds) or any(one.ids != found[0].ids for one in found):
            return None
        return self.bootstrap(found[0]), np.stack([one.errors for one in found], axis=1)

    def interval(self, one: Round, name: str) -> Interval:
        """Return the WER of a round on a set."""
        return self.mean([one], name)

    def mean(self, rounds: Sequence[Round], name: str) -> Interval:
        """Mean WER of several seeds' rounds; with one of them its own."""
        wers = [wer for one in rounds if (wer := wer_of(one, name)) is not None]
        value = float(np.mean(wers)) if len(wers) == len(rounds) else None
        pair = self.together(rounds, name)
        if pair is None or len(pair[0].words) < 2:
            return Interval(value)
        return Interval(value, *_ends(_resampled(*pair)))

    def difference(self, first: Sequence[Round], second: Sequence[Round], name: str) -> tuple[Interval, float | None]:
        """Mean WER of ``second`` less that of ``first``, seed by seed, its interval and two-sided p-value."""
        pairs = [(wer_of(a, name), wer_of(b, name)) for a, b in zip(first, second, strict=True)]
        changes = [b - a for a, b in pairs if a is not None and b is not None]
        value = float(np.mean(changes)) if len(changes) == len(pairs) else None
        together = self.together([*first, *second], name)
        if together is None or len(together[0].words) < 2:
            return Interval(value), None
        bootstrap, errors = together
        resampled = _resampled(bootstrap, errors[:, len(first) :] - errors[:, : len(first)])
        return Interval(value, *_ends(resampled)), p_value(resampled)


def groups_of(experiments: Sequence[Experiment], resamples: int) -> tuple[list[Group], list[str]]:
    """Return the groups, the largest first, and sentences about why they are apart; one without a round is in none."""
    found: dict[tuple, list[Experiment]] = defaultdict(list)
    for one in experiments:
        if one.rounds and any(r.there for r in one.rounds):
            found[one.setting].append(one)
    groups = [Group(corpus, sets, members, resamples) for (corpus, _, sets), members in found.items()]
    groups.sort(key=lambda group: (-len(group.experiments), group.corpus))
    return groups, [*_apart(list(found)), *_without(experiments)]


@dataclass(frozen=True)
class Win:
    """A winning ticket, of one seed or of several: what the report's first sentence is about."""

    label: str
    density: float
    rounds: Sequence[Round]
    dense: Sequence[Round]
    experiments: Sequence[Experiment]


def wins(group: Group) -> list[Win]:
    """Return the sparsest winning ticket of every strategy, over its seeds where it has several; the sparsest first."""
    found = []
    for label, ones in group.lotteries.items():
        dense = [one.reference for one in ones]
        limit = sum(one.row.dev_wer for one in dense)
        for rounds in reversed([*by_density(ones).values()]):
            if rounds[0].density < 1 and sum(one.row.dev_wer for one in rounds) <= limit:
                found.append(Win(label, rounds[0].density, rounds, dense, ones))
                break
    return sorted(found, key=lambda win: (win.density, sum(one.row.dev_wer for one in win.rounds) / len(win.rounds)))


def wer_of(one: Round, name: str) -> float | None:
    """Return a round's WER on dev, test or a further test set."""
    if name in ("dev", "test"):
        return one.row.dev_wer if name == "dev" else one.row.test_wer
    return one.row.further.get(name, (None,))[0]


def title_of(group: Group, groups: Sequence[Group]) -> str:
    """Return what to add to a title where several corpora are analysed."""
    return f", {group.corpus}" if len(groups) > 1 else ""


def _resampled(bootstrap: Bootstrap, errors: np.ndarray) -> np.ndarray:
    return bootstrap.rates(errors)[:, 0] if errors.shape[1] == 1 else bootstrap.over_seeds(errors)


def _ends(resampled: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(low), float(high)


def _apart(settings: Sequence[tuple]) -> list[str]:
    if len(settings) < 2:
        return []
    said, by_corpus = [], defaultdict(list)
    for setting in settings:
        by_corpus[setting[0]].append(setting)
    if len(by_corpus) > 1:
        said.append(f"Experiments on {', '.join(sorted(by_corpus))} are not compared with each other.")
    for corpus, ones in by_corpus.items():
        if len({fingerprint for _, fingerprint, _ in ones}) > 1:
            said.append(
                f"{corpus} is there in {len(ones)} versions (other recordings, texts or splits); "
                "experiments on different ones are not compared."
            )
    return said


def _without(experiments: Sequence[Experiment]) -> list[str]:
    names = [one.name for one in experiments if not any(r.there for r in one.rounds)]
    if not names:
        return []
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return [f"Nothing can be said of {listed}: no finished round of theirs is in the store."]


def flags(experiments: Sequence[Experiment]) -> list[str]:
    """Return a sentence for every experiment that a reader must be warned of."""
    return [f"{one.name}: {'; '.join(one.flags)}." for one in experiments if one.flags]


def by_density(experiments: Sequence[Experiment]) -> Mapping[str, list[Round]]:
    """Return rounds of several seeds that are as dense as each other, where every seed has one; the densest first."""
    found: dict[str, list[Round]] = defaultdict(list)
    for one in experiments:
        for played in one.rounds:
            found[f"{played.density:.4f}"].append(played)
    whole = {density: rounds for density, rounds in found.items() if len(rounds) == len(experiments)}
    return dict(sorted(whole.items(), key=lambda item: -float(item[0])))
