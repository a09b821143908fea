"""What a ticket keeps, where it came from, and whether it is whole.

    python -m lth inspect EXPERIMENT_OR_MASK [--json]

The argument is an experiment's folder or its name under ``outputs/``, a round's folder, or a mask file. The
exit code is 2 when something is missing or damaged, with one sentence on stderr.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from rich.console import Console

from lth.analysis.inspect import damage, inspect
from lth.analysis.tables import show
from lth.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m lth inspect", description=__doc__.splitlines()[0])
    parser.add_argument("target", metavar="EXPERIMENT_OR_MASK", help="a name under outputs/, a folder or a mask file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    try:
        found = inspect(options.target)
    except UserError as error:
        print(f"lth inspect: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(found, indent=1))
    else:  # as wide as it gets: a pipe has no width, and a terminal wraps by itself
        show(found, Console(markup=False, emoji=False, highlight=False, width=400))
    if problem := damage(found):
        print(f"lth inspect: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
