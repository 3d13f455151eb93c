"""A guest, a board that moves between workspaces, and every order in which that can be heard."""

from collections.abc import Callable
from datetime import datetime
from itertools import permutations
from typing import Any

from tests.flows.customer import Customer
from tests.flows.tool import Body, at, on_board

#: Money depends on each of the three: in either workspace the guest is on one board already, so the moving board
#: makes them billable there (TR-02), for as long as it is there.
STORY: dict[str, tuple[Body, ...]] = {
    "guest joins board": (
        on_board("addMemberToBoard", "plans", at("2025-02-15T10:00:00"), "joins", owner=None, member="sora"),
    ),
    "board enters workspace 1": (
        on_board("addToOrganizationBoard", "plans", at("2025-04-15T10:00:00"), "in 1", owner="one", workspace="one"),
    ),
    "board moves to workspace 2": (
        on_board(
            "removeFromOrganizationBoard", "plans", at("2025-07-15T10:00:00"), "off", owner="two", workspace="one"
        ),
        on_board("addToOrganizationBoard", "plans", at("2025-07-15T10:00:00"), "in 2", owner="two", workspace="two"),
    ),
}


def test_every_order_in_which_a_moving_board_is_heard_ends_equal(
    new_customer: Callable[[datetime | None], Customer],
) -> None:
    ends = [_told(new_customer(at("2025-01-15")), order) for order in permutations(STORY)]

    assert ends == [ends[0]] * 6
    one, two = ends[0]
    assert [line[:4] for line in one["lines"]] == [
        ("period", "2025-01-15T00:00:00.000Z", 1, 11999),
        ("seats_added", "2025-04-15T10:00:00.000Z", 1, 8999),
    ]
    assert [line[:4] for line in two["lines"][1:]] == [("seats_added", "2025-07-15T10:00:00.000Z", 1, 6000)]
    assert (one["seats"], two["seats"]) == ((2, 1, 1), (2, 2, 0))
    assert (one["sora"], two["sora"]) == (("free", "TR-15"), ("billable", "TR-02"))
    assert (one["booked"], two["booked"]) == (11999 + 8999, 11999 + 6000)


def _told(customer: Customer, order: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Play the story in this order; what both workspaces end in."""
    workspaces = [_workspace(customer, name) for name in ("one", "two")]
    customer.advance(at("2025-08-01"))
    for chapter in order:
        for body in STORY[chapter]:
            customer.tell(body, workspaces[0])
        customer.rest(workspaces[1])
    one, two = (_end(customer, workspace) for workspace in workspaces)
    return one, two


def _workspace(customer: Customer, name: str) -> str:
    workspace = customer.workspace(name)
    customer.roster(workspace, "aoi", guests={"sora": [f"board of {name}"]})
    customer.start(workspace)
    return workspace


def _end(customer: Customer, workspace: str) -> dict[str, Any]:
    customer.rest(workspace)
    lines = [line for line in customer.of(workspace, "statement") if line["seats"]]
    posted: dict[str, int] = {}
    for entry in customer.of(workspace, "ledger"):
        posted[entry["key"]] = posted.get(entry["key"], 0) + entry["amount"]
    assert {key: amount for key, amount in posted.items() if amount} == {line["key"]: line["amount"] for line in lines}
    members = {row["name"]: (row["classification"], row["rule"]) for row in customer.of(workspace, "members")}
    return {
        "lines": [(line["kind"], line["instant"], line["seats"], line["amount"], line["rules"]) for line in lines],
        "seats": customer.seats(workspace),
        "sora": members["Sora"],
        "credit": customer.get(f"/v1/workspaces/{workspace}")["credit"],
        "booked": sum(amount for status, amount, _ in customer.booked(workspace) if status == "succeeded"),
    }
