"""The furnished house, one for a module that only asks, one for each test that may change things."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from billing.engines.process import Engine
from tests.security.place import Place, furnish, opened, settings


@pytest.fixture(scope="module")
def place(new_database: Callable[[], str], valkey_engine: Engine) -> Iterator[Place]:
    """A furnished house that no test of the module may change."""
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(settings(new_database(), valkey_engine.url, Path(folder))) as made,
    ):
        furnish(made)
        yield made


@pytest.fixture
def own_place(database_url: str, valkey_url: str, tmp_path: Path) -> Iterator[Place]:
    """A furnished house for this test alone."""
    with opened(settings(database_url, valkey_url, tmp_path)) as made:
        furnish(made)
        yield made


@pytest.fixture
def bare(database_url: str, valkey_url: str, tmp_path: Path) -> Iterator[Place]:
    """A house with the default account and nothing else."""
    with opened(settings(database_url, valkey_url, tmp_path)) as made:
        yield made
