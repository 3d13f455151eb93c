"""The inbox under the whole product: what comes often counts once, and what is genuine is never lost."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from billing.core import calendar
from billing.store import intake
from billing.tools.room import Event
from tests.flows.customer import TOOL, Customer
from tests.flows.house import House, wait
from tests.flows.sockets import Lines, at_once, exchange
from tests.flows.tool import at, ident, in_workspace, on_board, raw
from tests.flows.town import request_of

JANUARY = at("2025-01-15")


@pytest.fixture
def kobo(customer: Customer) -> str:
    """A workspace that pays for one."""
    workspace = customer.workspace("kobo")
    customer.roster(workspace, "aoi")
    customer.start(workspace)
    customer.rest(workspace)
    return workspace


def test_a_hundred_parallel_deliveries_over_three_processes_are_one_row_and_one_effect(
    customer: Customer, kobo: str
) -> None:
    body = raw(in_workspace("addMemberToOrganization", "kobo", "ren", JANUARY, "ren joins"))

    with Lines(customer.house) as lines:
        hundred = lines.over(3, 100)
        pids = set(lines.owners(hundred).values())
        statuses = at_once(hundred, request_of(customer, body))
    customer.rest(kobo)

    assert (len(pids), len(hundred), set(statuses)) == (3, 100, {200})
    assert [row["state"] for row in customer.deliveries()] == ["done"]
    assert len(customer.of(kobo, "facts")) == 1 + 1 + 1  # aoi's, the start, and this
    assert customer.charged(kobo) == [("succeeded", 11999), ("succeeded", 11999)]
    assert customer.booked(kobo) == [("succeeded", 11999, 1), ("succeeded", 11999, 1)]


def test_a_redelivery_after_the_raw_body_was_dropped_has_no_effect(customer: Customer, kobo: str) -> None:
    body = in_workspace("addMemberToOrganization", "kobo", "ren", JANUARY, "ren joins")
    customer.tell(body, kobo)
    (first,) = customer.deliveries()
    customer.house.sql("DELETE FROM delivery_body WHERE id = %s", first["id"])

    customer.tell(body, kobo)
    customer.tell(in_workspace("addMemberToOrganization", "kobo", "kei", JANUARY, "a neighbour"), kobo)

    assert customer.deliveries("ren joins") == [first]
    assert customer.seats(kobo) == (3, 3, 0)
    assert customer.charged(kobo) == [("succeeded", 11999)] * 3


def test_a_fact_with_a_low_number_that_is_committed_late_is_settled(customer: Customer, kobo: str) -> None:
    source = intake.Source(customer.account, TOOL, shared_boards=True)
    late = Event("member.joined", JANUARY, "late", workspace=ident("kobo"), member=ident("ren"))
    with customer.house.database.transaction("test") as held:
        intake.file(held, source, [intake.Heard(late, JANUARY)])
        customer.tell(in_workspace("addMemberToOrganization", "kobo", "kei", JANUARY, "kei joins"), kobo)
        assert customer.seats(kobo) == (2, 2, 0)
    wait(lambda: customer.seats(kobo) == (3, 3, 0))
    customer.rest(kobo)

    query = "SELECT member, settled_at FROM fact WHERE workspace_id = %s AND kind = 'member.joined' ORDER BY seq"
    settled = {row["member"]: row["settled_at"] for row in customer.house.sql(query, kobo)}
    assert list(settled)[1:] == [ident("ren"), ident("kei")]
    assert settled[ident("kei")] < settled[ident("ren")]
    assert customer.booked(kobo) == [("succeeded", 11999, 1)] * 3


def test_rubbish_is_answered_as_the_contract_says_and_what_is_genuine_is_quarantined(
    customer: Customer, kobo: str
) -> None:
    good = raw(in_workspace("addMemberToOrganization", "kobo", "ren", JANUARY, "ren joins"))
    big = b" " * 2_000_000
    strange = {"not JSON": b"hello", "too deep": b"[" * 100_000, "NUL": b'{"action":{"id":"a\\u0000b"}}'}

    refused = {
        "bad signature": _send(customer, good, {"X-Trello-Webhook": "AAAA"}),
        "non-ASCII signature": _send(customer, good, {"X-Trello-Webhook": "b\xe4d \xff"}),
        "no signature": _send(customer, good, {}),
        "unknown connection": _send(customer, good, customer.signed(good), "/webhooks/trello/cn_nobody"),
        "unknown tool": _send(customer, good, customer.signed(good), customer.path.replace(TOOL, "abacus")),
        "2 MB": _send(customer, big, customer.signed(big)),
        "2 MB in chunks": _send(customer, big, customer.signed(big), chunks=True),
    }
    accepted = {name: _send(customer, body, customer.signed(body)) for name, body in strange.items()}
    customer.rest(kobo)

    assert {name: status for name, (status, _) in refused.items()} == {
        "bad signature": 401,
        "non-ASCII signature": 401,
        "no signature": 401,
        "unknown connection": 404,
        "unknown tool": 404,
        "2 MB": 413,
        "2 MB in chunks": 413,
    }
    assert {status for status, _ in accepted.values()} == {200}
    assert all(len(answer) < 2048 for _, answer in (*refused.values(), *accepted.values()))
    assert [row["state"] for row in customer.deliveries()] == ["quarantined"] * len(strange)
    assert all(row["reason"] for row in customer.deliveries())
    kept = customer.house.sql(
        "SELECT b.body FROM delivery d JOIN delivery_body b ON b.id = d.id WHERE d.connection_id = %s",
        customer.connection["id"],
    )
    assert {bytes(row["body"]) for row in kept} == set(strange.values())
    customer.tell(in_workspace("addMemberToOrganization", "kobo", "kei", JANUARY, "a neighbour"), kobo)
    assert customer.seats(kobo) == (2, 2, 0)


def _send(
    customer: Customer, body: bytes, headers: dict[str, str], path: str = "", *, chunks: bool = False
) -> tuple[int, bytes]:
    length = {"Transfer-Encoding": "chunked"} if chunks else {"Content-Length": str(len(body))}
    named = {"Host": "localhost", "Connection": "close", **length, **headers}
    lines = [f"POST {path or customer.path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    parts = [body[start : start + 16_384] for start in range(0, len(body), 16_384)]
    sent = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"] if chunks else [body]
    return exchange(customer.house, "\r\n".join(lines).encode("latin-1"), *sent)


def test_the_same_id_with_another_event_is_quarantined_and_the_first_one_stands(customer: Customer, kobo: str) -> None:
    customer.tell(in_workspace("addMemberToOrganization", "kobo", "ren", JANUARY, "ren joins"), kobo)
    customer.tell(in_workspace("addMemberToOrganization", "kobo", "kei", JANUARY, "ren joins"), kobo)

    assert [row["state"] for row in customer.deliveries("ren joins")] == ["done", "quarantined"]
    assert customer.seats(kobo) == (2, 2, 0)


def test_a_delivery_of_an_unknown_workspace_waits_and_is_read_with_its_first_hearing(
    new_customer: Callable[[datetime | None], Customer], house: House
) -> None:
    customer = new_customer(None)
    when = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=3)
    assert customer.deliver(in_workspace("addMemberToOrganization", "kobo", "aoi", when, "aoi joins")) == 200
    assert customer.deliver(on_board("addMemberToBoard", "plans", when, "guest", owner="kobo", member="sora")) == 200
    wait(lambda: [row["state"] for row in customer.deliveries("aoi joins")] == ["parked"])
    wait(lambda: [row["state"] for row in customer.deliveries("guest")] == ["done"])
    (parked,) = customer.deliveries("aoi joins")
    assert ident("kobo") in parked["reason"]

    workspace = customer.workspace("kobo")
    customer.rest(workspace)

    assert [row["state"] for row in customer.deliveries("aoi joins")] == ["done"]
    facts = {row["source_id"]: row for row in customer.of(workspace, "facts")}
    fact = facts[ident("aoi joins")]
    assert (fact["at"], fact["heard_at"]) == (calendar.written(when), parked["received_at"])
    assert facts[ident("guest")]["heard_at"] == customer.deliveries("guest")[0]["received_at"]
    assert {row["name"]: row["rule"] for row in customer.of(workspace, "members")} == {"Aoi": "TR-01", "Sora": "TR-15"}
    assert house.count("SELECT count(*) FROM fact WHERE workspace_id = %s", workspace) == 2
