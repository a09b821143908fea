"""``python -m lth COMMAND key=value ...``"""

import runpy
import sys

if __name__ == "__main__":
    name = sys.argv.pop(1)
    sys.argv[0] = f"lth {name}"
    runpy.run_module(f"lth.commands.{name}", run_name="__main__", alter_sys=False)
