"""Ten times what the service can take, for a few seconds; `python -m tests.overload` does it for a minute."""

import sys

import pytest

from tests.overload.measure import SHORT, Found, measure, share

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched in /proc, sockets by epoll")


@pytest.fixture(scope="module")
def found() -> Found:
    return measure(SHORT)


def test_what_was_accepted_is_stored_and_settled_and_nothing_else(found: Found) -> None:
    assert found.statuses[200] > 500
    assert found.unanswered == 0
    assert found.accepted == found.stored == found.settled == found.billed, found.told()
    assert found.posted == found.asked


def test_a_flood_is_slowed_or_told_to_come_again_and_meets_no_fault(found: Found) -> None:
    assert found.offered > 3 * found.statuses[200]
    assert set(found.statuses) <= {200, 429, 503}


def test_a_quiet_tenant_is_served_through_a_flood_and_before_the_crowd(found: Found) -> None:
    assert set(found.quiet_statuses) == {200}
    assert share(found.under, 0.5) < found.crowd_wait, found.told()


def test_memory_is_bounded_in_a_flood(found: Found) -> None:
    assert 20 < found.web_mib < 400, found.told()
