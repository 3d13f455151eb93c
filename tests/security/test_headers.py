"""What an answer says beside its content, and what it keeps to itself."""

import re
from pathlib import Path

import pytest

from tests.security.place import Place, opened, settings
from tests.security.routes import ROUTES, Route, filled

DATA_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_FLASK = [route for route in ROUTES if not route.rule.startswith("/webhooks/")]


@pytest.mark.parametrize("caller", ["nobody", "own", "admin, read"])
@pytest.mark.parametrize("route", [route for route in _FLASK if not route.writes], ids=lambda one: one.name)
def test_no_answer_may_be_sniffed_framed_or_named_to_others(place: Place, route: Route, caller: str) -> None:
    answer = place.callers[caller].call(route.method, filled(route.rule, place.ids))
    headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    policy = headers["Content-Security-Policy"]
    assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))
    assert "unsafe" not in policy
    if route.rule.startswith("/v1/"):
        assert (headers["Cache-Control"], policy) == ("no-store", DATA_POLICY)
    assert not {"Server", "X-Powered-By", "Set-Cookie", "Access-Control-Allow-Origin"} & set(headers.keys())
    assert re.fullmatch(r"(text|application|image)/[a-z.+-]+(; .*charset=utf-8)?", answer.content_type)


def test_hsts_is_said_only_where_the_address_is_https(database_url: str, valkey_url: str, tmp_path: Path) -> None:
    with opened(settings(database_url, valkey_url, tmp_path, PUBLIC_URL="http://127.0.0.1:8080")) as plain:
        assert "Strict-Transport-Security" not in plain.admin.call("GET", "/").headers


def test_a_refused_webhook_and_callback_say_the_same(place: Place) -> None:
    for path in (f"/webhooks/trello/{place.ids['connection_id']}", "/callbacks/payments/standard"):
        answer = place.callers["nobody"].call("POST", path, {})
        assert answer.status_code == 401
        assert answer.headers["Content-Security-Policy"] == DATA_POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_went_wrong_inside_is_in_the_log_under_the_requests_id_and_not_in_the_answer(
    bare: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("secret words of ours")

    monkeypatch.setattr("service.api.workspaces.views.workspaces", broken)
    answer = bare.admin.call("GET", "/v1/workspaces")
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (500, "internal")
    for word in (b"secret words", b"Traceback", b".py", b"ValueError", b"psycopg"):
        assert word not in answer.data
    assert answer.headers["X-Request-Id"] in caplog.text
    assert "secret words of ours" in caplog.text


@pytest.mark.parametrize(
    "path", ["/.git/config", "/console/../wsgi.py", "/console/", "/static/x", "/v1", "/console/%2e%2e/app.py"]
)
def test_nothing_is_served_but_what_has_a_route(place: Place, path: str) -> None:
    assert place.callers["nobody"].call("GET", path).status_code == 404
