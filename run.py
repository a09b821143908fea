"""One experiment: ``python run.py [GROUP=CHOICE] [key=value] ...``; ``--help`` lists the groups."""

import errno
import os
import re
import signal
import sys
import traceback

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lth.errors import UserError

os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come here, to be said in one sentence

exit_codes: list[int] = []
played: list = []  # the rows of every experiment; several of them in a multirun
transfers: list = []  # the config and rows of those that started from a ticket


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """One job; a job of a multirun that fails says so and leaves the others alone."""
    from rich.console import Console  # heavy imports wait until there is work, so that --help is quick

    try:
        from lth.tracking.trial import in_sweep
        from lth.trial import play, run_trial

        console = Console(width=None if sys.stdout.isatty() else 120)
        if config.control is not None:
            from lth.control import control

            played.extend(control(config, console))
            return
        rows = run_trial(config, console) if in_sweep() else play(config, console)
        played.extend(rows)
        if config.ticket is not None:
            transfers.extend((config, one) for one in rows)
    except Exception as error:
        exit_codes.append(complain_of_job(error))


def complain_of_job(error: Exception) -> int:
    """As `complain`; but the crash of one job of a multirun is shown at once, and the next job begins."""
    try:
        return complain(error)
    except Exception:
        if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
            raise
        traceback.print_exception(error)
        return 1


def say_together() -> None:
    """What the experiments of a multirun cost together."""
    from lth.trial import tally, trained_and_reused

    if len(transfers) > 1:
        from rich.console import Console

        from lth.transfer import Transfer, matrix

        Console(width=None if sys.stdout.isatty() else 120).print(matrix([Transfer.of(*one) for one in transfers]))
    print(tally(len(played), *trained_and_reused(played)))


def complain(error: BaseException, program: str = "run.py") -> int:
    """Say on one line what went wrong and return the exit code; what is not the user's to mend is raised."""
    code = 2
    if isinstance(error, UserError):
        sentence = str(error)
    elif isinstance(error, KeyboardInterrupt):
        sentence, code = "stopped; the same command goes on from the last finished epoch", 130
    elif isinstance(error, HydraException | OmegaConfBaseException) or str(error).startswith("Config group override"):
        said = re.split(r"To append to your config|Config search path|\n\s*full_key|Set the environment", str(error))[0]
        sentence = f"{' '.join(said.split())} (python run.py --cfg job lists every key, --help the choices)"
    elif is_disk_full(error):
        sentence = f"no space left on the disk ({error}); free some and give the same command: nothing is lost"
    elif isinstance(error, OSError) and error.filename is not None:
        sentence = f"{error.filename}: {error.strerror}; correct the path or its permissions"
    else:
        raise error
    print(f"{program}: {' '.join(sentence.splitlines())}", file=sys.stderr)
    return code


def is_disk_full(error: BaseException) -> bool:
    """Whether a full disk or quota is behind this error; safetensors only says so in its text."""
    codes = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in codes or any(f"os error {code})" in str(error) for code in codes)


def command() -> int:
    """The whole command; returns its exit code. Being told to end (SIGTERM) is the same as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except (Exception, KeyboardInterrupt) as error:
        exit_codes.append(complain(error))
    if len(played) > 1:
        say_together()
    return max(exit_codes, default=0)


if __name__ == "__main__":
    sys.exit(command())
