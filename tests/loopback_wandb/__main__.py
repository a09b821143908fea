"""`python -m tests.loopback_wandb --port 8765`: the double started by hand."""

import argparse
import tempfile
from pathlib import Path

from tests.loopback_wandb.server import API_KEY, Server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--data", type=Path, help="folder for uploaded files (default: a temporary one)")
    arguments = parser.parse_args()
    server = Server(arguments.data or Path(tempfile.mkdtemp(prefix="loopback-wandb-")), arguments.port)
    print(f"WANDB_BASE_URL={server.url} WANDB_API_KEY={API_KEY} WANDB_ERROR_REPORTING=false", flush=True)
    server.http.serve_forever()


if __name__ == "__main__":
    main()
