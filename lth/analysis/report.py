"""`report.html`: one self-contained page that says what an experiment found, from the files it left."""

from pathlib import Path

from lth.analysis.describe import words
from lth.analysis.experiments import read_experiment
from lth.analysis.inputs import Analysis
from lth.analysis.sections import examples, experiment, layers, provenance
from lth.analysis.show.page import write_page
from lth.errors import UserError

SECTIONS = (experiment.section, layers.section, examples.section, provenance.section)


def write_report(folder: str | Path) -> Path:
    """Write `report.html` of the experiment folder atomically, from its finished rounds; returns its path.

    Reads `rounds.csv`, `config.yaml`, `experiment.json` and the rounds behind `rounds/`. A round whose files
    are gone from the store keeps its line in the table and loses its interval, densities and examples. As it is
    written after every round, its charts are pictures and it has no scripts.

    Raises:
        UserError: no round has finished, or one of the experiment's files is damaged.
    """
    one = read_experiment(Path(folder))
    if not one.rounds:
        raise UserError(f"{one.path / 'rounds.csv'} lists no round: run the experiment first")
    analysis = Analysis([one])
    sections = [section for make in SECTIONS if (section := make(analysis)) is not None]
    title, lead = str(one.about.get("name", one.name)), sections[0].text[0]
    return write_page(sections, one.path / "report.html", title=title, lead=lead, facts=words(one.config), live=False)
