"""One house for the whole folder, and customers in it."""

import sys
from collections.abc import Callable
from datetime import datetime

import pytest

from tests.flows.customer import Customer
from tests.flows.house import House
from tests.flows.running import house, last_words
from tests.flows.tool import at
from tests.flows.town import Town

__all__ = ["house", "last_words"]
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*"]  # processes are watched in /proc


@pytest.fixture
def customer(house: House) -> Customer:
    """A customer whose clock stands at the start of the rulebook's story."""
    return Customer(house, at("2025-01-15"))


@pytest.fixture
def new_customer(house: House) -> Callable[[datetime | None], Customer]:
    """Makes customers; None: by the wall clock."""
    return lambda now: Customer(house, now)


@pytest.fixture(scope="package")
def town(house: House) -> Town:
    """A hundred workspaces that pay."""
    return Town(house)
