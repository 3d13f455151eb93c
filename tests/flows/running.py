"""The running product as fixtures, for folders of tests: each imports them into its `conftest.py`."""

import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import open_folder
from tests.flows.house import House


@pytest.fixture(scope="package")
def house(new_database: Callable[[], str], superuser_url: str) -> Iterator[House]:
    """The product, running."""
    folder = open_folder()
    made = House(folder, new_database(), superuser_url)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def last_words(house: House) -> Iterator[None]:
    """What the processes wrote, beside the report of a test that failed."""
    yield
    print(house.words())
