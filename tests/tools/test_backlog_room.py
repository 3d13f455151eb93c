"""Backlog's own samples, as they are published, and what its activities tell of a space."""

import json
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from billing.core.facts import Fact, order
from billing.tools import backlog, parsing
from billing.tools.backlog.activities import WORDS, read_activity
from billing.tools.room import Event

SHARED = Path(__file__).parents[3] / "shared"
SAMPLES = SHARED / "payloads" / "backlog"
needs_shared = pytest.mark.skipif(not SAMPLES.is_dir(), reason="no ../shared beside the work tree")

NOW = datetime(2025, 4, 15, 9, 30, tzinfo=UTC)
URL = "https://sekisu.example/w/1"


def activity(number: int = 7200001, kind: int = 15, *people: int, **given: Any) -> dict[str, Any]:
    users = [{"id": person, "name": f"Person {person}"} for person in people]
    whole = {"id": number, "type": kind, "created": "2025-04-15T09:30:00Z", "project": {"id": 55001}}
    return {**whole, "content": {"users": users}, "createdUser": {"id": 1, "roleType": 1}, **given}


def raw(body: object) -> bytes:
    return json.dumps(body).encode()


def told(events: tuple[Event, ...]) -> list[tuple[str, str | None, str | None, int]]:
    return [(event.kind, event.board, event.member, event.ordinal) for event in events]


@needs_shared
@pytest.mark.parametrize("name", ["type15_user_added.webhook-test.json", "type16_user_removed.webhook-test.json"])
def test_the_published_execution_test_is_accepted_and_tells_of_nobody(name: str) -> None:
    body = (SAMPLES / name).read_bytes()
    reading = backlog.read({"user-agent": "Backlog Webhook"}, body)
    assert (reading.events, reading.reread, reading.quarantined, reading.known) == ((), False, False, True)
    assert "execution test" in str(reading.reason)


@needs_shared
def test_two_execution_tests_of_one_number_are_two_deliveries() -> None:
    bodies = [p.read_bytes() for p in sorted(SAMPLES.glob("*.webhook-test.json"))]
    assert len({json.loads(body)["id"] for body in bodies}) == 1
    assert len({backlog.delivery_id({}, body) for body in bodies}) == len(bodies) == 2


@needs_shared
def test_the_published_membership_gives_its_fact_and_asks_to_read_again() -> None:
    body = (SAMPLES / "type15_project_user_added.json").read_bytes()
    reading = backlog.read({}, body)
    (event,) = reading.events
    assert (event.kind, event.board, event.member) == ("board.member_added", "2303", "1073751782")
    assert (event.workspace, event.owner) == (None, None)
    assert event.at == datetime(2014, 7, 31, 2, 14, 5, tzinfo=UTC)
    assert (event.source_id, event.ordinal, event.seq) == ("623680", 0, 623680)
    assert event.data == {"role_type": 2}
    assert reading.reread
    assert backlog.delivery_id({}, body) == "623680"


@needs_shared
@pytest.mark.parametrize("name", ["type2_issue_updated.json", "type3_issue_commented.json"])
def test_a_published_issue_is_not_about_members(name: str) -> None:
    reading = backlog.read({}, (SAMPLES / name).read_bytes())
    assert (reading.events, reading.reread, reading.known) == ((), False, True)
    assert reading.action.startswith("issue_")


@needs_shared
def test_every_published_sample_is_expected_here() -> None:
    tested = {"type15_user_added.webhook-test", "type16_user_removed.webhook-test", "type15_project_user_added"}
    tested |= {"type2_issue_updated", "type3_issue_commented"}
    assert {p.stem for p in SAMPLES.glob("*.json") if not p.name.startswith("rest_")} == tested


def test_the_room_says_that_its_tool_cannot_sign_and_no_header_is_asked_for() -> None:
    assert backlog.SIGNED is False
    assert backlog.sign(b"{}", "a secret", URL, NOW, "") == {}
    for headers in ({}, {"user-agent": "curl"}, {"authorization": "x"}):
        assert backlog.verify(headers, b"{}", "a secret", URL, NOW)


def test_one_activity_adds_each_of_its_people_and_only_once() -> None:
    reading = read_activity(activity(7200001, 15, 3, 1, 2, 3))
    added = "board.member_added"
    assert told(reading.events) == [(added, "55001", "1", 0), (added, "55001", "2", 1), (added, "55001", "3", 2)]
    assert {event.source_id for event in reading.events} == {"7200001"}


def test_people_listed_in_another_order_are_the_same_facts_and_the_same_event() -> None:
    bodies = [raw(activity(7200001, 16, *people)) for people in permutations((31, 4, 159))]
    assert len({tuple(told(backlog.read({}, body).events)) for body in bodies}) == 1
    assert len({backlog.fingerprint({}, body) for body in bodies}) == 1
    # Many enough for a set to keep them in another order when they come in another order.
    many = list(range(1, 301))
    crowds = [raw(activity(7200001, 16, *people)) for people in (many, many[::-1], many[1::2] + many[::2])]
    assert len({backlog.fingerprint({}, body) for body in crowds}) == 1


def test_an_activity_number_used_for_other_people_is_another_event() -> None:
    told_apart = [
        activity(7200001, 15, 1),
        activity(7200001, 15, 2),
        activity(7200001, 16, 1),
        activity(7200001, 15, 1, created="2025-04-15T09:30:01Z"),
        activity(7200001, 15, 1, project={"id": 55002}),
    ]
    assert {backlog.delivery_id({}, raw(body)) for body in told_apart} == {"7200001"}
    assert len({backlog.fingerprint({}, raw(body)) for body in told_apart}) == len(told_apart)


def test_of_one_second_the_higher_number_came_later() -> None:
    removed, again = activity(7200001, 16, 5), activity(7200002, 15, 5)
    events = [event for body in (again, removed) for event in read_activity(body).events]
    facts = [
        Fact(e.source_id, e.kind, e.at, NOW, "backlog", e.source_id, e.ordinal, e.member, e.board, seq=e.seq)
        for e in events
    ]
    assert [fact.kind for fact in sorted(facts, key=order)] == ["board.member_removed", "board.member_added"]


def test_bl_04_two_hundred_people_come_to_a_project_and_no_event_speaks_of_the_space() -> None:
    reading = read_activity(activity(7200001, 15, *range(1, 201)))
    assert len(reading.events) == 200
    assert {event.kind for event in reading.events} == {"board.member_added"}
    assert reading.reread


@pytest.mark.parametrize("kind", [25, 26])
def test_a_team_is_only_a_hint_because_its_members_are_not_listed(kind: int) -> None:
    body = activity(7200001, kind, content={"parties": [{"id": 3301, "name": "Crew"}], "users": [{"id": 5}]})
    reading = read_activity(body)
    assert reading.events == ()
    assert reading.reread


@pytest.mark.parametrize("kind", sorted(set(WORDS) - {15, 16, 25, 26}))
def test_any_other_known_activity_is_ignored_even_if_it_lists_people(kind: int) -> None:
    reading = read_activity(activity(7200001, kind, 5))
    assert (reading.events, reading.reread, reading.known, reading.quarantined) == ((), False, True, False)
    assert reading.reason


@pytest.mark.parametrize("kind", [27, 33, 99, 9999])
def test_a_type_nobody_has_named_is_kept_and_counted(kind: int) -> None:
    reading = read_activity(activity(7200001, kind, 5))
    assert (reading.events, reading.known, reading.action) == ((), False, str(kind))


def test_no_execution_test_bills_whatever_its_type_and_a_real_project_of_a_low_number_is_heard() -> None:
    probe = {"id": 100, "projectKey": "TEST", "name": "Probe"}
    for kind in (*WORDS, 99):
        body = activity(10, kind, 100, project=probe)
        assert read_activity(body).events == ()
        assert not read_activity(body).reread
    for real in (activity(11, 15, 5, project=probe), activity(10, 15, 5, project={**probe, "projectKey": "TESTS"})):
        assert len(read_activity(real).events) == 1
        assert backlog.delivery_id({}, raw(real)) == str(real["id"])


def test_a_role_type_is_never_a_role_of_the_contract() -> None:
    body = activity(content={"users": [{"id": 5, "name": None, "roleType": 1}]})
    (event,) = read_activity(body).events
    assert event.data == {"role_type": 1}
    assert event.name is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"id": "7200001"}, "id"),
        ({"id": True}, "id"),
        ({"id": 2**63}, "id"),
        ({"type": "15"}, "type"),
        ({"created": "2025-04-15 09:30:00"}, "created"),
        ({"project": {"id": 0}}, "project.id"),
        ({"content": {"users": [{"id": 1}, {"name": "x"}]}}, "content.users.1.id"),
        ({"content": {"users": {"id": 1}}}, "content.users"),
        ({"content": {}}, "content.users"),
    ],
)
def test_a_membership_of_the_wrong_shape_is_quarantined_and_named(given: dict[str, Any], field: str) -> None:
    body = activity(7200001, 15, 5) | given
    reading = read_activity(body)
    assert reading.quarantined
    assert reading.events == ()
    assert str(reading.reason).startswith(f"{field}:")


def test_an_activity_without_a_number_goes_by_its_digest() -> None:
    for number in (None, "7200001", 0, 1.5, True, 2**63):
        body = raw(activity(15) | {"id": number})
        assert backlog.delivery_id({}, body) == parsing.fallback_id(body)


def test_a_head_says_that_the_address_answers() -> None:
    assert backlog.greet("HEAD", {}, b"")
    assert not backlog.greet("GET", {}, b"")
