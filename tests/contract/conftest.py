"""The running service with something in it, for the whole folder."""

import shutil
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import open_folder
from tests.contract.place import Place
from tests.flows.house import House

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*"]  # the processes die with us by Linux's means


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


@pytest.fixture(scope="package")
def place(house: House) -> Place:
    """What is in it."""
    return Place(house)
