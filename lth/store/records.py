"""CSV files of an experiment, read back with a sentence for what is wrong with them."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from lth.errors import UserError

T = TypeVar("T")


def read_records(
    path: str | Path, columns: Sequence[str], make: Callable[[dict[str, str]], T], *, missing: str, damaged: str
) -> list[T]:
    """Return what ``make`` makes of each line.

    Args:
        missing, damaged: what the user is told where there is no file, and where ``make`` raises.

    Raises:
        UserError: no such file, a missing column, or a value that ``make`` cannot read.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if lacking := set(columns) - set(reader.fieldnames or ()):
                raise UserError(f"{path} has no column {', '.join(sorted(lacking))}: is it a {path.name}?")
            return [make(record) for record in reader]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {missing}") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): {damaged}") from None
