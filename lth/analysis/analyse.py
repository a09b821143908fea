"""The whole analysis: gather experiments, make sections of them, show those everywhere."""

from collections.abc import Sequence
from pathlib import Path

import optuna
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lth.analysis.document import Section
from lth.analysis.experiments import gather
from lth.analysis.inputs import Analysis
from lth.analysis.show import files, page, terminal
from lth.errors import UserError

FOLDER = "analysis"
#: Sections that the terminal shows; all are on the page.
BRIEF = ("tickets", "sweep")


def analyse(config: DictConfig, console: Console, study: optuna.Study | None = None) -> list[Section]:
    """Read, compare, show and write; returns what was said.

    Raises:
        UserError: there is nothing to read, or a key makes no sense.
    """
    folder = Path(config.outputs) / FOLDER
    analysis = read(config, folder, study)
    sections = make_sections(config, analysis)
    lead = next((section.text[0] for section in sections if section.text), "Nothing can be said.")
    show(sections, lead, analysis, folder, config.watch, console)
    if config.report == "wandb":
        publish(config, lead, sections, analysis, console)
    return sections


def read(config: DictConfig, folder: Path, study: optuna.Study | None = None) -> Analysis:
    """Return what the sections are made from, off the disk or out of W&B."""
    outputs, patterns = Path(config.outputs), config.experiments
    if config.source == "wandb":
        from lth.analysis.remote import bring  # W&B only where it is asked for

        outputs, patterns = bring(config.project, config.entity, folder / "wandb", patterns), None
    experiments, remarks = gather(outputs, patterns)
    return Analysis(experiments, remarks, folder / "cache", config.resamples, config.stability, study)


def make_sections(config: DictConfig, analysis: Analysis) -> list[Section]:
    """Return the sections that the config lists, those whose questions arise.

    Raises:
        UserError: one of them is listed by a name that is none.
    """
    makers = []
    for name, node in config.sections.items():
        try:
            makers += [instantiate(node, _partial_=True)] if node is not None else []
        except HydraException as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise UserError(f"sections.{name} names no function that makes a section: {reason}") from error
    return [section for make in makers if (section := make(analysis)) is not None]


def show(
    sections: Sequence[Section], lead: str, analysis: Analysis, folder: Path, refresh: float | None, console: Console
) -> None:
    """Write the sections as tables, figures and a page, and print the answer and the most important tables."""
    files.write_tables(sections, folder / "tables")
    files.write_figures(sections, folder / "figures")
    rounds = sum(len(experiment.rounds) for experiment in analysis.experiments)
    facts = {"experiments": len(analysis.experiments), "rounds": rounds}
    report = folder / "report.html"
    page.write_page(sections, report, title="Winning tickets", lead=lead, facts=facts, refresh=refresh)
    console.print(lead, style="bold", markup=False, highlight=False)
    console.print()
    terminal.show([section for section in sections if section.key in BRIEF], console, lead=lead)
    console.print(f"all {len(sections)} sections: {report}", highlight=False, soft_wrap=True)


def publish(config: DictConfig, lead: str, sections: Sequence[Section], analysis: Analysis, console: Console) -> None:
    """Write the W&B report too, or say in a line why not: everything is on disk, and W&B can be told another time."""
    from lth.analysis.wandb_report import publish as to_wandb

    try:
        url = to_wandb(lead, sections, analysis.experiments, entity=config.entity, project=config.project)
        console.print(f"W&B report: {url}", highlight=False, soft_wrap=True)
    except UserError as error:
        console.print(f"no W&B report: {error}", highlight=False, soft_wrap=True, markup=False)


def check(config: DictConfig) -> None:
    """Raise UserError for the first key whose value makes no sense."""
    for key, choices in {"source": ("local", "wandb"), "report": ("local", "wandb")}.items():
        if config[key] not in choices:
            raise UserError(f"{key}={config[key]} is unknown: give {' or '.join(choices)}")
    if not isinstance(config.stability, bool):
        raise UserError(f"stability={config.stability} is neither true nor false: give one of them")
    if not isinstance(config.resamples, int) or config.resamples < 100:
        raise UserError(f"resamples={config.resamples} is not enough: give a whole number, at least 100")
    if config.watch is not None and not (isinstance(config.watch, int | float) and config.watch > 0):
        raise UserError(f"watch={config.watch} is no time to wait: give a number of seconds above 0")
    if not OmegaConf.is_list(config.experiments) and config.experiments is not None:
        config.experiments = [config.experiments]


def state(outputs: Path) -> list[tuple[str, int]]:
    """Return what changes whenever an experiment or a study does."""
    found = [*outputs.glob("*/experiment.json"), *outputs.glob("*/rounds.csv"), *outputs.glob("*/noise.csv")]
    found += (outputs / "studies").glob("*") if (outputs / "studies").is_dir() else []
    return sorted((str(path), path.stat().st_mtime_ns) for path in found)
