"""`report.html`: one self-contained page that says what an experiment found, from the files it left."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from lth.analysis.describe import document, words
from lth.analysis.figures import layer_densities, wer_curve
from lth.analysis.look import inline
from lth.analysis.utterances import differences, examples, intervals, transcripts
from lth.errors import UserError
from lth.files import write_text
from lth.store.rows import Row, dense, density_text, note, rate_text, read_csv, winning
from lth.store.store import StoredRound


def write_report(folder: str | Path) -> Path:
    """Write `report.html` of the experiment folder atomically, from its finished rounds; returns its path.

    Reads `rounds.csv`, `config.yaml`, `experiment.json` and the rounds behind `rounds/`. A round whose files
    are gone from the store keeps its line in the table and loses its interval, densities and examples.

    Raises:
        UserError: no round has finished, or one of the experiment's files is damaged.
    """
    folder = Path(folder)
    rows = sorted(read_csv(folder / "rounds.csv"), key=lambda row: row.round)
    if not rows:
        raise UserError(f"{folder / 'rounds.csv'} lists no round: run the experiment first")
    experiment, config = document(folder / "experiment.json"), document(folder / "config.yaml")
    stored = {row.round: StoredRound(folder / "rounds" / f"round-{row.round:02d}") for row in rows}
    spoken = {number: transcripts(found) for number, found in stored.items()}
    bands = intervals(spoken)
    layers = {
        row.round: {**stored[row.round].mask().densities(), "all prunable": row.density}
        for row in rows
        if (stored[row.round].path / "mask.lth").is_file()
    }
    ticket = next((row for row in winning(rows) if row is not None), None)
    pair = (spoken[dense(rows).round], spoken[ticket.round]) if dense(rows) and ticket else ({}, {})
    to_come = unfinished(rows, config, experiment)
    facts = {
        "name": experiment.get("name", folder.name),
        "setting": words(config),
        "answer": answer(rows, so_far=bool(to_come)),
        "unfinished": to_come,
        "rows": rows,
        "notes": {row.round: note(row, rows) for row in rows},
        "further": list(dict.fromkeys(name for row in rows for name in row.further)),
        "intervals": bands,
        "utterances": {name: len(texts) for sets in spoken.values() for name, texts in sets.items()},
        "ticket": "extreme" if winning(rows)[0] else "best",
        "differences": differences(*pair),
        "examples": examples(*pair),
        "curves": {
            "wide": inline(wer_curve(rows, bands, width=7.6), "wide"),
            "narrow": inline(wer_curve(rows, bands, width=3.9), "narrow"),
        },
        "layers": inline(layer_densities(layers, width=7.6), "layers") if ticket and layers else "",
        "provenance": {k.replace("_", " "): v for k, v in experiment.items() if not isinstance(v, list | dict)},
        "offline": "offline" in str(config.get("tracking")),
        "folder": folder,
        "config": (folder / "config.yaml").read_text(encoding="utf-8") if config else "",
    }
    write_text(folder / "report.html", _environment().get_template("report.html.j2").render(facts))
    return folder / "report.html"


def unfinished(rows: Sequence[Row], config: Mapping, experiment: Mapping) -> str:
    """What the experiment promises and has not done yet, in a sentence; '' when it is complete."""
    if experiment.get("finished"):
        return ""
    if (planned := experiment.get("rounds")) is None:
        if config.get("target") is not None:
            return f"The experiment is unfinished: it ends when {config['target']:.2%} of the weights remain."
        planned = config.get("rounds", 0)
    missing = sorted(set(range(planned + 1)) - {row.round for row in rows})
    if not missing:
        return ""
    if len(missing) == 1:
        return f"The experiment is unfinished: round {missing[0]} of {planned} is missing."
    together = missing[-1] - missing[0] == len(missing) - 1
    listed = f"{missing[0]} to {missing[-1]}" if together else ", ".join(map(str, missing))
    return f"The experiment is unfinished: rounds {listed} of {planned} are missing."


def answer(rows: Sequence[Row], so_far: bool = False) -> str:
    """What the experiment found, in a sentence or two; every number is of the rounds in `rows`."""
    reference, (extreme, best) = dense(rows), winning(rows)
    if best is None:
        if reference is None:
            return "No round gave a network that could be scored."
        scored = f"its dev WER is {_percent(reference.dev_wer)} and {_tests(reference)}"
        alone = "Only the dense round has finished" if len(rows) == 1 else "No ticket could be scored"
        return f"{alone}: {scored}."
    if reference is None:
        return f"There is no dense round to win against: the best ticket keeps {_ticket(best, None)}."
    if extreme is None:
        return f"No ticket wins{' so far' if so_far else ''}: the best keeps {_ticket(best, reference)}."
    said = f"{'So far, the' if so_far else 'The'} extreme ticket keeps {_ticket(extreme, reference)}."
    said += " It is also the best." if best is extreme else f" The best ticket keeps {_ticket(best, None)}."
    if reference.dev_wer > 0.5:
        said += " But the dense network gets most words wrong, so winning against it says little."
    return said


def _ticket(row: Row, reference: Row | None) -> str:
    """'32.8 % of the weights at dev WER 5.1 % (dense 5.4 %); its test WER is 5.9 % (dense 6.0 %)'"""
    dev = _against(row.dev_wer, reference and reference.dev_wer)
    return f"{density_text(row.density)} % of the weights at dev WER {dev}; {_tests(row, reference)}"


def _tests(row: Row, reference: Row | None = None) -> str:
    wers = {"test": (row.test_wer, reference and reference.test_wer)}
    for name, (wer, _) in row.further.items():
        wers[name] = (wer, reference and reference.further.get(name, (None,))[0])
    said = [f"its {name} WER is {_against(*pair)}" for name, pair in wers.items() if pair[0] is not None]
    return " and ".join(said) or "it has no test WER"


def _against(rate: float, reference: float | None) -> str:
    return _percent(rate) + ("" if reference is None else f" (dense {_percent(reference)})")


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "density": density_text,
        "rate": rate_text,
        "tied": lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%"),
        "points": lambda difference: f"{100 * difference:+.1f}".replace("-", "\N{MINUS SIGN}"),
    }
    return environment
