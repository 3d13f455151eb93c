"""Shadow mode, paused collection and opening seats: what is computed and shown, and what is never asked for."""

from tests.flows.customer import PREMIUM, Customer
from tests.flows.tool import at, ident, in_workspace


def _joins(customer: Customer, workspace: str, member: str, when: str) -> None:
    customer.tell(in_workspace("addMemberToOrganization", "kobo", member, at(when), f"{member} joins"), workspace)


def test_shadow_computes_every_charge_and_going_live_never_sends_them(customer: Customer) -> None:
    workspace = customer.workspace("kobo", collect="shadow")
    customer.roster(workspace, "aoi")
    customer.start(workspace)
    customer.advance(at("2025-04-15"))
    _joins(customer, workspace, "ren", "2025-04-15")
    assert customer.charged(workspace) == [("held", 11999), ("held", 8999)]
    assert customer.booked(workspace) == []

    assert customer.patch(f"/v1/workspaces/{workspace}", {"collect": "live"})["collect"] == "live"
    customer.advance(at("2025-07-15"))
    _joins(customer, workspace, "kei", "2025-07-15")
    customer.advance(at("2026-01-15"))
    customer.rest(workspace)

    sent = [("succeeded", 6000), ("succeeded", 3 * 12000)]
    assert customer.charged(workspace) == [("cancelled", 11999), ("cancelled", 8999), *sent]
    assert customer.booked(workspace) == [("succeeded", 6000, 1), ("succeeded", 3 * 12000, 1)]
    assert [entry["amount"] for entry in customer.of(workspace, "ledger")] == [11999, 8999, 6000, 3 * 12000]


def test_what_paused_held_is_sent_once_when_it_goes_live(customer: Customer) -> None:
    workspace = customer.workspace("kobo", collect="paused")
    customer.roster(workspace, "aoi")
    customer.start(workspace)
    assert (customer.charged(workspace), customer.booked(workspace)) == ([("held", 11999)], [])

    customer.patch(f"/v1/workspaces/{workspace}", {"collect": "live"})
    customer.rest(workspace)
    customer.patch(f"/v1/workspaces/{workspace}", {"collect": "live"})

    assert customer.booked(workspace) == [("succeeded", 11999, 1)]


def test_opening_seats_are_posted_and_never_charged(customer: Customer) -> None:
    workspace = customer.workspace("kobo")
    customer.roster(workspace, "aoi", "ren")
    opening = {"seats": 3, "paid_from": "2024-07-15", "paid_to": "2025-07-15", "unit_amount": 9000}
    customer.start(workspace, opening=opening)
    assert (customer.seats(workspace), customer.charged(workspace)) == ((3, 2, 1), [])

    _joins(customer, workspace, "kei", "2025-01-15")
    assert (customer.seats(workspace), customer.charged(workspace)) == ((3, 3, 0), [])
    _joins(customer, workspace, "nao", "2025-01-15T00:03:00")
    customer.advance(at("2025-07-15"))
    customer.rest(workspace)

    # One more at the price that was agreed, for the half year left; then everyone at the price of the day.
    assert [entry["amount"] for entry in customer.of(workspace, "ledger")] == [3 * 9000, 4500, 4 * 11999]
    assert customer.booked(workspace) == [("succeeded", 4500, 1), ("succeeded", 4 * 11999, 1)]


def test_a_charge_without_a_payment_method_is_held_and_the_person_is_billable(customer: Customer) -> None:
    workspace = customer.workspace("kobo")
    customer.roster(workspace, "aoi")
    body = {"actor": {"id": ident("aoi"), "role": "admin"}, **PREMIUM, "payment_method": None}
    customer.post(f"/v1/workspaces/{workspace}/subscription", body)
    customer.rest(workspace)

    (charge,) = customer.of(workspace, "charges")
    assert (charge["status"], charge["amount"], charge["held_reason"][:5]) == ("held", 11999, "TR-12")
    assert (customer.seats(workspace), customer.booked(workspace)) == ((1, 1, 0), [])
