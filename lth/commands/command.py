"""What every command does beside its work: compose its config, say what is wrong in one sentence, and an exit code."""

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lth.commands.nearest import mistyped
from lth.errors import UserError
from lth.files import CONF, is_disk_full
from lth.lottery.setup.names import adopt

if TYPE_CHECKING:
    from rich.console import Console

os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come here, to be said in one sentence

#: What a command does with its config; an integer that it returns is the exit code.
Work = Callable[[DictConfig], object]
#: The commands that train.
TRAINING = ("run.py", "lth run", "lth search")


def command(program: str, config: str, work: Work) -> int:
    """Do the work on the config that the command line describes, once or, with ``-m``, several times.

    Being told to end (SIGTERM) is the same as Ctrl-C.

    Args:
        program: what is typed to start it, such as "python run.py" or "python -m lth describe".
        config: the name of its file in ``conf/``.

    Returns:
        The exit code: the highest of all jobs'.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words = sys.argv[1:]
    sys.argv = [program, *words]  # an experiment records how it was started
    if {"--help", "-h"} & set(words):
        sys.argv.append(f"hydra.help.app_name={program}")
    codes: list[int] = []

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=config)
    def main(composed: DictConfig) -> None:
        codes.append(job(work, adopt(composed), program))  # before Hydra adds words of its own to an error

    try:
        check_options(words)
        main()
    except (Exception, KeyboardInterrupt) as error:
        codes.append(complain(error, program, config, words))
    return max(codes, default=0)


def check_options(words: Sequence[str]) -> None:
    """Raise UserError for an option that is none of Hydra's, before it prints all that it has."""
    for option in get_args_parser().parse_known_args(words)[1]:
        name = option.lstrip("-").partition("=")[0].replace("-", "_")
        raise UserError(f"{option} is no option: everything is said as KEY=VALUE, such as {name}=...")


def job(work: Work, config: DictConfig, program: str) -> int:
    """Do the work once; return its exit code. One that fails in a ``-m`` says so and leaves the others alone."""
    try:
        code = work(config)
    except Exception as error:
        try:
            return complain(error, program)
        except Exception:
            if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
                raise
            traceback.print_exception(error)
            return 1
    return code if isinstance(code, int) else 0


def screen(**options) -> "Console":
    """Return the terminal; 120 characters wide where it is a file or a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, **options)


def check_flags(config: DictConfig, *names: str) -> None:
    """Raise UserError for the first of these keys that is neither true nor false."""
    for name in names:
        if not isinstance(config[name], bool):
            raise UserError(f"{name}={config[name]} is neither true nor false: give {name}=true or leave it out")


def complain(error: BaseException, program: str, config: str | None = None, words: Sequence[str] = ()) -> int:
    """Say on one line what went wrong and return the exit code; what is not the user's to mend is raised.

    Args:
        config, words: of the command line, where the error may be of composing it.
    """
    name, code = program.removeprefix("python ").removeprefix("-m "), 2
    if config and (typo := mistyped(error, config, words, program)):
        sentence = typo
    elif isinstance(error, UserError):
        sentence = str(error)
    elif isinstance(error, KeyboardInterrupt):
        goes_on = "; the same command goes on from the last finished epoch" if name in TRAINING else ""
        sentence, code = f"stopped{goes_on}", 130
    elif isinstance(error, HydraException | OmegaConfBaseException) or str(error).startswith("Config group override"):
        said = re.split(r"To append to your config|Config search path|\n\s*full_key|Set the environment", str(error))[0]
        sentence = f"{' '.join(said.split())} ({program} --cfg job lists every key, --help the choices)"
    elif is_disk_full(error):
        sentence = f"no space left on the disk ({error}); free some and give the same command: nothing is lost"
    elif isinstance(error, OSError) and error.filename is not None:
        sentence = f"{error.filename}: {error.strerror}; correct the path or its permissions"
    else:
        raise error
    print(f"{name}: {' '.join(sentence.splitlines())}", file=sys.stderr)
    return code
