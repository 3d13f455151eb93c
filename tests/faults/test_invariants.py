"""The invariants can say no: each is shown a house in which it does not hold, and is content when it holds again."""

from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.faults import invariants
from tests.faults.crash.scene import Story
from tests.faults.house import FaultHouse


class Quiet(Story):
    """A story in which nothing breaks."""

    part = "worker"


@pytest.fixture(scope="module")
def story(house: FaultHouse) -> Quiet:
    made = Quiet(house, "none", Random(4))
    made.found()
    contact = {"name": "Aoi", "email": "aoi@kobo.example", "language": "ja"}
    made.customer.patch(f"/v1/workspaces/{made.kobo}", {"billing_contact": contact})
    made.happens("ren")
    house.quiet(made.customer.account)
    return made


@pytest.fixture
def forged(house: FaultHouse, story: Quiet) -> Iterator[Callable[..., list[str]]]:
    """Changes rows past the triggers, and answers what does not hold then; undone with the test."""
    undo: list[str] = []

    def change(statement: str, back: str) -> list[str]:
        _past_triggers(house, statement)
        undo.append(back)
        return invariants.faults(house, story.customer)

    assert invariants.faults(house, story.customer) == []
    yield change
    for back in undo:
        _past_triggers(house, back)
    assert invariants.faults(house, story.customer) == []


def _past_triggers(house: FaultHouse, statement: str) -> None:
    house.sql("SET session_replication_role = replica")
    house.sql(statement)
    house.sql("RESET session_replication_role")


def test_a_delivery_that_was_answered_and_is_not_there_is_lost(house: FaultHouse, story: Quiet) -> None:
    story.customer.accepted["never kept"] = 1
    try:
        (fault,) = invariants.faults(house, story.customer)
    finally:
        del story.customer.accepted["never kept"]
    assert fault == "delivery never kept was answered 200 and is kept 0 times"


def test_a_delivery_that_was_not_settled_is_told(story: Quiet, forged: Callable[..., list[str]]) -> None:
    which = f"connection_id = '{story.customer.connection['id']}'"
    found = forged(
        f"UPDATE delivery SET state = 'parked' WHERE {which}",  # noqa: S608
        f"UPDATE delivery SET state = 'done' WHERE {which}",  # noqa: S608
    )
    assert all("and is parked" in fault for fault in found)
    assert len(found) == len(story.customer.accepted)


def test_a_fact_that_was_filed_twice_is_doubled(story: Quiet, forged: Callable[..., list[str]]) -> None:
    columns = "workspace_id, kind, at, heard_at, source, source_id, ordinal, member, settled_at"
    found = forged(
        f"""INSERT INTO fact (id, {columns}) SELECT id || '-again', {columns} FROM fact
            WHERE workspace_id = '{story.kobo}' AND source = 'trello' ORDER BY seq DESC LIMIT 1""",  # noqa: S608
        "DELETE FROM fact WHERE id LIKE '%%-again'",
    )
    assert any(fault.startswith("fact trello/") and "2 times" in fault for fault in found)


def test_a_fact_that_vanished_is_lost(story: Quiet, forged: Callable[..., list[str]]) -> None:
    found = forged(
        f"UPDATE fact SET id = 'x' || id WHERE workspace_id = '{story.kobo}' AND source = 'trello'",  # noqa: S608
        f"UPDATE fact SET id = substr(id, 2) WHERE workspace_id = '{story.kobo}' AND source = 'trello'",  # noqa: S608
    )
    assert any("which is not there" in fault for fault in found)


@pytest.mark.parametrize(
    ("change", "back", "word"),
    [
        ("amount = amount + 1", "amount = amount - 1", "the endpoint took"),
        ("status = 'failed'", "status = 'succeeded'", "failed here and succeeded in the endpoint's book"),
        ("id = 'x' || id", "id = substr(id, 2)", "of which nobody here knows"),
        ("status = 'unknown'", "status = 'succeeded'", "these still wait"),
    ],
)
def test_a_charge_that_is_another_in_the_endpoints_book_is_told(
    story: Quiet, forged: Callable[..., list[str]], change: str, back: str, word: str
) -> None:
    where = f"WHERE workspace_id = '{story.kobo}'"
    found = forged(f"UPDATE charge SET {change} {where}", f"UPDATE charge SET {back} {where}")  # noqa: S608
    assert any(word in fault for fault in found)


def test_a_payment_that_the_ledger_has_twice_is_doubled(story: Quiet, forged: Callable[..., list[str]]) -> None:
    where = f"WHERE workspace_id = '{story.kobo}' AND kind = 'payment'"
    found = forged(
        f"UPDATE journal SET amount = 2 * amount {where}",  # noqa: S608
        f"UPDATE journal SET amount = amount / 2 {where}",  # noqa: S608
    )
    assert any(fault.startswith("the ledger collected") for fault in found)
    assert any(fault.startswith("verify chain") for fault in found)


def test_a_mail_that_did_not_leave_and_a_gap_in_the_numbers_are_told(
    story: Quiet, forged: Callable[..., list[str]]
) -> None:
    where = f"WHERE workspace_id = '{story.kobo}'"
    found = forged(f"UPDATE mail SET id = 'x' || id {where}", f"UPDATE mail SET id = substr(id, 2) {where}")  # noqa: S608
    assert any(fault.startswith("mail x") for fault in found)
    found = forged(f"UPDATE document SET seq = seq + 100 {where}", f"UPDATE document SET seq = seq - 100 {where}")  # noqa: S608
    assert any("are numbered up to" in fault for fault in found)


def test_an_alarm_that_nobody_expects_is_told(story: Quiet, forged: Callable[..., list[str]]) -> None:
    found = forged(
        f"INSERT INTO alarm (id, kind, workspace_id, detail) VALUES ('al', 'strange', '{story.kobo}', 'x')",  # noqa: S608
        "DELETE FROM alarm WHERE id = 'al'",
    )
    assert found == ["alarm strange: x"]
