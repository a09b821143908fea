"""One experiment: ``python run.py [GROUP=CHOICE] [key=value] ...``; ``--help`` lists the groups."""

import sys

from lth.commands.run import main

if __name__ == "__main__":
    sys.exit(main("python run.py"))
