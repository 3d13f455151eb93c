"""One database for all the lives of a session."""

from collections.abc import Callable, Iterator

import pytest

from billing.store import inbox
from billing.store.db import Database
from tests.lives.machine import World
from tests.lives.perils import Perils
from tests.lives.voices import price_the_option


@pytest.fixture(scope="session")
def lives_world(new_database: Callable[[], str]) -> Iterator[World]:
    """Its catalogue has a price for every option."""
    database = Database(new_database(), size=4)
    with database.transaction("test") as connection:
        price_the_option(connection)
    committer = inbox.connect(database.url)
    perils = Perils()
    with perils.in_force():
        yield World(database, committer, perils)
    committer.close()
    database.close()
