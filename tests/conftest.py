"""Where the tests find real speech and noise; the data lies beside the project, never in it."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def _folder(name: str) -> Path:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"no real data: {name} is not beside the project")
    return folder


@pytest.fixture(scope="session")
def an4_root() -> Path:
    return _folder("an4")


@pytest.fixture(scope="session")
def librispeech_root() -> Path:
    return _folder("librispeech")


@pytest.fixture(scope="session")
def noise_root() -> Path:
    return _folder("noise")


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """Where the built-in corpus is made once for all the lotteries of a test process."""
    return tmp_path_factory.mktemp("corpus")
