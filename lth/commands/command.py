"""What every command does beside its work: one sentence of what is wrong, and an exit code."""

import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lth.errors import UserError
from lth.files import CONF, is_disk_full

if TYPE_CHECKING:
    from rich.console import Console

os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come here, to be said in one sentence

exit_codes: list[int] = []
#: The commands that train.
TRAINING = ("run.py", "lth search")


def command(program: str, work: Callable[[DictConfig], object]) -> None:
    """Do the work of ``python -m lth.NAME`` on the config NAME of ``conf/`` and leave Python with its exit code."""

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=program.split()[-1])
    def main(config: DictConfig) -> None:
        try:
            from lth.lottery.setup.names import adopt

            work(adopt(config))
        except Exception as error:  # before Hydra adds words of its own
            exit_codes.append(complain(error, program))

    try:
        main()
    except (Exception, KeyboardInterrupt) as error:
        exit_codes.append(complain(error, program))
    sys.exit(max(exit_codes, default=0))


def screen(**options) -> "Console":
    """The terminal; 120 characters wide where it is a file or a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, **options)


def complain(error: BaseException, program: str = "run.py") -> int:
    """Say on one line what went wrong and return the exit code; what is not the user's to mend is raised."""
    code = 2
    if isinstance(error, UserError):
        sentence = str(error)
    elif isinstance(error, KeyboardInterrupt):
        goes_on = "; the same command goes on from the last finished epoch" if program in TRAINING else ""
        sentence, code = f"stopped{goes_on}", 130
    elif isinstance(error, HydraException | OmegaConfBaseException) or str(error).startswith("Config group override"):
        said = re.split(r"To append to your config|Config search path|\n\s*full_key|Set the environment", str(error))[0]
        typed = f"python {program}" if program.endswith(".py") else f"python -m {program}"
        sentence = f"{' '.join(said.split())} ({typed} --cfg job lists every key, --help the choices)"
    elif is_disk_full(error):
        sentence = f"no space left on the disk ({error}); free some and give the same command: nothing is lost"
    elif isinstance(error, OSError) and error.filename is not None:
        sentence = f"{error.filename}: {error.strerror}; correct the path or its permissions"
    else:
        raise error
    print(f"{program}: {' '.join(sentence.splitlines())}", file=sys.stderr)
    return code
