"""The best weight of a language model and bonus of a word, on dev: ``python -m lth tune ticket=... decoder=beam``."""

from lth.commands.command import command, screen
from lth.inference.tune import tune

if __name__ == "__main__":
    command("lth tune", lambda config: tune(config, screen()))
