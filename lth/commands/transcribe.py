"""What a trained network hears in recordings of your own."""

from lth.commands.command import command
from lth.inference.transcribe import transcribe


def main(program: str) -> int:
    """Do the command; return its exit code."""
    return command(program, "transcribe", transcribe)
