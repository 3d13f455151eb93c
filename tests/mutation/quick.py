"""A pytest plugin for mutation runs: the pure tests alone, and each hypothesis law by a few fixed examples.

`python -m pytest -p tests.mutation.quick tests/core` shows the same tests by hand.
"""

import sys
from collections.abc import Callable
from functools import cache, lru_cache

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.core.often import FEW

#: What a test asks for that needs an engine: such a test is no unit test.
_ENGINES = frozenset({"postgres_engine", "valkey_engine", "engines_folder"})
#: Tests that take long and say what others say with fewer cases, or speak of the generators and not of the product.
_LONG = (
    "test_law_1_guest_joins_board_enters_and_moves_end_equal_in_every_order",
    "test_law_1_however_facts_are_heard_lines_and_roster_end_as_the_full_statement_says",
    "test_the_histories_reach_the_size_that_the_design_asks",
    "test_the_lives_meet_every_state_every_kind_of_line_and_every_command",
    "test_law_2_the_histories_meet_every_kind_of_reduction",
)
_CACHED = type(lru_cache(len))

settings.register_profile(
    "mutation",
    max_examples=FEW,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutation")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs an engine, and what takes long."""
    config.hook.pytest_deselected(items=[item for item in items if not _quick(item)])
    items[:] = [item for item in items if _quick(item)]


def _quick(item: pytest.Item) -> bool:
    engines = _ENGINES.intersection(getattr(item, "fixturenames", ()))
    return not engines and not item.name.startswith(_LONG)


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    """What one test had computed by a cached function would hide a mutant from the next."""
    for forget in _caches():
        forget()


@cache
def _caches() -> list[Callable[[], None]]:
    ours = [module for name, module in list(sys.modules.items()) if name.startswith(("tests.", "billing."))]
    found = {id(it): it for one in ours for it in vars(one).values() if isinstance(it, _CACHED)}
    found.pop(id(_caches))
    return [cached.cache_clear for cached in found.values()]
