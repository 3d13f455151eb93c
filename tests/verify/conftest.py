"""A true database with a past, told once and copied for each test."""

import secrets
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from tests.conftest import other_database
from tests.verify.tampering import opened, papered
from tests.workers.world import World


@pytest.fixture(scope="package")
def original(new_database: Callable[[], str]) -> str:
    """The address of a database in which the story was told; nobody is connected to it."""
    url = new_database()
    papered(url)[0].database.close()
    return url


@pytest.fixture
def story(original: str, superuser_url: str) -> Iterator[World]:
    """A copy of it."""
    name = f"test_{secrets.token_hex(6)}"
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER sekisu")
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        names = sql.Identifier(name), sql.Identifier(original.rpartition("/")[2])
        connection.execute(statement.format(*names))
    world = opened(other_database(original, name))
    yield world
    world.database.close()
