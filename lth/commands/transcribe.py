"""What a trained network hears in recordings of your own: ``python -m lth transcribe ticket=... audio=[FILE]``."""

from lth.commands.command import command
from lth.inference.transcribe import transcribe

if __name__ == "__main__":
    command("lth transcribe", transcribe)
