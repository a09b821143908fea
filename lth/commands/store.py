"""What lies in the store of rounds, whether it is whole, and removing what no experiment needs."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from lth.commands.command import check_flags, command
from lth.commands.nearest import no_choice
from lth.errors import UserError
from lth.store.housekeeping import SEALED, Item, inventory, problems, prune


def show(items: Sequence[Item]) -> None:
    """Print a line a round, then the totals."""
    print("round                             n  weights  dev WER      size  last use    needed by")
    for item in items:
        if item.kind in ("round", "record"):
            print(f"{item.name}  {columns(item)}  {users(item)}")
    for kind in dict.fromkeys(item.kind for item in items if item.kind != "lock"):
        these = [item for item in items if item.kind == kind]
        spare = [item for item in these if not item.users]
        told = f", of them {len(spare)} ({size(spare)}) needed by no experiment" if kind in SEALED else ""
        print(f"{len(these)} {kind}{'s' if kind in SEALED else ''}: {size(these)}{told}")


def columns(item: Item) -> str:
    """Return number, density, dev WER, size and last use of a round."""
    number, density, wer = (item.about.get(name) for name in ("round", "density", "dev_wer"))
    known = density is not None and wer is not None
    facts = f"{number:>2}  {density:7.2%}  {wer:7.2%}" if known else " ?        ?        ?"
    return f"{facts}  {size([item]):>8}  {time.strftime('%Y-%m-%d', time.localtime(item.used))}"


def users(item: Item) -> str:
    """Return the names of the experiments that need a round."""
    weightless = " (without weights)" if item.kind == "record" else ""
    return (", ".join(Path(folder).name for folder in item.users) or "-") + weightless


def size(items: Sequence[Item]) -> str:
    """Return what these take on the disk together, in words."""
    total = sum(item.bytes for item in items)
    power = min((len(str(total)) - 1) // 3, 4)
    return f"{total / 1000**power:.1f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}" if power else f"{total} B"


def list_items(config: DictConfig) -> None:
    """Print what there is, how large it is, and which experiments need it."""
    items = inventory(folder(config), Path(config.outputs))
    if config.json:
        document(config, items)
    else:
        show(items)


def verify_items(config: DictConfig) -> None:
    """Check every file against its checksum.

    Raises:
        UserError: some are damaged.
    """
    items = inventory(folder(config), Path(config.outputs))
    wrong, checked = problems(items), sum(item.kind in SEALED for item in items)
    if config.json:
        document(config, items, problems=wrong, checked=checked)
    else:
        print(f"{checked} rounds, records and inits checked: {len(wrong)} damaged")
    if wrong:
        raise UserError("; ".join(wrong))


def prune_items(config: DictConfig) -> None:
    """Remove what no experiment needs, and has not for ``keep`` days."""
    if isinstance(config.keep, bool) or not isinstance(config.keep, int | float) or not config.keep >= 0:
        raise UserError(f"keep={config.keep} is no number of days: give 0 or more")
    items = prune(folder(config), Path(config.outputs), config.keep, dry_run=config.dry_run)
    if config.json:
        document(config, items, dry_run=config.dry_run)
        return
    for item in items:
        print(f"{'would remove' if config.dry_run else 'removed'} {item.kind} {item.name} ({size([item])})")
    print(f"{size(items)} {'would be ' if config.dry_run else ''}freed")


def folder(config: DictConfig) -> Path:
    """Return the store's folder."""
    return Path(config.store)


def document(config: DictConfig, items: Sequence[Item], **facts) -> None:
    """Print everything as one JSON document."""
    print(json.dumps({"store": config.store, **facts, "items": [item.json() for item in items]}, indent=1))


#: What ``do=`` may be.
TASKS: dict[str, Callable[[DictConfig], None]] = {"list": list_items, "verify": verify_items, "prune": prune_items}


def keep_house(config: DictConfig) -> None:
    """Do what ``do=`` says."""
    if config.do not in TASKS:
        raise UserError(no_choice("do", config.do, TASKS))
    check_flags(config, "json", "dry_run")
    TASKS[config.do](config)


def main(program: str) -> int:
    """Do the command; return its exit code."""
    return command(program, "store", keep_house)
