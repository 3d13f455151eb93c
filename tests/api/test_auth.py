"""Who may call, and what a key may do."""

import pytest
from werkzeug.routing import Rule

from tests.api.conftest import Caller, House, Story

#: Without data, so without a key.
OPEN = {"/docs"}


def routes(house: House) -> list[tuple[str, str]]:
    def filled(rule: Rule) -> str:
        return rule.rule.replace("<", "").replace(">", "")

    methods = [(rule, rule.methods or set()) for rule in house.app.url_map.iter_rules() if rule.rule not in OPEN]
    return [(method, filled(rule)) for rule, allowed in methods for method in allowed - {"HEAD", "OPTIONS"}]


def test_no_route_answers_without_a_key_or_with_a_wrong_one(house: House) -> None:
    assert len(routes(house)) > 30
    for method, path in routes(house):
        for key in ("", "wrong", "é"):
            answer = Caller(house.app, key).call(method, path)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_scheme_that_is_not_bearer_is_no_key(house: House) -> None:
    answer = house.app.test_client().get("/v1/clocks/x", headers={"Authorization": "Basic c2VraXN1"})
    assert answer.status_code == 401


def test_a_revoked_key_opens_nothing(house: House, admin: Caller) -> None:
    made = admin.post("/v1/keys", {"account_id": "default"})
    caller = Caller(house.app, made["key"])
    caller.get("/v1/workspaces")
    admin.delete(f"/v1/keys/{made['id']}")
    assert caller.get("/v1/workspaces", 401)["code"] == "unauthorized"
    admin.delete(f"/v1/keys/{made['id']}", 404)


def test_a_reading_key_reads_and_writes_nothing(house: House) -> None:
    reader = house.caller("default", ["read"])
    reader.get("/v1/workspaces")
    assert reader.post("/v1/clocks", {"now": "2025-01-15T00:00:00.000Z"}, 403)["code"] == "forbidden"


def test_a_writing_key_reads_nothing(house: House) -> None:
    house.caller("default", ["write"]).get("/v1/workspaces", 403)


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/keys"])
def test_accounts_and_keys_are_the_admins(caller: Caller, path: str) -> None:
    caller.get(path, 403)
    caller.post(path, {"name": "mine"}, 403)


def test_an_account_key_may_not_name_an_account_not_even_its_own(house: House) -> None:
    caller = house.caller("default")
    for path, body in (
        ("/v1/connections", {"tool": "trello", "secrets": ["s"]}),
        ("/v1/clocks", {"now": "2025-01-15T00:00:00.000Z"}),
        ("/v1/workspaces", {"tool": "trello", "external_id": "org", "name": "n"}),
    ):
        caller.post(path, body | {"account_id": "default"}, 403)
        caller.post(path, body)


def test_the_admin_means_the_default_account_unless_another_is_named(house: House, admin: Caller) -> None:
    other = admin.post("/v1/accounts", {"name": "other"})["id"]
    assert admin.post("/v1/clocks", {"now": "2025-01-15T00:00:00Z"})["account_id"] == "default"
    assert admin.post("/v1/clocks", {"now": "2025-01-15T00:00:00Z", "account_id": other})["account_id"] == other
    admin.post("/v1/clocks", {"now": "2025-01-15T00:00:00Z", "account_id": "acc_none"}, 404)


def test_the_admin_sees_all_accounts_or_the_one_asked_for(house: House, admin: Caller, caller: Caller) -> None:
    mine, default = caller.workspace(), admin.workspace()
    assert {row["id"] for row in admin.get("/v1/workspaces")["data"]} == {mine["id"], default["id"]}
    found = admin.get(f"/v1/workspaces?account_id={mine['account_id']}")["data"]
    assert [row["id"] for row in found] == [mine["id"]]
    caller.get("/v1/workspaces?account_id=default", 403)


def test_another_accounts_objects_do_not_exist(house: House, story: Story, stranger: Caller) -> None:
    caller = story.caller
    connection = caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"]})["id"]
    delivery = house.deliver(connection, "del-1")
    charge = caller.get(f"{story.path}/charges")["data"][0]["id"]
    entry = caller.get(f"{story.path}/ledger")["data"][0]["entry_id"]
    parts = ("", "/seats", "/members", "/statement", "/ledger", "/facts", "/charges", "/documents")
    reads = [f"{story.path}{part}" for part in parts]
    reads += [f"/v1/connections/{connection}", f"/v1/clocks/{story.clock}", f"/v1/charges/{charge}"]
    reads += [f"/v1/ledger/{entry}/explanation"]
    for path in reads:
        caller.get(path)
        house.admin.get(path)
        stranger.get(path, 404)
    stranger.patch(story.path, {"name": "taken"}, 404)
    stranger.patch(f"/v1/connections/{connection}", {"secrets": ["mine"]}, 404)
    stranger.delete(f"/v1/connections/{connection}", 404)
    stranger.post(f"/v1/clocks/{story.clock}/advance", {"to": "2026-01-15T00:00:00Z"}, 404)
    stranger.post(f"/v1/deliveries/{delivery}/replay", status=404)
    stranger.post(f"{story.path}/roster", {"members": []}, 404)
    stranger.post(f"{story.path}/quotes", {"command": "members"}, 404)
    start = {"actor": {"id": "x", "role": "admin"}, "plan": "trello-premium", "interval": "year"}
    stranger.post(f"{story.path}/subscription", start, 404)
    body = {"tool": "trello", "external_id": "org-2", "name": "n"}
    stranger.post("/v1/workspaces", body | {"clock_id": story.clock}, 404)
    stranger.post("/v1/workspaces", body | {"connection_id": connection}, 404)
    assert stranger.get(f"/v1/deliveries?connection_id={connection}")["data"] == []
    assert stranger.get("/v1/workspaces")["data"] == stranger.get("/v1/connections")["data"] == []
    assert caller.get(story.path)["name"] == "Kobo"
