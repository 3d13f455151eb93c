"""Clocks: they stand still, never go back, and are ready when everything due has run."""

import pytest

from tests.api.conftest import Caller, Story

JANUARY = "2025-01-15T00:00:00.000Z"


def test_a_clock_stands_where_it_was_put_and_is_ready(caller: Caller) -> None:
    made = caller.post("/v1/clocks", {"now": "2025-01-15T09:00:00+09:00"})
    assert (made["now"], made["status"]) == (JANUARY, "ready")
    assert caller.get(f"/v1/clocks/{made['id']}") == made
    caller.get("/v1/clocks/clk_none", 404)


def test_a_clock_moves_forward_and_never_back(tale: Story) -> None:
    told = tale.advance("2025-02-01T00:00:00.000Z")
    assert (told["id"], told["now"], told["status"]) == (tale.clock, "2025-02-01T00:00:00.000Z", "advancing")
    assert tale.caller.get(f"/v1/clocks/{tale.clock}")["status"] == "ready"
    assert tale.caller.get(tale.path)["now"] == "2025-02-01T00:00:00.000Z"
    path = f"/v1/clocks/{tale.clock}/advance"
    assert "2025-02-01" in tale.caller.post(path, {"to": "2025-01-31T23:59:59.999Z"}, 409)["detail"]
    assert tale.caller.get(f"/v1/clocks/{tale.clock}")["now"] == "2025-02-01T00:00:00.000Z"


def test_advancing_a_clock_to_its_own_now_changes_nothing(tale: Story) -> None:
    before = tale.house.run("SELECT xmin, * FROM clock")
    assert tale.advance(JANUARY)["now"] == JANUARY
    assert tale.house.run("SELECT xmin, * FROM clock") == before


def test_a_clock_is_ready_again_when_what_fell_due_is_settled_and_its_charge_answered(story: Story) -> None:
    story.house.run("UPDATE charge SET status = 'succeeded', due_at = NULL")
    story.house.bell.rung.clear()
    assert story.advance("2026-01-15T00:00:00.000Z")["status"] == "advancing"
    assert story.house.bell.rung == [("settle", story.workspace)]

    def status() -> str:
        return str(story.caller.get(f"/v1/clocks/{story.clock}")["status"])

    story.house.settle(story.workspace)
    assert status() == "advancing"
    (charge,) = story.house.run("UPDATE charge SET status = 'sending' WHERE status = 'queued' RETURNING id, amount")
    assert charge["amount"] == 24000
    assert status() == "advancing"
    story.house.run("INSERT INTO attempt (charge_id, n, key, at) VALUES (%s, 1, 'k', now())", charge["id"])
    assert status() == "advancing"
    story.house.run("UPDATE attempt SET outcome = 'pending'")
    story.house.run("UPDATE charge SET status = 'pending' WHERE id = %s", charge["id"])
    assert status() == "ready"


def test_a_held_charge_keeps_no_clock_waiting(tale: Story) -> None:
    tale.roster("aoi")
    tale.start(payment_method=None)
    tale.advance("2025-02-01T00:00:00.000Z")
    assert tale.caller.get(f"/v1/clocks/{tale.clock}")["status"] == "ready"


def test_an_unsettled_fact_keeps_its_clock_advancing(tale: Story) -> None:
    tale.caller.post(f"{tale.path}/roster", {"members": [{"id": "aoi"}]}, 200)
    assert tale.caller.get(f"/v1/clocks/{tale.clock}")["status"] == "advancing"
    tale.house.settle(tale.workspace)
    assert tale.caller.get(f"/v1/clocks/{tale.clock}")["status"] == "ready"


@pytest.mark.parametrize("now", [None, "", "soon", 5, "2025-01-15", "2025-01-15T00:00:00", "9999-12-31T00:00:00Z"])
def test_what_is_no_instant_is_named(caller: Caller, now: object) -> None:
    assert "now" in caller.post("/v1/clocks", {"now": now}, 422)["errors"]


def test_a_second_attempt_keeps_no_clock_waiting(tale: Story) -> None:
    tale.roster("aoi")
    tale.start()
    assert tale.caller.get(f"/v1/clocks/{tale.clock}")["status"] == "advancing"
    tale.house.run("INSERT INTO attempt (charge_id, n, key, outcome, at) SELECT id, 1, id, 'failed', now() FROM charge")
    assert tale.caller.get(f"/v1/clocks/{tale.clock}")["status"] == "ready"
