"""The pytest fixtures: the client as if just imported, and a server of its own for a test.

A test file that wants them says `wandb_client = fixture.wandb_client; wandb_server = fixture.wandb_server`.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from tests.loopback_wandb.server import API_KEY, Server


def take_settings() -> dict[str, str]:
    """Take everything about W&B out of the environment, the address of its service process included."""
    wandb.teardown()
    return {name: os.environ.pop(name) for name in list(os.environ) if "WANDB_" in name}


@pytest.fixture
def wandb_client() -> Iterator[None]:
    """The client with no settings, and afterwards the environment as it was."""
    before = take_settings()
    yield
    take_settings()
    os.environ.update(before)


@pytest.fixture
def wandb_server(wandb_client: None, tmp_path: Path) -> Iterator[Server]:
    """A server, addressed by this process and its children; at the end reports what it did not know."""
    server = Server(tmp_path / "loopback-wandb").start()
    os.environ |= {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": API_KEY, "WANDB_ERROR_REPORTING": "false"}
    yield server
    wandb.teardown()
    server.stop()
    if server.state.unknown:
        warnings.warn(f"the W&B double does not know: {dict(server.state.unknown)}", stacklevel=1)
