"""Which tickets win: ``python analyze.py [key=value] ...``; ``--help`` lists the keys."""

import sys

from lth.commands.analyze import main

if __name__ == "__main__":
    sys.exit(main("python analyze.py"))
