"""Offline experiments brought to W&B.

It says "done" of an experiment only after reading back from the server every run, every artifact's digest and every
use of one.
"""

import contextlib
import json
import sys
from pathlib import Path

from omegaconf import DictConfig

from lth.commands.command import check_flags, command
from lth.lottery.setup.plain import plain
from lth.tracking.sync import experiments, sync

#: The exit code when the server lacks something that this machine no longer has.
INCOMPLETE = 1


def upload(config: DictConfig) -> int:
    """Upload the experiments and say what arrived; return the exit code.

    Raises:
        UserError: no such experiment, no login, or a server that does not answer.
    """
    check_flags(config, "json")
    names = plain(config)["experiments"]
    names = [names] if not isinstance(names, list | None) else names
    done = {}
    with contextlib.redirect_stdout(sys.stderr) if config.json else contextlib.nullcontext():
        for folder in experiments([str(name) for name in names or ()], Path(config.outputs)):
            done[folder.name] = problems = sync(folder)
            print(f"{folder.name}: " + ("incomplete" if problems else "done, checked against the server"), flush=True)
            for problem in problems:
                print(f"  {problem}", file=sys.stderr)
    if config.json:
        print(json.dumps({"outputs": config.outputs, "problems": done}, indent=1))
    return INCOMPLETE if any(done.values()) else 0


def main(program: str) -> int:
    """Do the command; return its exit code."""
    return command(program, "sync", upload)
