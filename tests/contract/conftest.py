"""The running service with something in it, for the whole folder."""

import sys

import pytest

from tests.contract.place import Place
from tests.flows.house import House
from tests.flows.running import house, last_words

__all__ = ["house", "last_words"]
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*"]  # the processes die with us by Linux's means


@pytest.fixture(scope="package")
def place(house: House) -> Place:
    """What is in it."""
    return Place(house)
