"""Storages for the tests of searches."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.search import postgres


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Optuna says of much that we use, and pin, that it may change."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:Heartbeat of storage"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL server."""
    yield from postgres.serve()
