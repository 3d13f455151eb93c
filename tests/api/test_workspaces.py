"""Workspaces: made, shown, changed; what is pending; seats and members."""

import pytest

from tests.api.conftest import Caller, House, Story


def test_a_new_workspace_is_free_and_nothing_is_pending(caller: Caller) -> None:
    clock = caller.post("/v1/clocks", {"now": "2025-01-15T00:00:00.000Z"})["id"]
    made = caller.workspace(time_zone="Asia/Tokyo", clock_id=clock)
    assert made["now"] == "2025-01-15T00:00:00.000Z"
    wanted = {"state": "free", "pending": 0, "credit": 0, "collect": "live", "time_zone": "Asia/Tokyo"}
    assert {name: made[name] for name in wanted} == wanted
    assert made["clock_id"] == clock
    assert caller.get(f"/v1/workspaces/{made['id']}") == made
    assert caller.get("/v1/workspaces") == {"data": [made], "next": None}


def test_a_workspace_is_made_once(caller: Caller, stranger: Caller) -> None:
    caller.workspace("org-kobo")
    told = caller.post("/v1/workspaces", {"tool": "trello", "external_id": "org-kobo", "name": "again"}, 409)
    assert told["code"] == "conflict"
    stranger.workspace("org-kobo")


def test_making_a_workspace_rings_for_what_waited_for_it(house: House, caller: Caller) -> None:
    connection = caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"]})["id"]
    other = caller.post("/v1/connections", {"tool": "standard", "secrets": ["s"]})["id"]
    made = caller.workspace(connection_id=connection)
    assert ("read", connection) in house.bell.rung
    assert ("settle", made["id"]) in house.bell.rung
    assert ("read", other) not in house.bell.rung


def test_a_parked_delivery_is_read_again_when_its_workspace_is_made(house: House, caller: Caller) -> None:
    connection = caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"]})
    delivery = house.deliver(connection["id"], "del-1", "parked")
    house.run("UPDATE delivery SET waits_for = %s", f"{connection['account_id']}/trello/org-kobo")
    assert caller.workspace("org-kobo")["pending"] == 1
    assert house.run("SELECT state FROM delivery WHERE id = %s", delivery) == [{"state": "kept"}]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"tool": "typewriter"}, "tool"),
        ({"external_id": ""}, "external_id"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../UTC"}, "time_zone"),
        ({"collect": "never"}, "collect"),
        ({"name": 5}, "name"),
        ({"seats": 5}, "seats"),
    ],
)
def test_a_wrong_field_is_named(caller: Caller, more: dict[str, object], field: str) -> None:
    body = {"tool": "trello", "external_id": "org", "name": "n"} | more
    assert field in caller.post("/v1/workspaces", body, 422)["errors"]


def test_a_connection_of_another_tool_does_not_serve(caller: Caller) -> None:
    connection = caller.post("/v1/connections", {"tool": "standard", "secrets": ["s"]})["id"]
    body = {"tool": "trello", "external_id": "org", "name": "n", "connection_id": connection}
    assert "connection_id" in caller.post("/v1/workspaces", body, 422)["errors"]


def test_a_clock_or_connection_that_is_not_there_is_404(caller: Caller) -> None:
    body = {"tool": "trello", "external_id": "org", "name": "n"}
    caller.post("/v1/workspaces", body | {"clock_id": "clk_none"}, 404)
    caller.post("/v1/workspaces", body | {"connection_id": "con_none"}, 404)


def test_a_change_touches_only_what_it_names(caller: Caller) -> None:
    connection = caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"]})["id"]
    made = caller.workspace(connection_id=connection)
    path = f"/v1/workspaces/{made['id']}"
    assert caller.patch(path, {"name": "Atelier"})["connection_id"] == connection
    assert caller.patch(path, {"collect": "shadow"})["name"] == "Atelier"
    told = caller.patch(path, {"connection_id": None})
    assert (told["name"], told["connection_id"], told["collect"]) == ("Atelier", None, "shadow")
    caller.patch(path, {"time_zone": "UTC"}, 422)


def test_going_live_again_sends_what_the_pause_held(tale: Story) -> None:
    tale.roster("aoi")
    tale.caller.patch(tale.path, {"collect": "paused"})
    tale.start()
    assert [row["status"] for row in tale.caller.get(f"{tale.path}/charges")["data"]] == ["held"]
    tale.house.bell.rung.clear()
    tale.caller.patch(tale.path, {"collect": "live"})
    assert [row["status"] for row in tale.caller.get(f"{tale.path}/charges")["data"]] == ["queued"]
    assert ("send", "") in tale.house.bell.rung


def test_pending_counts_kept_deliveries_unsettled_facts_and_unanswered_charges(tale: Story) -> None:
    connection = tale.caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"]})["id"]

    def pending() -> int:
        return int(tale.caller.get(tale.path)["pending"])

    tale.house.deliver(connection, "del-1")
    tale.house.deliver(connection, "del-2", "ignored")
    assert pending() == 1
    tale.house.run("UPDATE delivery SET state = 'done'")
    tale.caller.post(f"{tale.path}/roster", {"members": [{"id": "aoi"}]}, 200)
    assert pending() == 1
    tale.house.settle(tale.workspace)
    assert pending() == 0
    tale.start()
    for status, counted in (("sending", 1), ("pending", 1), ("unknown", 1), ("held", 0), ("succeeded", 0)):
        tale.house.run("UPDATE charge SET status = %s", status)
        assert pending() == counted, status


def test_a_kept_delivery_of_another_account_or_tool_is_not_pending_here(
    house: House, tale: Story, stranger: Caller
) -> None:
    house.deliver(stranger.post("/v1/connections", {"tool": "trello", "secrets": ["s"]})["id"], "del-1")
    house.deliver(tale.caller.post("/v1/connections", {"tool": "standard", "secrets": ["s"]})["id"], "del-2")
    assert tale.caller.get(tale.path)["pending"] == 0


def test_seats_without_a_subscription_renew_nothing(tale: Story) -> None:
    tale.roster("aoi")
    told = tale.caller.get(f"{tale.path}/seats")
    assert (told["purchased"], told["occupied"], told["vacant"], told["next_renewal"]) == (0, 1, 0, None)
    assert told["as_of"] == "2025-01-15T00:00:00.000Z"


def test_the_next_renewal_asks_the_price_of_its_own_day_for_the_seats_occupied(story: Story) -> None:
    story.advance("2025-06-15T00:00:00.000Z")
    story.roster("aoi")
    told = story.caller.get(f"{story.path}/seats")
    assert (told["purchased"], told["occupied"], told["vacant"]) == (2, 1, 1)
    renewal = {"at": "2026-01-15T00:00:00.000Z", "seats": 1, "amount": 12000, "tax": 0, "currency": "USD"}
    assert told["next_renewal"] == renewal


def test_members_are_told_with_the_rule_that_makes_them_billable_or_free(tale: Story) -> None:
    members = [
        {"id": "aoi", "name": "Aoi"},
        {"id": "guest", "member": False, "boards": ["b1", "b2"]},
        {"id": "visitor", "member": False, "boards": ["b1", "b3"]},
        {"id": "invited", "state": "pending"},
        {"id": "asleep", "state": "deactivated"},
        {"id": "gone"},
    ]
    boards = [{"id": "b1"}, {"id": "b2"}, {"id": "b3", "closed": True}]
    tale.caller.post(f"{tale.path}/roster", {"members": members, "boards": boards}, 200)
    tale.house.settle(tale.workspace)
    tale.caller.post(f"{tale.path}/roster", {"members": members[:-1], "boards": boards}, 200)
    tale.house.settle(tale.workspace)
    told = {row["id"]: row for row in tale.caller.get(f"{tale.path}/members")["data"]}
    assert list(told) == ["aoi", "asleep", "guest", "invited", "visitor"]
    seen = {name: (row["classification"], row["rule"], row["state"], row["boards"]) for name, row in told.items()}
    assert seen == {
        "aoi": ("billable", "TR-01", "joined", []),
        "asleep": ("free", "TR-19", "deactivated", []),
        "guest": ("billable", "TR-02", "joined", ["b1", "b2"]),
        "invited": ("free", "TR-18", "pending", []),
        "visitor": ("free", "TR-15", "joined", ["b1"]),
    }
    assert told["aoi"]["member"] is True
    assert told["guest"]["member"] is False
    assert told["aoi"]["since"] == "2025-01-15T00:00:00.000Z"
    facts = {fact["id"] for fact in tale.caller.get(f"{tale.path}/facts")["data"]}
    assert told["guest"]["fact_id"] in facts
