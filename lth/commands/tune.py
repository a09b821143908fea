"""The best weight of a language model and bonus of a word, on dev."""

from lth.commands.command import command, screen
from lth.inference.tune import tune


def main(program: str) -> int:
    """Do the command; return its exit code."""
    return command(program, "tune", lambda config: tune(config, screen()))
