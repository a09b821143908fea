"""The whole analysis: from folders to sections, and from sections to everything that shows them."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lth.analysis import curves, noise, tickets
from lth.analysis.compare import groups_of
from lth.analysis.document import Section
from lth.analysis.gather import Experiment, gather
from lth.analysis.show import files, page, terminal
from lth.errors import UserError

FOLDER = "analysis"


def analyse(config: DictConfig, console: Console) -> tuple[list[Section], list[Experiment]]:
    """Read, compare, show and write; returns what was said and of what.

    Raises:
        UserError: there is nothing to read, or a key makes no sense.
    """
    outputs = Path(config.outputs)
    experiments, remarks = gather(outputs, config.experiments)
    said = sections(experiments, remarks, config)
    folder = outputs / FOLDER
    files.write_tables(said, folder / "tables")
    files.write_figures(said, folder / "figures")
    facts = {"experiments": len(experiments), "rounds": sum(len(one.rounds) for one in experiments)}
    page.write_page(
        said, folder / "report.html", title="Winning tickets", lead=said[0].text[0], facts=facts, refresh=config.watch
    )
    terminal.show([*said[:1]], console)
    console.print(f"everything else: {folder / 'report.html'}", highlight=False, soft_wrap=True)
    return said, experiments


def check(config: DictConfig) -> None:
    """Raise UserError for the first key whose value makes no sense."""
    for key, choices in {"source": ("local", "wandb"), "report": ("local", "wandb")}.items():
        if config[key] not in choices:
            raise UserError(f"{key}={config[key]} will not do: it is {' or '.join(choices)}")
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


def sections(experiments: Sequence[Experiment], remarks: Sequence[str], config: DictConfig) -> list[Section]:
    """Every question that these experiments can answer, the answer first."""
    groups, apart = groups_of(experiments, config.resamples)
    found = [
        tickets.section(groups, [*remarks, *apart]),
        curves.section(groups),
        noise.section(experiments),
    ]
    return [section for section in found if section is not None]
