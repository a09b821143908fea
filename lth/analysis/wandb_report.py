"""The analysis as a W&B report: the same sentences and tables beside live panels of the runs."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from lth.analysis.document import Section, Table
from lth.analysis.experiments import Experiment
from lth.analysis.show.words import column_texts, heading
from lth.errors import UserError, needs
from lth.tracking.fetch import asking

#: Experiments that get a run set; a panel with more cannot be read.
MOST = 10
#: Rows of a table that the report shows.
ROWS = 60


def publish(
    lead: str, sections: Sequence[Section], experiments: Sequence[Experiment], *, entity: str | None, project: str
) -> str:
    """Make the project's report of this analysis, or bring it up to date; returns its address.

    There is one report for a project: it is found by its title, so any machine can bring it up to date.

    Raises:
        UserError: no login, or W&B does not take it.
    """
    from lth.tracking.client import logged_in

    what = f"report=wandb project={project}"
    if not logged_in():
        raise UserError(f"{what} needs a W&B login: run `wandb login` once")
    title = "Winning tickets"
    with asking(what), contextlib.redirect_stderr(io.StringIO()):
        with needs("report", "report=wandb"):
            import wandb
            import wandb_workspaces.reports.v2 as reports

        wr: Any = reports  # its own types say that it exports nothing

        api = wandb.Api(timeout=30)
        owner = entity or api.default_entity or ""
        report = wr.Report(project=project, entity=owner, title=title, description=lead)
        report.blocks = [
            wr.P(lead),
            wr.TableOfContents(),
            *_panels(wr, experiments, owner, project),
            *_lineage(wr, experiments, owner, project),
            *(block for section in sections for block in _section(wr, section, lead)),
        ]
        with contextlib.suppress(ValueError):  # there is no such project yet: saving makes it
            if known := next((r for r in api.reports(f"{owner}/{project}") if r.display_name == title), None):
                report.id, report._name = known.id, known.name
        report.save()
        return report.url


def markdown(table: Table, rows: int = ROWS) -> str:
    """Return a table as GitHub writes it; what could be taken for markup is not."""
    cells = [column_texts([row[n] for row in table.rows], column.kind) for n, column in enumerate(table.columns)]
    lines = [[_plain(heading(column.name, column.kind)) for column in table.columns], ["---"] * len(table.columns)]
    for n in range(min(rows, len(table.rows))):
        said = (column[n] for column in cells)
        lines.append([_plain(f"{value} ({interval})" if interval else value) for value, interval in said])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return text + (f"\n\n{len(table.rows) - rows} more rows are not shown." if len(table.rows) > rows else "")


def _section(wr, section: Section, lead: str) -> list:
    blocks = [wr.H1(section.title), *(wr.P(sentence) for sentence in section.text if sentence != lead)]
    for table in section.tables:
        if table.rows:
            blocks += [wr.H2(table.title), wr.MarkdownBlock(markdown(table))]
            blocks += [wr.P(table.note)] if table.note else []
    return blocks


def _panels(wr, experiments: Sequence[Experiment], entity: str, project: str) -> list:
    """WER against density, and the losses, of the newest experiments: one run set each."""
    shown = [one for one in experiments if one.control is None][-MOST:]
    runsets = [
        wr.Runset(entity=entity, project=project, name=one.name, filters=f"Group = '{group}'")
        for one in shown
        if "'" not in (group := (one.config.get("tracking") or {}).get("group") or one.name)
    ]
    panels = [
        wr.ScatterPlot(title="dev WER against density", x="density", y="dev_wer", log_x=True),
        wr.ScatterPlot(title="test WER against density", x="density", y="test_wer", log_x=True),
        wr.LinePlot(title="loss", x="epoch", y=["loss"]),
        wr.LinePlot(title="dev WER in training", x="epoch", y=["dev_wer"]),
    ]
    return [wr.H1("Runs"), wr.PanelGrid(runsets=runsets, panels=panels)] if runsets else []


def _lineage(wr, experiments: Sequence[Experiment], entity: str, project: str) -> list:
    """Where the winning tickets' masks and inits are: `ticket=` takes their names."""
    rows = [
        f"- {_plain(one.label)}, seed {one.seed}, {100 * one.ticket.density:.1f} %: "
        f"mask `{entity}/{project}/{one.name}-mask:{'extreme' if one.extreme else 'best'}`, "
        f"init `{entity}/{project}/{one.name}-init:latest`"
        for one in experiments
        if one.control is None and one.dense and one.ticket
    ]
    return [wr.H1("Artifacts of the tickets"), wr.MarkdownBlock("\n".join(rows))] if rows else []


def _plain(text: str) -> str:
    escaped = "".join(f"\\{c}" if c in "\\`*_|[]<>#" else c for c in str(text))
    return " ".join(escaped.split())
