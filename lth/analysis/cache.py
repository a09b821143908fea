"""What took long to find out is kept beside the analysis, under a hash of all that it depends on."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from lth.files import write_text
from lth.store.store import round_key


def known(folder: Path | None, what: str, inputs: Mapping) -> dict | None:
    """Return what is kept for these inputs; None where there is nothing, or nothing that can be read."""
    if folder is None:
        return None
    try:
        return json.loads(_file(folder, what, inputs).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def remembered(folder: Path | None, what: str, inputs: Mapping, compute: Callable[[], dict]) -> dict:
    """Return a JSON document: the one that is kept for these inputs, or else computed, and kept if there is a folder.

    Args:
        what: names the kind of document.
        inputs: everything that it depends on, as JSON.
    """
    found = known(folder, what, inputs)
    if found is None:
        found = compute()
        if folder is not None:
            write_text(_file(folder, what, inputs), json.dumps(found))
    return found


def _file(folder: Path, what: str, inputs: Mapping) -> Path:
    return folder / what / f"{round_key(inputs)}.json"
