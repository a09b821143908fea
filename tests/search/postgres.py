"""A PostgreSQL server of its own for the tests, in a temporary folder, gone afterwards."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def find() -> Path | None:
    """The folder of PostgreSQL's programs, wherever the distribution has put them."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[4])
    on_path = shutil.which("initdb")
    program = installed[-1] if installed else on_path and Path(on_path).resolve()
    return program.parent if program else None


def install() -> None:
    """Debian's package, if this is Debian and we may."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"check": False, "capture_output": True, "timeout": 300}
        subprocess.run(["apt-get", "update"], **quiet)
        command = ["apt-get", "install", "--yes", "--no-install-recommends", "postgresql"]
        subprocess.run(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, **quiet)


def programs() -> Path:
    """PostgreSQL's programs, installed if need be; without them the test is skipped, but in CI it fails."""
    if find() is None:
        install()
    folder = find()
    if folder is None:
        reason = "no PostgreSQL here, and it cannot be installed (that needs root and apt-get)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return folder


def user() -> str | None:
    """Who runs the server: it refuses to be run by root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve() -> Iterator[str]:
    """Yield the URL of a fresh database; the server is stopped afterwards."""
    folder, owner, port = programs(), user(), free_port()
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    if owner:
        shutil.chown(home, owner)
    how = {"user": owner, "cwd": home, "check": True, "capture_output": True, "timeout": 120}
    data, log = home / "data", home / "log"
    options = f"-p {port} -k {home} -h 127.0.0.1 -c fsync=off"
    subprocess.run([folder / "initdb", "-D", data, "-U", "sweeps", "--auth=trust", "-E", "UTF8"], **how)
    subprocess.run([folder / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start"], **how)
    try:
        yield f"postgresql://sweeps:secret@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([folder / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"], **how)
        shutil.rmtree(home, ignore_errors=True)
