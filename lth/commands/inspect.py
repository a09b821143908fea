"""What a ticket keeps, where it came from, and whether it is whole."""

import json

from omegaconf import DictConfig

from lth.commands.command import check_flags, command
from lth.errors import UserError


def show(config: DictConfig) -> None:
    """Print what is known of an experiment, a round or a mask file.

    Raises:
        UserError: there is none of that name, or something of it is missing or damaged; it is printed first.
    """
    from rich.console import Console

    from lth.analysis.inspect import damage, inspect
    from lth.analysis.tables import show

    check_flags(config, "json")
    if config.ticket is None:
        raise UserError("ticket= is missing: name an experiment, a round's folder or a mask file, such as ticket=demo")
    found = inspect(str(config.ticket), config.outputs)
    if config.json:
        print(json.dumps(found, indent=1))
    else:  # as wide as it gets: a pipe has no width, and a terminal wraps by itself
        show(found, Console(markup=False, emoji=False, highlight=False, width=400))
    if problem := damage(found):
        raise UserError(problem)


def main(program: str) -> int:
    """Do the command; return its exit code."""
    return command(program, "inspect", show)
