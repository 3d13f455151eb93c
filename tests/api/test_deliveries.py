"""Deliveries, and reading one again."""

from tests.api.conftest import Caller, House


def connected(caller: Caller) -> str:
    return str(caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"]})["id"])


def test_deliveries_are_told_with_what_became_of_them(house: House, caller: Caller) -> None:
    first, second = connected(caller), connected(caller)
    house.deliver(first, "del-1", "done")
    house.deliver(first, "del-2", "quarantined")
    house.deliver(second, "del-3")
    house.run("UPDATE delivery SET facts = '{fact_1}', reason = 'not JSON' WHERE id = 'del-2'")
    told = caller.get(f"/v1/deliveries?connection_id={first}")["data"]
    assert [(row["id"], row["state"]) for row in told] == [("del-1", "done"), ("del-2", "quarantined")]
    assert (told[1]["reason"], told[1]["facts"], told[1]["delivery_id"]) == ("not JSON", ["fact_1"], "tools-del-2")
    assert told[0]["received_at"].endswith("Z")
    assert len(caller.get("/v1/deliveries")["data"]) == 3


def test_a_replay_has_the_delivery_read_again_now(house: House, caller: Caller) -> None:
    connection = connected(caller)
    house.deliver(connection, "del-1", "quarantined")
    house.run("UPDATE delivery SET reason = 'not JSON', tries = 9, due_at = now() + interval '1 day'")
    house.bell.rung.clear()
    told = caller.post("/v1/deliveries/del-1/replay", status=202)
    assert (told["id"], told["state"], told["reason"]) == ("del-1", "kept", None)
    (row,) = house.run("SELECT state, tries, due_at <= clock_timestamp() AS due FROM delivery")
    assert row == {"state": "kept", "tries": 0, "due": True}
    assert house.bell.rung == [("read", connection)]


def test_a_delivery_whose_raw_body_was_dropped_cannot_be_read_again(house: House, caller: Caller) -> None:
    house.deliver(connected(caller), "del-1", "done", body=False)
    caller.post("/v1/deliveries/del-1/replay", status=409)
    assert house.run("SELECT state FROM delivery") == [{"state": "done"}]
    caller.post("/v1/deliveries/del-none/replay", status=404)
