"""Lives over HTTP by clock: what is not paid, and law 4, that one long advance comes to the same as many short ones."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from service.cli.story import moment
from tests.flows.customer import Customer
from tests.flows.house import House
from tests.flows.tool import at, ident, in_workspace

TOKYO = "Asia/Tokyo"
Life = Callable[[Customer], str]


def jst(text: str) -> datetime:
    return moment(text, TOKYO)


@pytest.fixture(autouse=True)
def _behaves_again(house: House) -> Iterator[None]:
    """No test leaves the payment endpoint misbehaving."""
    yield
    house.fault(None)


def give(customer: Customer, workspace: str, command: str, status: int = 201, **body: Any) -> Any:
    """Give a command as somebody who may, and wait for what comes of it."""
    role = "contract_admin" if customer.get(f"/v1/workspaces/{workspace}")["tool"] == "backlog" else "admin"
    path = f"/v1/workspaces/{workspace}/{command}"
    told = customer.post(path, {"actor": {"id": ident("aoi"), "role": role}, **body}, status)
    customer.rest(workspace)
    return told


def state(customer: Customer, workspace: str) -> str:
    return str(customer.get(f"/v1/workspaces/{workspace}")["state"])


def outcomes(customer: Customer, workspace: str) -> list[tuple[str, int, int]]:
    """Each charge: status, amount, and how many attempts were made."""
    return [(row["status"], row["amount"], len(row["attempts"])) for row in customer.of(workspace, "charges")]


def walk(customer: Customer, *days: datetime) -> None:
    """Advance the clock from one instant to the next."""
    for day in days:
        customer.advance(day)


def daily(start: datetime, end: datetime, days: int = 1) -> list[datetime]:
    """From the day after `start` to `end`, every so many days."""
    count = (end - start) // timedelta(days=days)
    return [*(start + timedelta(days=days * n) for n in range(1, count + 1) if start + n * timedelta(days) < end), end]


# --- whoever does not pay --------------------------------------------------------------------------------------------


def contract(customer: Customer) -> str:
    """Chatwork Business by the month from 2025-04-01, paid: 5 licences, ¥4,620 with tax."""
    workspace = customer.workspace("contract", tool="chatwork", connection_id=None, time_zone=TOKYO)
    customer.roster(workspace, "aoi", "ren", "kei")
    chosen: dict[str, Any] = {"interval": "month", "payment_method": "card", "licences": 5}
    give(customer, workspace, "subscription", plan="chatwork-business", **chosen)
    assert customer.charged(workspace) == [("succeeded", 4620)]
    return workspace


def space(customer: Customer) -> str:
    """Backlog Standard by card and month, its trial begun on 2025-04-01 and registered at once: ¥17,600 from 05-01."""
    name = f"space of {customer.account}"  # a space id is one in the whole world (BL-03)
    workspace = customer.workspace(name, tool="backlog", connection_id=None, time_zone=TOKYO)
    customer.roster(workspace, "aoi")
    give(customer, workspace, "trial", plan="backlog-standard", terms_version="v12")
    give(customer, workspace, "registration", payment_method="card", months=1)
    return workspace


def team(customer: Customer) -> str:
    """Trello Premium by the month from where the clock stands, paid: two people, $25.00."""
    workspace = customer.workspace("team")
    customer.roster(workspace, "aoi", "ren")
    give(customer, workspace, "subscription", plan="trello-premium", interval="month", payment_method="card")
    assert customer.charged(workspace) == [("succeeded", 2500)]
    return workspace


@pytest.fixture
def tokyo(new_customer: Callable[[datetime | None], Customer]) -> Customer:
    """A customer whose clock stands at 2025-04-01 in Tokyo."""
    return new_customer(jst("2025-04-01"))


def test_b_16_chatwork_is_suspended_two_weeks_after_the_first_failure_and_goes_on_with_another_card(
    tokyo: Customer,
) -> None:
    workspace = contract(tokyo)
    tokyo.house.fault("decline")
    tokyo.advance(jst("2025-05-01"))
    assert (state(tokyo, workspace), outcomes(tokyo, workspace)[1]) == ("past_due", ("failed", 4620, 1))

    walk(tokyo, *daily(jst("2025-05-01"), jst("2025-05-14 23:59")))
    assert (state(tokyo, workspace), outcomes(tokyo, workspace)[1]) == ("past_due", ("failed", 4620, 14))
    tokyo.advance(jst("2025-05-15"))
    assert (state(tokyo, workspace), outcomes(tokyo, workspace)[1]) == ("suspended", ("failed", 4620, 14))
    assert give(tokyo, workspace, "licences", 409, add=1)["rule"] == "B-16"

    tokyo.advance(jst("2025-05-20"))
    tokyo.house.fault(None)
    give(tokyo, workspace, "payment-method", payment_method="card")
    assert (state(tokyo, workspace), outcomes(tokyo, workspace)[1:]) == ("active", [("succeeded", 4620, 15)])
    tokyo.advance(jst("2025-06-01"))
    assert tokyo.booked(workspace) == [("succeeded", 4620, 1), ("succeeded", 4620, 15), ("succeeded", 4620, 1)]


def test_b_16_chatwork_is_not_suspended_when_it_is_paid_the_day_before(tokyo: Customer) -> None:
    workspace = contract(tokyo)
    tokyo.house.fault("decline", times=13)
    tokyo.advance(jst("2025-05-20"))
    assert (state(tokyo, workspace), outcomes(tokyo, workspace)[1]) == ("active", ("succeeded", 4620, 14))
    kinds = [(fact["kind"], fact["at"][:10]) for fact in tokyo.of(workspace, "facts") if fact["source"] == "payment"]
    assert kinds[0] == ("payment.failed", "2025-04-30")  # 05-01 in Tokyo
    assert kinds[-1] == ("payment.succeeded", "2025-05-13")  # 05-14 in Tokyo


def test_a_suspended_contract_that_pays_after_a_renewal_was_missed_is_billed_for_what_is_left_of_the_month(
    tokyo: Customer,
) -> None:
    workspace = contract(tokyo)
    tokyo.house.fault("decline", times=14)
    tokyo.advance(jst("2025-06-21"))
    assert (state(tokyo, workspace), len(tokyo.of(workspace, "charges"))) == ("suspended", 2)

    give(tokyo, workspace, "payment-method", payment_method="card")
    assert state(tokyo, workspace) == "active"
    # May is paid after all; of June 10 of 30 days are left: 5 x 840 x 10/30 = 1,400 and 140 of tax.
    assert tokyo.charged(workspace)[1:] == [("succeeded", 4620), ("succeeded", 1540)]
    tokyo.advance(jst("2025-07-01"))
    assert tokyo.charged(workspace)[3:] == [("succeeded", 4620)]


def test_b_24_backlog_stops_the_day_after_the_renewal_is_restored_within_two_weeks_and_else_closed(
    new_customer: Callable[[datetime | None], Customer],
) -> None:
    paying, silent = new_customer(jst("2025-04-01")), new_customer(jst("2025-04-01"))
    spaces = {customer: space(customer) for customer in (paying, silent)}
    house = paying.house
    for customer, workspace in spaces.items():
        house.fault(None)
        customer.advance(jst("2025-05-01"))
        assert (state(customer, workspace), customer.charged(workspace)) == ("active", [("succeeded", 17600)])
        house.fault("decline")
        customer.advance(jst("2025-05-31"))  # the day before the renewal of 06-01
        assert (state(customer, workspace), outcomes(customer, workspace)[1]) == ("past_due", ("failed", 17600, 1))
        customer.advance(jst("2025-06-01 23:59"))
        assert state(customer, workspace) == "past_due"
        customer.advance(jst("2025-06-02"))
        assert state(customer, workspace) == "suspended"
        customer.advance(jst("2025-06-14 23:59"))
        assert (state(customer, workspace), outcomes(customer, workspace)[1]) == ("suspended", ("failed", 17600, 1))

    house.fault(None)
    give(paying, spaces[paying], "payment-method", payment_method="card")
    assert (state(paying, spaces[paying]), paying.charged(spaces[paying])[1]) == ("active", ("succeeded", 17600))

    silent.advance(jst("2025-06-15"))
    workspace = spaces[silent]
    assert (state(silent, workspace), outcomes(silent, workspace)[1]) == ("closed", ("failed", 17600, 1))
    owed = {line["key"]: line["amount"] for line in silent.of(workspace, "statement")}
    assert sorted(owed.values()) == [0, 17600]  # the renewal never was
    assert give(silent, workspace, "payment-method", 409, payment_method="card")["code"] == "conflict"
    silent.advance(jst("2025-09-01"))
    assert len(silent.of(workspace, "charges")) == 2


def test_trello_is_asked_again_on_days_7_14_and_21_and_free_on_day_28(customer: Customer) -> None:
    workspace = team(customer)
    customer.house.fault("decline")
    attempts = {}
    for day in ("2025-02-15", "2025-02-21", "2025-02-22", "2025-03-01", "2025-03-08", "2025-03-14"):
        customer.advance(at(day))
        attempts[day] = outcomes(customer, workspace)[1][2]
        assert state(customer, workspace) == "past_due"
    assert list(attempts.values()) == [1, 1, 2, 3, 4, 4]

    customer.advance(at("2025-03-15"))
    assert (state(customer, workspace), customer.seats(workspace)) == ("free", (0, 2, 0))
    customer.house.fault(None)
    customer.advance(at("2025-06-15"))
    assert outcomes(customer, workspace) == [("succeeded", 2500, 1), ("failed", 2500, 4)]


# --- law 4: one long advance, many short ones ------------------------------------------------------------------------


def told(customer: Customer, workspace: str) -> Mapping[str, object]:
    """All that money and states came to, with their instants, without what is made at random."""

    def rows(what: str, *names: str) -> list[tuple[object, ...]]:
        return [tuple(row[name] for name in names) for row in customer.of(workspace, what)]

    charges = customer.of(workspace, "charges")
    return {
        "workspace": [customer.get(f"/v1/workspaces/{workspace}")[name] for name in ("state", "credit", "pending")],
        "seats": customer.seats(workspace),
        "charges": rows("charges", "status", "currency", "amount", "tax", "credit", "due_on", "created_at"),
        "attempts": [[(one["n"], one["outcome"]) for one in row["attempts"]] for row in charges],
        "refunds": rows("refunds", "status", "amount", "reason", "created_at"),
        "ledger": rows("ledger", "kind", "instant", "seats", "unit_amount", "fraction", "amount", "posted_at"),
        "facts": sorted(rows("facts", "at", "kind", "source"), key=str),
        # How documents are grouped is not claimed: they follow charges in their own time (law 1).
        "documents": sum(row["amount"] for row in customer.of(workspace, "documents")),
        "book": customer.booked(workspace),
    }


def late(customer: Customer) -> str:
    """A Trello team that has credit: somebody's seat was paid for, and then another turns out to have been vacant."""
    workspace = team(customer)
    customer.advance(at("2025-01-25"))
    customer.tell(in_workspace("addMemberToOrganization", "team", "kei", at("2025-01-20"), "kei joins"), workspace)
    assert customer.charged(workspace)[1:] == [("succeeded", 1048)]  # 12.50 x 26/31
    gone = in_workspace("removeMemberFromOrganization", "team", "ren", at("2025-01-19"), "ren was gone by then")
    customer.tell(gone, workspace)
    assert customer.get(f"/v1/workspaces/{workspace}")["credit"] == 1048
    return workspace


@pytest.mark.parametrize("declines", [1, 3, None], ids=["one decline", "three declines", "never paid"])
@pytest.mark.parametrize(
    ("live", "start", "end"),
    [
        (contract, jst("2025-04-01"), jst("2026-05-01")),
        (space, jst("2025-04-01"), jst("2026-05-01")),
        (team, at("2025-01-15"), at("2026-02-15")),
        (late, at("2025-01-15"), at("2026-02-15")),
    ],
    ids=["chatwork", "backlog", "trello", "trello with credit"],
)
def test_one_advance_of_thirteen_months_over_a_decline_is_as_many_short_ones(
    house: House,
    new_customer: Callable[[datetime | None], Customer],
    live: Life,
    start: datetime,
    end: datetime,
    declines: int | None,
) -> None:
    found = []
    for days in ([end], daily(start, end, 11)):
        customer = new_customer(start)
        workspace = live(customer)
        house.fault("decline", times=declines)
        walk(customer, *(day for day in days if day > start + timedelta(days=10)))
        customer.rest(workspace)
        house.fault(None)
        found.append(told(customer, workspace))
    assert found[0] == found[1]
    assert ("failed" in str(found[0]["attempts"])) is True
    assert found[0]["workspace"][0] == _ends_in(live, declines)  # type: ignore[index]


def _ends_in(live: Life, declines: int | None) -> str:
    """B-24: Backlog does not ask again by itself, so one decline is enough to be closed (the trial's first charge)."""
    if live is space:
        return "closed"
    if declines:
        return "active"
    return "suspended" if live is contract else "free"


def test_a_refund_on_day_30_is_the_same_after_one_advance_and_after_many_and_voids_what_was_not_paid(
    house: House, new_customer: Callable[[datetime | None], Customer]
) -> None:
    found = []
    start, last = at("2026-04-01"), at("2026-04-30T23:59:00")
    for days in ([last], daily(at("2026-04-16"), last)):
        customer = new_customer(start)
        workspace = team(customer)
        customer.advance(at("2026-04-16"))
        house.fault("decline")
        give(customer, workspace, "interval-change", interval="year")
        walk(customer, *days)
        # Two seats: 240.00 less 12.50 for half a month; asked for on the 16th, and again on the 23rd and the 30th.
        assert outcomes(customer, workspace)[1] == ("failed", 22750, 3)
        house.fault(None)
        give(customer, workspace, "refund")
        customer.advance(at("2027-05-01"))
        found.append(told(customer, workspace))
    assert found[0] == found[1]
    assert found[0]["workspace"] == ["free", 0, 0]
    assert [row[:3] for row in found[0]["refunds"]] == [("succeeded", 2500, "TR-26")]  # type: ignore[attr-defined]
    assert len(found[0]["charges"]) == 2  # type: ignore[arg-type]
