"""Roster import, subscription start, quotes."""

import pytest

from billing.core.errors import RefusedError
from service.api.faults import status_of
from tests.api.conftest import Story

START = {"actor": {"id": "aoi", "role": "admin"}, "plan": "trello-premium", "interval": "year"}


def test_a_roster_is_a_full_list_and_only_differences_become_facts(tale: Story) -> None:
    assert tale.roster("aoi", "ren") == {"facts": 2}
    assert tale.roster("aoi", "ren") == {"facts": 0}
    assert tale.roster("ren") == {"facts": 1}
    assert ("settle", tale.workspace) in tale.house.bell.rung


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "members"),
        ({"members": [{"name": "n"}]}, "members.0.id"),
        ({"members": [{"id": "a", "state": "asleep"}]}, "members.0.state"),
        ({"members": [{"id": "a", "member": "yes"}]}, "members.0.member"),
        ({"members": [{"id": "a"}, {"id": "a"}]}, "members"),
        ({"members": [], "boards": [{"id": "b"}, {"id": "b"}]}, "boards"),
        ({"members": [], "at": "yesterday"}, "at"),
        ({"members": [], "at": "2025-01-15T00:00:00"}, "at"),
        ({"members": [], "at": "0001-01-01T00:00:00+09:00"}, "at"),
        ({"members": [], "at": 5}, "at"),
    ],
)
def test_a_wrong_field_of_a_roster_is_named(tale: Story, body: object, field: str) -> None:
    assert field in tale.caller.post(f"{tale.path}/roster", body, 422)["errors"]


def test_a_roster_ahead_of_the_workspaces_now_is_422(tale: Story) -> None:
    tale.caller.post(f"{tale.path}/roster", {"members": [], "at": "2025-01-16T00:00:00Z"}, 422)


def test_a_start_answers_the_subscription_and_charges_everyone_who_is_billable(tale: Story) -> None:
    tale.roster("aoi")
    told = tale.start()
    assert (told.pop("id"), told.pop("command_id")) != (None, None)
    assert told.pop("price_id").startswith("trello-premium")
    assert told == {
        "plan": "trello-premium",
        "unit_amount": 11999,
        "currency": "USD",
        "interval": "year",
        "anchor": "2025-01-15",
        "period": {"start": "2025-01-15T00:00:00.000Z", "end": "2026-01-15T00:00:00.000Z"},
        "state": "active",
        "payment_method": "card",
        "licences": None,
        "trial_end": None,
        "ends_at": None,
        "next_plan": None,
        "next_interval": None,
        "items": [],
        "warnings": [],
    }
    (charge,) = tale.caller.get(f"{tale.path}/charges")["data"]
    assert (charge["amount"], charge["status"], charge["due_on"]) == (11999, "queued", "2025-01-15")
    assert ("send", "") in tale.house.bell.rung
    assert tale.caller.post(f"{tale.path}/subscription", START, 409)["code"] == "conflict"


def test_a_start_by_nobody_who_may_is_403_with_the_rule_and_its_verdict_is_kept(tale: Story) -> None:
    body = START | {"actor": {"id": "ren", "role": "normal"}}
    told = tale.caller.post(f"{tale.path}/subscription", body, 403)
    assert (told["code"], told["rule"]) == ("refused", "TR-20")
    (row,) = tale.house.run("SELECT verdict, rule FROM command")
    assert row == {"verdict": "refused", "rule": "TR-20"}
    tale.start()


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"actor": None}, "actor"),
        ({"actor": {"role": "admin"}}, "actor.id"),
        ({"plan": None}, "plan"),
        ({"payment_method": "shells"}, "payment_method"),
        ({"opening": {"seats": 1}}, "opening.paid_from"),
        (
            {"opening": {"seats": True, "paid_from": "2024-02-30", "paid_to": "2025-02-01", "unit_amount": -1}},
            "opening.seats",
        ),
        ({"opening": {"seats": 1, "paid_from": "2024-02-30", "paid_to": "x", "unit_amount": 1}}, "opening.paid_from"),
        ({"quantity": 1}, "quantity"),
    ],
)
def test_a_wrong_field_of_a_start_is_named(tale: Story, more: dict[str, object], field: str) -> None:
    assert field in tale.caller.post(f"{tale.path}/subscription", START | more, 422)["errors"]


def test_a_plan_or_interval_that_nobody_offers_is_422_and_told_what_is_offered(tale: Story) -> None:
    told = tale.caller.post(f"{tale.path}/subscription", START | {"plan": "trello-gold"}, 422)
    assert "trello-premium" in told["detail"]
    tale.caller.post(f"{tale.path}/subscription", START | {"interval": "week"}, 422)


def test_seats_already_paid_for_elsewhere_are_posted_and_not_charged(tale: Story) -> None:
    tale.roster("aoi", "ren")
    opening = {"seats": 2, "paid_from": "2024-06-01", "paid_to": "2025-06-01", "unit_amount": 10000}
    told = tale.start(opening=opening)
    assert (told["anchor"], told["unit_amount"]) == ("2024-06-01", 10000)
    assert told["period"] == {"start": "2024-06-01T00:00:00.000Z", "end": "2025-06-01T00:00:00.000Z"}
    assert tale.caller.get(f"{tale.path}/charges")["data"] == []
    assert tale.caller.get(f"{tale.path}/seats")["purchased"] == 2


def test_a_quote_for_a_start_shows_its_lines_and_holds_for_the_start(tale: Story) -> None:
    tale.roster("aoi", "ren")
    quote = tale.caller.post(
        f"{tale.path}/quotes", {"command": "subscription", "plan": "trello-premium", "interval": "year"}
    )
    assert (quote["amount"], quote["tax"], quote["credit"], quote["as_of"]) == (23998, 0, 0, "2025-01-15T00:00:00.000Z")
    (line,) = quote["lines"]
    assert (line["kind"], line["seats"], line["amount"], line["entry_id"]) == ("period", 2, 23998, None)
    assert (line["currency"], bool(line["description"])) == ("USD", True)
    assert tale.caller.get(f"{tale.path}/ledger")["data"] == []
    tale.start(quote_id=quote["id"])
    (charge,) = tale.caller.get(f"{tale.path}/charges")["data"]
    assert charge["amount"] == quote["amount"]


def test_a_start_with_a_quote_that_no_longer_holds_is_409(tale: Story) -> None:
    tale.roster("aoi")
    quote = tale.caller.post(
        f"{tale.path}/quotes", {"command": "subscription", "plan": "trello-premium", "interval": "year"}
    )
    tale.roster("aoi", "ren")
    tale.caller.post(f"{tale.path}/subscription", START | {"quote_id": quote["id"]}, 409)
    tale.caller.post(f"{tale.path}/subscription", START | {"quote_id": "qu_none"}, 404)


def test_a_quote_for_added_people_is_prorated(story: Story) -> None:
    for people in ({"count": 2}, {"members": [{"id": "hina"}, {"id": "yuto"}]}):
        quote = story.caller.post(f"{story.path}/quotes", {"command": "members", **people})
        assert quote["amount"] == 17999
        assert [(line["seats"], line["fraction"]) for line in quote["lines"]] == [(3, "3/4")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "command"),
        ({"command": "dance"}, "command"),
        ({"command": "subscription", "plan": "trello-premium"}, "interval"),
        ({"command": "members", "count": 0}, "count"),
        ({"command": "late-facts"}, "facts"),
        ({"command": "rerate", "n": "first"}, "n"),
        ({"command": "option", "option": []}, "option"),
        ({"command": "licences", "add": 1, "remove": 1}, "add"),
        ({"command": "trial", "plan": "backlog-standard", "terms_accepted_at": {}}, "terms_accepted_at"),
    ],
)
def test_a_wrong_field_of_a_quote_is_named(tale: Story, body: object, field: str) -> None:
    assert field in tale.caller.post(f"{tale.path}/quotes", body, 422)["errors"]


def test_a_refusal_of_the_actor_is_403_and_one_of_the_state_409() -> None:
    assert status_of(RefusedError("BL-17", "only a contract admin", actor=True)) == 403
    assert status_of(RefusedError("B-21", "a bill is open")) == 409
