"""Keep house in the store of rounds: `python -m lth store list | verify | prune`.

list      what is there, how large it is, and which experiments need it
verify    every file against its checksum; exit code 2 names what is damaged
prune     remove what no experiment needs, and has not for --keep days
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lth.errors import UserError
from lth.store.housekeeping import SEALED, Item, inventory, problems, prune


def show(items: Sequence[Item]) -> None:
    """A line a round, then the totals."""
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
    number, density, wer = (item.about.get(name) for name in ("round", "density", "dev_wer"))
    known = density is not None and wer is not None
    facts = f"{number:>2}  {density:7.2%}  {wer:7.2%}" if known else " ?        ?        ?"
    return f"{facts}  {size([item]):>8}  {time.strftime('%Y-%m-%d', time.localtime(item.used))}"


def users(item: Item) -> str:
    weightless = " (without weights)" if item.kind == "record" else ""
    return (", ".join(Path(folder).name for folder in item.users) or "-") + weightless


def size(items: Sequence[Item]) -> str:
    total = sum(item.bytes for item in items)
    power = min((len(str(total)) - 1) // 3, 4)
    return f"{total / 1000**power:.1f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}" if power else f"{total} B"


def arguments() -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the experiments are")
    common.add_argument("--store", type=Path, help="the store's folder (default: OUTPUTS/store)")
    common.add_argument("--json", action="store_true", help="print one JSON document")
    parser = argparse.ArgumentParser(
        prog="python -m lth store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", parents=[common])
    commands.add_parser("verify", parents=[common])
    pruning = commands.add_parser("prune", parents=[common])
    pruning.add_argument("--keep", type=float, default=7, metavar="DAYS", help="since it was last of use (default: 7)")
    pruning.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    said = parser.parse_args()
    said.store = said.store or said.outputs / "store"
    return said


def main() -> int:
    said = arguments()
    try:
        if said.command == "prune":
            if not said.keep >= 0:
                raise UserError(f"--keep {said.keep} will not do: it is not negative")
            items = prune(said.store, said.outputs, said.keep, dry_run=said.dry_run)
        else:
            items = inventory(said.store, said.outputs)
    except UserError as error:
        print(f"lth store: {error}", file=sys.stderr)
        return 2
    wrong = problems(items) if said.command == "verify" else []
    sealed = [item for item in items if item.kind in SEALED]
    if said.json:
        told = {"problems": wrong, "checked": len(sealed)} if said.command == "verify" else {}
        told |= {"dry_run": said.dry_run} if said.command == "prune" else {}
        print(json.dumps({"store": str(said.store), **told, "items": [item.json() for item in items]}, indent=1))
    elif said.command == "list":
        show(items)
    elif said.command == "verify":
        print(f"{len(sealed)} rounds, records and inits checked: {len(wrong)} damaged")
    else:
        for item in items:
            print(f"{'would remove' if said.dry_run else 'removed'} {item.kind} {item.name} ({size([item])})")
        print(f"{size(items)} {'would be ' if said.dry_run else ''}freed")
    for problem in wrong:
        print(f"lth store: {problem}", file=sys.stderr)
    return 2 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
