"""The rulebook's own story, and law 4, from signed webhooks to the payment endpoint's book."""

from typing import Any

from tests.flows.customer import Customer
from tests.flows.house import House
from tests.flows.tool import at, in_workspace


def test_tr_10_and_tr_11_are_charged_as_the_rulebook_says(customer: Customer) -> None:
    def says(kind: str, member: str, when: str) -> None:
        customer.tell(in_workspace(f"{kind}Organization", "kobo", member, at(when), f"{kind} {member}"), workspace)

    workspace = customer.workspace("kobo")
    says("addMemberTo", "aoi", "2025-01-15")
    customer.start(workspace)
    customer.rest(workspace)
    assert (customer.seats(workspace), customer.charged(workspace)) == ((1, 1, 0), [("succeeded", 11999)])

    customer.advance(at("2025-04-15"))
    says("addMemberTo", "ren", "2025-04-15")
    assert customer.seats(workspace) == (2, 2, 0)
    assert customer.charged(workspace)[1:] == [("succeeded", 8999)]

    customer.advance(at("2025-06-15"))
    says("deactivatedMemberIn", "ren", "2025-06-15")
    assert customer.seats(workspace) == (2, 1, 1)

    customer.advance(at("2025-06-16"))
    says("addMemberTo", "kei", "2025-06-16")
    assert customer.seats(workspace) == (2, 2, 0)
    assert len(customer.charged(workspace)) == 2

    customer.advance(at("2026-01-15"))
    customer.rest(workspace)
    assert customer.charged(workspace) == [("succeeded", 11999), ("succeeded", 8999), ("succeeded", 24000)]
    assert customer.booked(workspace) == [("succeeded", 11999, 1), ("succeeded", 8999, 1), ("succeeded", 24000, 1)]
    classified = {row["name"]: (row["classification"], row["rule"]) for row in customer.of(workspace, "members")}
    assert classified == {"Aoi": ("billable", "TR-01"), "Ren": ("free", "TR-19"), "Kei": ("billable", "TR-01")}


def test_every_charge_of_the_story_is_one_post_under_one_key_and_explains_itself(customer: Customer) -> None:
    workspace = customer.workspace("kobo")
    customer.roster(workspace, "aoi")
    customer.start(workspace)
    customer.advance(at("2025-04-15"))
    customer.tell(in_workspace("addMemberToOrganization", "kobo", "ren", at("2025-04-15"), "ren"), workspace)

    book = customer.house.book()
    charges = customer.of(workspace, "charges")
    assert [(book[c["id"]]["posts"], book[c["id"]]["keys"]) for c in charges] == [
        (1, [f"{c['id']}.1"]) for c in charges
    ]
    entry = customer.of(workspace, "ledger")[-1]["entry_id"]
    told = customer.get(f"/v1/ledger/{entry}/explanation")
    assert (told["fraction"], told["exact"], told["amount"]) == ("3/4", "35997/4", 8999)
    assert [fact["kind"] for fact in told["facts"]] == ["member.joined"]
    assert told["facts"][0]["delivery_id"] == customer.deliveries("ren")[0]["id"]


def test_thirteen_months_in_one_go_are_the_charges_of_month_by_month(house: House) -> None:
    """Law 4. Anchored at the end of a month, with a seat that empties and a price that changes on the way."""
    customer = Customer(house)
    clocks = [customer.new_clock(at("2025-01-31")) for _ in range(2)]
    pairs = [_monthly_and_yearly(customer, clock, str(number)) for number, clock in enumerate(clocks)]
    months = [at(f"{2025 + month // 12}-{month % 12 + 1:02}-28") for month in range(1, 14)]

    customer.advance(months[-1], clocks[0])
    for month in months:
        customer.advance(month, clocks[1])
    for workspace in (*pairs[0], *pairs[1]):
        customer.rest(workspace)

    at_once, by_month = ([_told(customer, workspace) for workspace in pair] for pair in pairs)
    assert [len(charges) for charges in at_once] == [1 + 1 + 13, 1 + 1 + 1]
    assert at_once == by_month
    assert [charge["amount"] for charge in at_once[1]] == [2 * 11999, 11999, 2 * 12000]
    assert [customer.booked(workspace) for workspace in pairs[0]] == [
        customer.booked(workspace) for workspace in pairs[1]
    ]


def _monthly_and_yearly(customer: Customer, clock: str, number: str) -> tuple[str, str]:
    found = []
    for interval in ("month", "year"):
        name = f"{interval} {number}"
        workspace = customer.workspace(name, clock)
        customer.roster(workspace, "aoi", "ren")
        customer.start(workspace, interval=interval)
        customer.tell(_says("addMemberTo", name, "kei", "2025-01-31T00:04:00"), workspace)
        customer.tell(_says("removeMemberFrom", name, "ren", "2025-01-31T00:04:30"), workspace)
        found.append(workspace)
    return found[0], found[1]


def _says(kind: str, workspace: str, member: str, when: str) -> dict[str, Any]:
    return in_workspace(f"{kind}Organization", workspace, member, at(when), f"{workspace} {kind} {member}")


def _told(customer: Customer, workspace: str) -> list[dict[str, Any]]:
    """The charges, but for what is of this one alone: ids, and the facts' own names."""
    told = customer.of(workspace, "charges")
    names = ("kind", "instant", "seats", "unit_amount", "fraction", "amount", "rules")
    return [
        {name: charge[name] for name in ("status", "amount", "due_on", "created_at", "currency", "credit")}
        | {"lines": [{name: line[name] for name in names} for line in charge["lines"]]}
        for charge in told
    ]
