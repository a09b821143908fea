"""Do two trainings of one ticket end in the same valley? WER along the line between their weights.

Frankle et al. 2020, "Linear mode connectivity and the lottery ticket hypothesis": the barrier is the highest error
on the line, less the mean of its ends. A second training of a ticket, in another order of the data, is
``python run.py ticket=outputs/NAME seed=OTHER rounds=0``.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import OmegaConf
from torch import Tensor

from lth.analysis.document import Axis, Chart, Column, Section, Series, Table
from lth.analysis.gather import Experiment, Round
from lth.files import write_text

ALPHAS = tuple(n / 10 for n in range(11))


def section(experiments: Sequence[Experiment], cache: Path) -> Section:
    """Every ticket that was trained twice; transcribes dev along the line, and remembers it in ``cache``."""
    rows, series = [], []
    for one, first, other, second in pairs(experiments):
        wers = along(one, first, second, cache)
        ends = (wers[0] + wers[-1]) / 2
        name = f"{one.label}, {100 * first.density:.1f} %, seeds {one.seed} and {other.seed}"
        rows.append([name, first.density, wers[0], wers[-1], max(wers), max(wers) - ends])
        series.append(Series(name, list(ALPHAS), wers))
    if not rows:
        said = "No ticket was trained twice: python run.py ticket=outputs/NAME seed=OTHER rounds=0 trains one again."
        return Section("stability", "Stability", [said])
    columns = [Column("ticket"), Column("weights", "percent"), Column("dev WER", "percent")]
    columns += [Column("of the other", "percent"), Column("highest between", "percent"), Column("barrier", "points")]
    note = "Statistics of batch normalisation are interpolated like every other value, and not estimated anew."
    chart = Chart("barriers", "Between two trainings", Axis("way from one to the other"), _axis(), series, note=note)
    high, low = max(row[5] for row in rows), min(row[5] for row in rows)
    text = f"Barriers on dev: {100 * low:.1f} to {100 * high:.1f} points." if len(rows) > 1 else _one(rows[0])
    table = Table("barriers", "Barriers between two trainings of a ticket", columns, rows, note)
    return Section("stability", "Stability", [text], [table], [chart])


def pairs(experiments: Sequence[Experiment]) -> Iterator[tuple[Experiment, Round, Experiment, Round]]:
    """(experiment, its ticket's round, experiment that trained the ticket again, its round)."""
    for other in experiments:
        again = other.control is None and other.about.get("transfer") == "ticket" and other.rounds
        if not again or other.config.get("seed") is None:
            continue
        for one in experiments:
            key = (other.source or {}).get("key")
            found = next((r for r in one.rounds if r.row.key == key), None)
            same = found and one is not other and one.source is None and one.setting == other.setting
            if same and found.stored.has_weights and other.rounds[0].stored.has_weights:
                yield one, found, other, other.rounds[0]


def along(experiment: Experiment, first: Round, second: Round, cache: Path) -> list[float]:
    """Dev WER at every share of `ALPHAS` from one round's weights to the other's, in the experiment's setting."""
    file = cache / f"{first.row.key}-{second.row.key}.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    from lth.scoring.wer import score
    from lth.setting import prepare
    from lth.training.train import transcribe

    setting = prepare(OmegaConf.create(dict(experiment.config)))
    ends, wers = (first.weights(), second.weights()), []
    for alpha in ALPHAS:
        recogniser = setting.recogniser(between(*ends, alpha))
        heard = transcribe(recogniser, setting.dev_batches(), setting.machine)
        wers.append(score([row["reference"] for row in heard], [row["hypothesis"] for row in heard]).wer)
    write_text(file, json.dumps(wers))
    return wers


def between(first: dict[str, Tensor], second: dict[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) first + alpha second; what is no fraction, such as a counter, is the first's."""
    return {
        name: _lerp(tensor, second[name], alpha) if tensor.is_floating_point() else tensor
        for name, tensor in first.items()
    }


def _lerp(a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """The ends exactly."""
    return a.clone() if alpha == 0 else b.clone() if alpha == 1 else a.lerp(b, alpha)


def _axis() -> Axis:
    return Axis("dev word error rate", "percent")


def _one(row: Sequence) -> str:
    return f"Between two trainings the dev WER rises to {100 * row[4]:.1f} %: a barrier of {100 * row[5]:.1f} points."
