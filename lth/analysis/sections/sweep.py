"""What a search has found: the front of small and good, what matters, and what it cost."""

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from lth.analysis.document import Axis, Chart, Column, Section, Series, Table
from lth.analysis.inputs import Analysis
from lth.analysis.phrases import percent

#: Finished trials that importances need to mean anything.
ENOUGH = 8
WER, DENSITY = "extreme_dev_wer", "extreme_density"


def section(analysis: Analysis) -> Section | None:
    """Return front with hypervolume, importances, slices and cost of the search; None where none is asked for."""
    study = analysis.study
    if study is None:
        return None
    trials = study.get_trials(deepcopy=False)
    done = [one for one in trials if one.state == TrialState.COMPLETE and "outcome" in one.user_attrs]
    text = [_cost(trials)]
    if not done:
        return Section("sweep", f"The search {study.study_name}", ["No trial has finished yet.", *text])
    points = [outcome(one) for one in done]
    best = front(study)
    corner = (max(density for density, _ in points), max(wer for _, wer in points))
    volume = hypervolume(points, corner)
    sparsest = best[0]
    text.insert(
        0,
        f"The sparsest winning ticket of the search keeps {percent(outcome(sparsest)[0])} of the weights at dev WER "
        f"{percent(outcome(sparsest)[1])} (trial {sparsest.number}: {_words(sparsest)}).",
    )
    tables, charts = [_front(best)], [_pareto(points, best), _growth(points, corner)]
    text.append(
        f"Hypervolume {volume:.4f}: what the front dominates up to a density of {100 * corner[0]:.1f} % and a WER of "
        f"{100 * corner[1]:.1f} %, the worst seen."
    )
    if len(done) >= ENOUGH:
        tables.append(_importances(study))
    else:
        text.append(f"Importances need {ENOUGH} finished trials; there are {len(done)}.")
    return Section("sweep", f"The search {study.study_name}", text, tables, [*charts, *_slices(done)])


def outcome(trial: FrozenTrial) -> tuple[float, float]:
    """Return (density, dev WER) of a trial's extreme ticket, both to be small."""
    found = trial.user_attrs["outcome"]
    return found[DENSITY], found[WER]


def front(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that no other is as good as in all objectives and better in one, the sparsest first.

    Of trials with equal outcomes the first; of a search with one objective the best.
    """
    optimal = {outcome(trial): trial for trial in reversed(study.best_trials) if "outcome" in trial.user_attrs}
    return [optimal[values] for values in sorted(optimal)]


def hypervolume(points: Sequence[tuple[float, float]], corner: tuple[float, float]) -> float:
    """Return the area that some point dominates, up to ``corner`` (Zitzler and Thiele 1998); both are to be small."""
    area, ceiling = 0.0, corner[1]
    for x, y in sorted(points):  # one that another dominates lies at or above the ceiling
        if x < corner[0] and y < ceiling:
            area += (corner[0] - x) * (ceiling - y)
            ceiling = y
    return area


def _front(trials: Sequence[FrozenTrial]) -> Table:
    rows = [[one.number, *outcome(one), _words(one)] for one in trials]
    columns = [Column("trial", "count"), Column("weights", "percent"), Column("dev WER", "percent"), Column("words")]
    note = "Its tickets are in the experiment of that trial: ticket=outputs/STUDY-NUMBER."
    return Table("pareto", "The front: no other trial is both sparser and better", columns, rows, note)


def _pareto(points: Sequence[tuple[float, float]], best: Sequence[FrozenTrial]) -> Chart:
    everyone = Series("trials", [x for x, _ in points], [y for _, y in points], style="points")
    line = Series("front", [outcome(one)[0] for one in best], [outcome(one)[1] for one in best])
    axes = Axis("weights of the extreme ticket", "percent", log=True, reverse=True), Axis("its dev WER", "percent")
    return Chart("pareto", "Small and good", *axes, [everyone, line])


def _growth(points: Sequence[tuple[float, float]], corner: tuple[float, float]) -> Chart:
    volumes = [hypervolume(points[: n + 1], corner) for n in range(len(points))]
    series = [Series("hypervolume", list(range(1, len(points) + 1)), volumes)]
    return Chart("hypervolume", "What more trials bring", Axis("finished trials", "count"), Axis("hypervolume"), series)


def _importances(study: optuna.Study) -> Table:
    found = {}
    for name, index in ((DENSITY, 0), (WER, 1)):
        target = lambda trial, index=index: outcome(trial)[index]  # noqa: E731
        try:
            found[name] = optuna.importance.get_param_importances(
                study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(), target=target
            )
        except (RuntimeError, ValueError):  # every trial has the same value: nothing matters
            found[name] = {}
    names = sorted({name for one in found.values() for name in one}, key=lambda n: -found[DENSITY].get(n, 0))
    rows = [[name, found[DENSITY].get(name), found[WER].get(name)] for name in names]
    columns = [Column("parameter"), Column("for density", "percent"), Column("for WER", "percent")]
    note = "PED-ANOVA (Watanabe et al. 2023); a parameter that not all trials have is judged by those that do."
    return Table("importances", "What matters", columns, rows, note)


def _slices(done: Sequence[FrozenTrial]) -> list[Chart]:
    charts = []
    for name in dict.fromkeys(name for one in done for name in one.params):
        having = [one for one in done if name in one.params]
        if len({str(one.params[name]) for one in having}) < 2:
            continue
        words = any(isinstance(one.params[name], str) for one in having)
        if words:
            kinds = sorted({one.params[name] for one in having})
            best = [min(outcome(one)[0] for one in having if one.params[name] == kind) for kind in kinds]
            series = [Series("sparsest", kinds, best)]
        else:
            ordered = sorted(having, key=lambda one: one.params[name])
            series = [
                Series(
                    "trials",
                    [one.params[name] for one in ordered],
                    [outcome(one)[0] for one in ordered],
                    text=[f"trial {one.number}, dev WER {100 * outcome(one)[1]:.1f} %" for one in ordered],
                    style="points",
                )
            ]
        file = "slice_" + "".join(c if c.isalnum() else "_" for c in name)
        axes = Axis(name, "text" if words else "number"), Axis("weights of the extreme ticket", "percent")
        charts.append(Chart(file, f"Density by {name}", *axes, series, kind="bars" if words else "xy"))
    return charts


def _cost(trials: Sequence[FrozenTrial]) -> str:
    counts = {state: sum(one.state == state for one in trials) for state in TrialState}
    trained, reused = (sum(one.user_attrs.get(name, 0) for one in trials) for name in ("trained", "reused"))
    hours = sum(one.duration.total_seconds() for one in trials if one.duration) / 3600
    share = f" ({reused / (trained + reused):.0%})" if trained + reused else ""
    return (
        f"{len(trials)} trials: {counts[TrialState.COMPLETE]} finished, {counts[TrialState.PRUNED]} stopped early or "
        f"not playable, {counts[TrialState.FAIL]} failed, {counts[TrialState.RUNNING]} running. "
        f"{trained} rounds trained, {reused} reused{share}, {hours:.1f} hours of trials."
    )


def _words(trial: FrozenTrial) -> str:
    return " ".join(f"{name}={value}" for name, value in trial.user_attrs.get("words", trial.params).items())
