"""The desk at which documents are issued, and a real mail server."""

from collections.abc import Iterator

import pytest

from tests.papers.desk import Desk


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    made = Desk(database_url)
    yield made
    made.database.close()
