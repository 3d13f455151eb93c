"""One house for the whole folder, and customers in it."""

import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from tests.conftest import open_folder
from tests.flows.customer import Customer
from tests.flows.house import House
from tests.flows.tool import at
from tests.flows.town import Town

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*"]  # processes are watched in /proc


@pytest.fixture(scope="package")
def house(new_database: Callable[[], str], superuser_url: str) -> Iterator[House]:
    """The product, running."""
    folder = open_folder()
    made = House(folder, new_database(), superuser_url)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _last_words(house: House) -> Iterator[None]:
    """What the processes wrote, beside the report of a test that failed."""
    yield
    print(house.words())


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
