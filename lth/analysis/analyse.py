"""The whole analysis: from folders to sections, and from sections to everything that shows them."""

from collections.abc import Sequence
from pathlib import Path

import optuna
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lth.analysis.compare import groups_of
from lth.analysis.document import Section
from lth.analysis.experiments import Experiment, gather
from lth.analysis.sections import anatomy, curves, mistakes, noise, stability, sweep, tickets
from lth.analysis.show import files, page, terminal
from lth.errors import UserError

FOLDER = "analysis"


def analyse(config: DictConfig, console: Console, study: optuna.Study | None = None) -> list[Section]:
    """Read, compare, show and write; returns what was said.

    Raises:
        UserError: there is nothing to read, or a key makes no sense.
    """
    folder = Path(config.outputs) / FOLDER
    outputs = Path(config.outputs)
    if config.source == "wandb":
        from lth.analysis.remote import bring  # W&B only where it is asked for

        outputs = bring(config.project, config.entity, folder / "wandb", config.experiments)
    experiments, remarks = gather(outputs, None if config.source == "wandb" else config.experiments)
    lead, said = sections(experiments, remarks, config, study)
    files.write_tables(said, folder / "tables")
    files.write_figures(said, folder / "figures")
    facts = {"experiments": len(experiments), "rounds": sum(len(one.rounds) for one in experiments)}
    report = folder / "report.html"
    page.write_page(said, report, title="Winning tickets", lead=lead, facts=facts, refresh=config.watch)
    console.print(lead, style="bold", markup=False, highlight=False)
    console.print()
    terminal.show([one for one in said if one.key in ("tickets", "sweep")], console)
    console.print(f"all {len(said)} sections: {report}", highlight=False, soft_wrap=True)
    if config.report == "wandb":
        from lth.analysis.wandb_report import publish

        try:
            url = publish(lead, said, experiments, entity=config.entity, project=config.project)
            console.print(f"W&B report: {url}", highlight=False, soft_wrap=True)
        except UserError as error:  # everything is on disk; W&B can be told another time
            console.print(f"no W&B report: {error}", highlight=False, soft_wrap=True, markup=False)
    return said


def check(config: DictConfig) -> None:
    """Raise UserError for the first key whose value makes no sense."""
    for key, choices in {"source": ("local", "wandb"), "report": ("local", "wandb")}.items():
        if config[key] not in choices:
            raise UserError(f"{key}={config[key]} will not do: it is {' or '.join(choices)}")
    if not isinstance(config.stability, bool):
        raise UserError(f"stability={config.stability} will not do: it is true or false")
    if not isinstance(config.resamples, int) or config.resamples < 100:
        raise UserError(f"resamples={config.resamples} will not do: it is a whole number, at least 100")
    if config.watch is not None and not (isinstance(config.watch, int | float) and config.watch > 0):
        raise UserError(f"watch={config.watch} will not do: it is a number of seconds")
    if not OmegaConf.is_list(config.experiments) and config.experiments is not None:
        config.experiments = [config.experiments]


def state(outputs: Path) -> list[tuple[str, int]]:
    """What changes whenever an experiment or a study does."""
    found = [*outputs.glob("*/experiment.json"), *outputs.glob("*/rounds.csv"), *outputs.glob("*/noise.csv")]
    found += (outputs / "studies").glob("*") if (outputs / "studies").is_dir() else []
    return sorted((str(path), path.stat().st_mtime_ns) for path in found)


def sections(
    experiments: Sequence[Experiment], remarks: Sequence[str], config: DictConfig, study: optuna.Study | None = None
) -> tuple[str, list[Section]]:
    """The answer, and every question that these experiments can answer."""
    groups, apart = groups_of(experiments, config.resamples)
    cache = Path(config.outputs) / FOLDER / "cache"
    found = [
        tickets.section(groups, [*remarks, *apart]),
        sweep.section(study) if study else None,
        curves.section(groups),
        anatomy.section(experiments, cache),
        stability.section(experiments, cache, measure=config.stability),
        mistakes.section(groups),
        noise.section(experiments),
    ]
    return tickets.lead(groups), [section for section in found if section is not None]
