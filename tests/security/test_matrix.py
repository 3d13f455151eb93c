"""Every route times every caller: who may not is told 401, 403 or 404, and never data of another account."""

import re

import pytest
from werkzeug.test import TestResponse

from tests.security.place import CANARY, Caller, Place
from tests.security.routes import BODIES, QUERIES, ROUTES, Route, filled

UNKNOWN = {"nobody", "a wrong key", "own, revoked"}
SCOPES = {"read": {"read"}, "write": {"write"}, "commands": {"commands"}, "metrics": {"metrics"}}
CALLERS = (
    *("nobody", "a wrong key", "own, revoked", "own", "own, read", "own, write", "own, commands"),
    *("other", "other, read", "other, write", "other, commands", "admin", "admin, read", "admin, metrics"),
)


def scopes(caller: str) -> set[str]:
    _, _, named = caller.partition(", ")
    return SCOPES.get(named, {"read", "write"} | ({"metrics"} if caller == "admin" else set()))


def refusal(route: Route, caller: str) -> int | None:
    """The status by which the route turns the caller away; None: it serves them, from what is theirs."""
    if route.access in ("open", "greeted"):
        return None
    if route.access == "signed" or caller in UNKNOWN:
        return 401
    if route.access == "described":
        return None
    if route.access == "metrics":
        return None if caller.startswith("admin") and scopes(caller) & {"metrics", "read"} else 403
    enough = {"write"} | ({"commands"} if route.commands else set()) if route.writes else {"read"}
    if not enough & scopes(caller) or (route.access == "admin" and not caller.startswith("admin")):
        return 403
    if caller.startswith("other") and route.named:
        return 404
    return 403 if caller.startswith("other") and "account_id" in (route.hostile or {}) else _of_others(route, caller)


def _of_others(route: Route, caller: str) -> int | None:
    return 404 if caller.startswith("other") and route.hostile else None


def sent(place: Place, route: Route, caller: str) -> TestResponse:
    ids = place.ids | {"tool": "trello", "gateway": "standard"}
    body = route.hostile if caller.startswith("other") and route.hostile else route.body
    return place.callers[caller].call(route.method, filled(route.rule, ids), filled(body, ids))


def test_every_route_and_method_of_the_door_is_in_the_matrix(place: Place) -> None:
    served = {
        f"{method} {re.sub(r'<[^:<>]+:', '<', rule.rule)}"
        for rule in place.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS"}
        if not (method == "HEAD" and "GET" in (rule.methods or set()))
    }
    assert served == {route.name for route in ROUTES}
    assert len(served) == len(ROUTES) > 60


PAIRS = [(route, caller) for route in ROUTES for caller in CALLERS]
ASKING = [(route, caller) for route, caller in PAIRS if refusal(route, caller) is not None or not route.writes]


@pytest.mark.parametrize(("route", "caller"), ASKING, ids=lambda one: one.name if isinstance(one, Route) else one)
def test_who_may_not_is_turned_away_and_a_reader_reads_nothing_of_another_account(
    place: Place, route: Route, caller: str
) -> None:
    answer = sent(place, route, caller)
    wanted = refusal(route, caller)
    assert answer.status_code == (wanted or 200), answer.get_data(as_text=True)[:500]
    if wanted is not None:
        assert answer.content_type == "application/problem+json"
        assert answer.get_json(force=True).keys() == {"type", "title", "status", "detail", "code"}
    if wanted is not None or caller.startswith("other") or caller in UNKNOWN:
        assert CANARY.encode() not in answer.data
    elif route.sings:
        assert CANARY.encode() in answer.data, "the matrix cannot see what it looks for"


def test_nothing_at_all_was_changed_by_whoever_was_turned_away(place: Place) -> None:
    before = place.state()
    for route, caller in ASKING:
        if refusal(route, caller) is not None:
            sent(place, route, caller)
    assert place.state() == before


@pytest.mark.parametrize("caller", ["own", "own, write", "own, commands", "admin"])
def test_who_may_write_is_let_in_everywhere_it_may(own_place: Place, caller: str) -> None:
    written = [route for route in ROUTES if route.writes and refusal(route, caller) is None]
    assert len(written) > 10
    for route in sorted(written, key=lambda one: one.method == "DELETE"):
        answer = sent(own_place, route, caller)
        assert answer.status_code < 500, route.name
        assert answer.status_code not in (401, 403, 404), (route.name, answer.get_data(as_text=True))


@pytest.mark.parametrize("path", [path for path, _ in QUERIES])
def test_a_query_that_names_another_account_is_answered_with_nothing_of_it(place: Place, path: str) -> None:
    answer = place.callers["other"].call("GET", filled(path, place.ids))
    assert answer.status_code == dict(QUERIES)[path]
    assert CANARY.encode() not in answer.data
    found = answer.get_json().get("data", [])
    assert [row for row in found if row.get("account_id") != place.ids["other_account"]] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"), BODIES, ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_body_that_names_what_is_another_accounts_finds_nothing(
    place: Place, method: str, path: str, body: dict[str, object], status: int
) -> None:
    before = place.state()
    answer = place.callers["other"].call(method, filled(path, place.ids), filled(body, place.ids))
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert CANARY.encode() not in answer.data
    after = place.state()
    after["command"] = before["command"]  # a refusal is kept, in the caller's own workspace
    assert after == before


LISTS = [route for route in ROUTES if not route.writes and route.rule.startswith("/v1/") and route.sings]


@pytest.mark.parametrize("route", [one for one in LISTS if not one.rule.endswith("_id>")], ids=lambda one: one.name)
def test_a_cursor_of_another_account_leads_into_no_list_of_it(place: Place, route: Route) -> None:
    path = filled(route.rule, place.ids)
    own: Caller = place.callers["admin" if route.access == "admin" else "own"]
    cursor = own.call("GET", f"{path}?limit=1").get_json()["next"]
    answer = place.callers["other"].call("GET", f"{path}?limit=1&cursor={cursor}" if cursor else path)
    assert answer.status_code in (200, 403, 404)
    assert CANARY.encode() not in answer.data


def test_an_answer_kept_under_an_idempotency_key_is_given_to_its_own_key_only(own_place: Place) -> None:
    own, other = own_place.callers["own"], own_place.callers["other"]
    path = f"/v1/workspaces/{own_place.ids['workspace_id']}/quotes"
    body = {"command": "members", "count": 3}
    first = own.call("POST", path, body, Idempotency_Key="one")
    assert first.status_code == 201
    assert own.call("POST", path, body, Idempotency_Key="one").headers["Idempotent-Replayed"] == "true"
    taken = other.call("POST", path, body, Idempotency_Key="one")
    assert (taken.status_code, "Idempotent-Replayed" in taken.headers) == (404, False)
    narrowed = own_place.callers["own, read"].call("POST", path, body, Idempotency_Key="one")
    assert narrowed.status_code == 403


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.commands and "actor" in route.body], ids=lambda one: one.name
)
@pytest.mark.parametrize("role", ["normal", "guest", "observer", "", None, "ANYBODY", "anybody"])
def test_a_role_that_may_not_act_commands_nothing(place: Place, route: Route, role: str | None) -> None:
    before = place.state()
    who = {"id": "somebody-else", **({} if role is None else {"role": role})}
    body = filled(route.body, place.ids) | {"actor": who}
    answer = place.callers["own"].call("POST", filled(route.rule, place.ids), body)
    assert answer.status_code in (403, 404, 409, 422), answer.get_data(as_text=True)
    after = place.state()
    after["command"] = before["command"]
    assert after == before


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "CONNECT", "PROPFIND", "HEAD"])
def test_another_method_is_no_way_around_the_key(place: Place, method: str) -> None:
    for rule in sorted({route.rule for route in ROUTES if route.access not in ("open", "greeted", "signed")}):
        answer = place.callers["nobody"].call(method, filled(rule, place.ids))
        told = rule in ("/openapi.json", "/metrics") and method == "OPTIONS"
        assert answer.status_code in ((200,) if told else (401, 405)), (method, rule)
        assert CANARY.encode() not in answer.data
        assert not told or not answer.data
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_method_named_in_a_header_is_not_the_method(place: Place) -> None:
    path = filled("/v1/connections/<connection_id>", place.ids)
    answer = place.callers["own, read"].call("GET", path, X_HTTP_Method_Override="DELETE")
    assert answer.status_code == 200
    assert place.callers["own"].call("GET", path).status_code == 200
