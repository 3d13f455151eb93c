"""An Idempotency-Key: the same call again changes nothing and answers the same."""

from billing.store import idempotency
from tests.api.conftest import Caller, House, Story

BODY = {"tool": "trello", "external_id": "org-kobo", "name": "Kobo"}


def test_the_same_call_again_answers_the_same_and_makes_nothing(house: House, caller: Caller) -> None:
    first = caller.call("POST", "/v1/workspaces", BODY, Idempotency_Key="k-1")
    again = caller.call("POST", "/v1/workspaces", dict(reversed(BODY.items())), Idempotency_Key="k-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.data == again.data
    assert first.content_type == again.content_type
    assert len(house.run("SELECT id FROM workspace")) == 1
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


def test_another_body_under_the_same_key_is_409(caller: Caller) -> None:
    caller.post("/v1/workspaces", BODY, Idempotency_Key="k-1")
    told = caller.post("/v1/workspaces", BODY | {"name": "Other"}, 409, Idempotency_Key="k-1")
    assert told["code"] == "idempotency_key_reused"


def test_a_key_is_of_one_caller_and_one_route(house: House, caller: Caller, stranger: Caller) -> None:
    body = {"now": "2025-01-15T00:00:00Z"}
    first = caller.post("/v1/clocks", body, Idempotency_Key="k-1")["id"]
    assert stranger.post("/v1/clocks", body, Idempotency_Key="k-1")["id"] != first
    caller.post("/v1/workspaces", BODY, Idempotency_Key="k-1")


def test_a_refusal_is_answered_again_and_judged_once(tale: Story) -> None:
    body = {"actor": {"id": "ren", "role": "normal"}, "plan": "trello-premium", "interval": "year"}
    told = [tale.caller.post(f"{tale.path}/subscription", body, 403, Idempotency_Key="k-1") for _ in range(2)]
    assert told[0] == told[1]
    assert len(tale.house.run("SELECT id FROM command")) == 1


def test_a_conflict_is_answered_again(caller: Caller) -> None:
    caller.post("/v1/workspaces", BODY)
    told = [caller.post("/v1/workspaces", BODY, 409, Idempotency_Key="k-1") for _ in range(2)]
    assert told[0] == told[1]


def test_a_call_that_was_not_understood_leaves_its_key_free(caller: Caller) -> None:
    caller.post("/v1/workspaces", {"tool": "trello"}, 422, Idempotency_Key="k-1")
    caller.post("/v1/workspaces", BODY, 201, Idempotency_Key="k-1")


def test_a_call_without_a_body_has_a_key_too(house: House, caller: Caller) -> None:
    connection = caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"]})["id"]
    house.deliver(connection, "del-1", "done")
    caller.post("/v1/deliveries/del-1/replay", None, 202, Idempotency_Key="k-1")
    house.run("UPDATE delivery SET state = 'done'")
    caller.post("/v1/deliveries/del-1/replay", None, 202, Idempotency_Key="k-1")
    assert house.run("SELECT state FROM delivery") == [{"state": "done"}]


def test_a_key_that_is_being_worked_on_is_409_in_progress(house: House, admin: Caller) -> None:
    with house.db.transaction("test") as other:
        idempotency.begin(other, "admin", "/v1/workspaces", "k-1", "whatever")
        answer = admin.call("POST", "/v1/workspaces", BODY, Idempotency_Key="k-1")
        assert (answer.status_code, answer.get_json(force=True)["code"]) == (409, "in_progress")
        assert "Retry-After" in answer.headers
    admin.post("/v1/workspaces", BODY, 201, Idempotency_Key="k-1")


def test_after_24_hours_the_key_is_new_again(house: House, caller: Caller) -> None:
    body = {"now": "2025-01-15T00:00:00Z"}
    first = caller.post("/v1/clocks", body, Idempotency_Key="k-1")["id"]
    house.run("UPDATE idempotency SET created_at = now() - interval '23 hours 59 minutes'")
    assert caller.post("/v1/clocks", body, Idempotency_Key="k-1")["id"] == first
    house.run("UPDATE idempotency SET created_at = now() - interval '24 hours 1 minute'")
    second = caller.post("/v1/clocks", body, Idempotency_Key="k-1")["id"]
    assert second != first
    assert caller.post("/v1/clocks", body, Idempotency_Key="k-1")["id"] == second


def test_kept_answers_are_encrypted_and_forgotten(house: House, admin: Caller) -> None:
    made = admin.post("/v1/keys", {}, Idempotency_Key="k-1")
    assert made["key"] not in str(house.run("SELECT * FROM idempotency"))
    assert admin.post("/v1/keys", {}, Idempotency_Key="k-1") == made
    house.run("UPDATE idempotency SET created_at = now() - interval '25 hours'")
    with house.db.transaction("test") as connection:
        assert idempotency.forget(connection) == 1
    assert house.run("SELECT * FROM idempotency") == []


def test_a_key_that_is_none_is_422(caller: Caller) -> None:
    for key in ("", "k" * 256, "k\x7f"):
        told = caller.post("/v1/workspaces", BODY, 422, Idempotency_Key=key)
        assert "Idempotency-Key" in told["errors"]
