"""Every call that writes and every refusal can be read afterwards: who, what, when, and what became of it."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from billing.store.db import Database
from service.api.witness import Witness
from service.sparing import SINGLY, WINDOW, Sparing
from tests.security.place import CANARY, SIGNING, Caller, Place, actor


def calls(place: Place, **wanted: object) -> list[dict[str, Any]]:
    rows = place.run("SELECT * FROM audit ORDER BY id")
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def pages(caller: Caller, path: str) -> Iterator[dict[str, Any]]:
    cursor = ""
    while cursor is not None:
        told = caller.told("GET", f"{path}{'&' if '?' in path else '?'}limit=50{cursor}")
        yield from told["data"]
        cursor = told["next"] and f"&cursor={told['next']}"


def test_a_call_that_writes_is_written_down_with_its_key_its_request_and_its_answer(own_place: Place) -> None:
    own, workspace = own_place.callers["own"], own_place.ids["workspace_id"]
    answer = own.call("PATCH", f"/v1/workspaces/{workspace}", {"name": "renamed"})
    (row,) = calls(own_place, request_id=answer.headers["X-Request-Id"])
    del row["id"], row["at"], row["request_id"]
    assert row == {
        "key_id": own.id,
        "account_id": own_place.ids["account_id"],
        "workspace_id": workspace,
        "method": "PATCH",
        "route": "/v1/workspaces/<workspace_id>",
        "status": 200,
        "code": None,
        "rule": None,
        "times": 1,
    }


def test_a_call_that_only_reads_is_not_written_down(own_place: Place) -> None:
    before = len(calls(own_place))
    own_place.callers["own"].told("GET", "/v1/workspaces")
    assert len(calls(own_place)) == before


def test_a_command_tells_who_gave_it_by_which_key_and_request_accepted_or_refused(own_place: Place) -> None:
    own, path = own_place.callers["own"], f"/v1/workspaces/{own_place.ids['workspace_id']}"
    good = own.call("POST", f"{path}/cancellation", {"actor": actor("admin")})
    bad = own.call(
        "POST", f"{path}/subscription", {"actor": actor("guest"), "plan": "trello-premium", "interval": "year"}
    )
    assert (good.status_code, bad.status_code) == (201, 403)
    told = list(pages(own, f"{path}/commands"))[-2:]
    assert [row["verdict"] for row in told] == ["accepted", "refused"]
    for answer, row in zip((good, bad), told, strict=True):
        assert (row["actor"]["key_id"], row["actor"]["request_id"]) == (own.id, answer.headers["X-Request-Id"])
    rule = bad.get_json(force=True)["rule"]
    (seen,) = calls(own_place, request_id=bad.headers["X-Request-Id"])
    assert (seen["status"], seen["code"], seen["rule"]) == (403, "refused", rule) == (403, "refused", told[1]["rule"])


def test_a_caller_cannot_say_that_another_key_gave_the_command(own_place: Place) -> None:
    who = actor("admin") | {"key_id": "key_of_somebody_else"}
    path = f"/v1/workspaces/{own_place.ids['workspace_id']}/cancellation"
    assert own_place.callers["own"].call("POST", path, {"actor": who}).status_code == 422


@pytest.mark.parametrize(
    ("caller", "method", "path", "status"),
    [
        ("nobody", "GET", "/v1/workspaces", 401),
        ("a wrong key", "POST", "/v1/clocks", 401),
        ("own, revoked", "GET", "/v1/workspaces/<workspace_id>", 401),
        ("nobody", "GET", "/openapi.json", 401),
        ("own", "GET", "/metrics", 403),
        ("own", "GET", "/v1/accounts", 403),
        ("own, read", "DELETE", "/v1/connections/<connection_id>", 403),
        ("other", "GET", "/v1/workspaces/<workspace_id>", 404),
        ("other", "PATCH", "/v1/connections/<connection_id>", 404),
        ("own", "POST", "/v1/clocks", 400),
    ],
)
def test_a_refusal_is_written_down_whatever_refused_it(
    own_place: Place, caller: str, method: str, path: str, status: int
) -> None:
    who = own_place.callers[caller]
    for name, known in own_place.ids.items():
        path = path.replace(f"<{name}>", known)
    answer = who.call(method, path, {"secrets": [SIGNING]} if method == "PATCH" else None)
    assert answer.status_code == status
    (row,) = calls(own_place, request_id=answer.headers["X-Request-Id"])
    known_key = who.id if status != 401 else None
    assert (row["key_id"], row["method"], row["status"], row["times"]) == (known_key, method, status, 1)
    assert row["code"] == answer.get_json(force=True)["code"]


def test_a_forged_callback_is_written_down_and_kept_out_of_the_account(own_place: Place) -> None:
    answer = own_place.callers["nobody"].call("POST", "/callbacks/payments/standard", {"type": "charge.succeeded"})
    (row,) = calls(own_place, request_id=answer.headers["X-Request-Id"])
    assert (row["status"], row["route"], row["account_id"]) == (401, "/callbacks/payments/<gateway>", None)


def test_an_account_reads_its_own_calls_and_what_the_admin_did_for_it_and_the_admin_reads_all(own_place: Place) -> None:
    ids, own, other = own_place.ids, own_place.callers["own"], own_place.callers["other"]
    own_place.admin.told("PATCH", f"/v1/workspaces/{ids['workspace_id']}", {"name": "by the admin"})
    other.call("GET", f"/v1/workspaces/{ids['workspace_id']}")
    own_place.callers["nobody"].call("GET", "/v1/keys")
    mine, all_of_them = list(pages(own, "/v1/audit")), list(pages(own_place.admin, "/v1/audit"))
    assert {row["account_id"] for row in mine} == {ids["account_id"]}
    assert [row["key_id"] for row in mine][-1] == "admin"
    assert {row["account_id"] for row in all_of_them} == {ids["account_id"], ids["other_account"], None}
    (tried,) = [row for row in all_of_them if row["status"] == 404]
    assert (tried["account_id"], tried["workspace_id"]) == (ids["other_account"], ids["workspace_id"])
    assert [row["id"] for row in all_of_them] == sorted(row["id"] for row in all_of_them)
    assert CANARY not in str(all_of_them)


def test_a_repeated_call_under_an_idempotency_key_is_written_down_once(own_place: Place) -> None:
    own, before = own_place.callers["own"], len(calls(own_place))
    for _ in range(3):
        assert own.call("POST", "/v1/clocks", {"now": "2025-01-01T00:00:00Z"}, Idempotency_Key="k").status_code == 201
    assert len(calls(own_place)) == before + 1


def test_refusals_in_swarms_are_counted_and_fill_no_table(own_place: Place) -> None:
    wrong = own_place.callers["a wrong key"]
    answers = [wrong.call("GET", "/v1/workspaces").status_code for _ in range(4 * SINGLY)]
    assert set(answers) == {401}
    rows = calls(own_place, status=401)
    assert len(rows) == SINGLY + 2
    assert sum(row["times"] for row in rows) == 4 * SINGLY


def test_of_a_swarm_the_first_are_told_one_by_one_and_then_each_doubling() -> None:
    sparing = Sparing(lambda: 0.0)
    told = [sparing.note("a") for _ in range(8 * SINGLY)]
    assert told[:SINGLY] == [1] * SINGLY
    assert [times for times in told[SINGLY:] if times] == [SINGLY, 2 * SINGLY, 4 * SINGLY]
    assert sum(told) == 8 * SINGLY


def test_what_was_not_told_in_one_window_is_told_with_the_first_of_the_next() -> None:
    now = [0.0]
    sparing = Sparing(lambda: now[0])
    assert sum(sparing.note("a") for _ in range(SINGLY + 10)) == SINGLY
    assert sparing.note("b") == 1
    now[0] = WINDOW
    assert sparing.note("a") == 11
    assert sparing.note("a") == 1


def test_a_refusal_stays_one_when_it_cannot_be_written_down(
    own_place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/none", 1, 0.2)
    monkeypatch.setattr(own_place.app, "after_request_funcs", {None: [Witness(away).see]})
    answers = [own_place.callers["nobody"].call("GET", "/v1/workspaces") for _ in range(3)]
    away.close()
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert caplog.text.count("could not be written down") == 1  # and is not tried at every request


def test_the_service_can_add_to_the_audit_and_change_nothing_of_it(own_place: Place) -> None:
    assert calls(own_place)
    for statement in ("UPDATE audit SET key_id = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), own_place.db.transaction("test") as connection:
            connection.execute(statement.encode())
    with pytest.raises(psycopg.errors.RestrictViolation):
        own_place.run("UPDATE audit SET key_id = 'x'")


@pytest.mark.parametrize("odd", ["%00", "%0d%0aSet-Cookie:a", "%ed%a0%80", "a" * 500, "%F0%9F%90%A6"])
def test_a_path_that_no_workspace_can_have_is_not_copied_into_the_audit_or_the_log(
    own_place: Place, caplog: pytest.LogCaptureFixture, odd: str
) -> None:
    answer = own_place.callers["nobody"].call("GET", f"/v1/workspaces/{odd}")
    assert answer.status_code == 401
    (row,) = calls(own_place, request_id=answer.headers["X-Request-Id"])
    assert row["workspace_id"] is None
    assert "\n" not in caplog.records[-1].getMessage()
