"""``python -m lth COMMAND key=value ...``, which is called ``lth`` where the package is installed."""

import sys
from importlib import import_module
from pathlib import Path

from lth.files import CONF

#: The config of a command has its name, but for this one.
CONFIG = {"run": "config"}


def main() -> int:
    """Do the command that is typed, or list all of them; return the exit code."""
    program = "lth" if Path(sys.argv[0]).stem == "lth" else "python -m lth"
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    known = commands()
    if name in ("--help", "-h", "help"):
        print(listing(known, program))
        return 0
    if name not in known:
        from lth.commands.nearest import did_you_mean  # not needed to list or to start a command

        print(f"lth: there is no command {name}{did_you_mean(name, known)} ({program} lists them)", file=sys.stderr)
        return 2
    del sys.argv[1]
    return import_module(f"lth.commands.{name}").main(f"{program} {name}")


def commands() -> list[str]:
    """Return the names of all commands: the modules of ``lth/commands`` that have a config."""
    names = sorted(path.stem for path in (Path(__file__).parent / "commands").glob("*.py"))
    return [name for name in names if config_file(name).is_file()]


def config_file(name: str) -> Path:
    """Return the file that says what a command may be told."""
    return CONF / f"{CONFIG.get(name, name)}.yaml"


def listing(names: list[str], program: str) -> str:
    """Return a line on each command, the header of its ``--help``."""
    import yaml

    width = max(map(len, names))
    lines = []
    for name in names:
        config = yaml.safe_load(config_file(name).read_text(encoding="utf-8"))
        lines.append(f"  {name:{width}}  {config['hydra']['help']['header']}")
    head = f"Winning lottery tickets for speech recognition: {program} COMMAND [key=value] ..."
    return "\n".join([head, "", *lines, "", f"{program} COMMAND --help says what each may be told."])


if __name__ == "__main__":
    sys.exit(main())
