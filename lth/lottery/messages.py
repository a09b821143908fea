"""What a lottery says on the terminal before, between and after its rounds."""

from collections.abc import Sequence

from rich.markup import escape

from lth.lottery.plan import Plan
from lth.lottery.setup.setting import count
from lth.store.folder import ExperimentFolder
from lth.store.rows import Row
from lth.tickets.mask import Mask


def opening(plan: Plan, folder: ExperimentFolder) -> str:
    """Say what is about to happen: data, model, where the schedule starts if not dense, and where it will end."""
    setting, first, densities = plan.setting, plan.dense.mask, plan.densities
    counts = ", ".join(f"{count(cuts)} {name}" for name, cuts in setting.corpus.splits().items())
    dropped = "".join(f"; dropped {len(ids)} ({reason})" for reason, ids in setting.corpus.dropped.items())
    ends = f"{len(densities)} pruned rounds end at {densities[-1]:.2%} of them" if densities else "no pruned rounds"
    if first.density < 1:
        ends = f"a ticket of {first.density:.2%} of them; {ends}"
    how = f"; {plan.pruning.words}" if plan.pruning.words else ""
    return (
        f"[bold]{escape(folder.name)}[/bold]: {escape(setting.corpus.name)}, {counts} utterances{escape(dropped)}\n"
        f"model: {setting.parameters:,} parameters, {first.total:,} of them prunable; {ends}\n"
        f"training: {setting.config.trainer.max_epochs} epochs a round on {setting.device.accelerator}, "
        f"{setting.device.precision}{how}; results in {escape(str(folder.path))}"
    )


def emptied_warning(mask: Mask, before: Mask) -> str:
    """Name the parameters that have just lost their last weight; empty where none has."""
    gone = [name for name, kept in mask.survivors().items() if not kept and before.survivors()[name]]
    if not gone:
        return ""
    some = ", ".join(gone[:3]) + (f" and {len(gone) - 3} more" if len(gone) > 3 else "")
    module = gone[0].rpartition(".")[0]
    return f"nothing is left of {some}: strategy=layerwise, or strategy.exclude=[{module}], would keep some of it"


def closing(folder: ExperimentFolder, rows: Sequence[Row]) -> str:
    """Say what it took, and where to look."""
    reused = sum(row.reused for row in rows)
    return f"{len(rows) - reused} rounds trained, {reused} reused · {folder.path / 'report.html'}"
