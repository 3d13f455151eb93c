"""One house for the crash suite; each point has a customer of its own in it."""

import shutil
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import open_folder
from tests.faults.house import FaultHouse

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*"]  # processes are watched in /proc


@pytest.fixture(scope="package")
def house(new_database: Callable[[], str], superuser_url: str) -> Iterator[FaultHouse]:
    """The product, running."""
    folder = open_folder()
    made = FaultHouse(folder, new_database(), superuser_url)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)
