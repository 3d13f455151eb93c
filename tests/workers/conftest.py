"""The small world of the folder, where its time begins."""

from collections.abc import Iterator

import pytest

from tests.workers.world import World, at


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """An account with a clock that stands at 2025-01-15."""
    made = World(database_url, at("2025-01-15"))
    yield made
    made.database.close()
