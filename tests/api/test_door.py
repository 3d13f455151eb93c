"""What every route has in common: problems, media types, caps, hostile bodies."""

import pytest
from werkzeug.test import TestResponse

from tests.api.conftest import ADMIN_KEY, Caller, House


def send(house: House, body: bytes, kind: str = "application/json", **more: object) -> TestResponse:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    return house.app.test_client().post("/v1/accounts", data=body, content_type=kind, headers=headers, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b'{"name": NaN}', 400),
        (b'{"name": 1e400}', 400),
        (b'{"name": "a", "name": "b"}', 400),
        (b"[" * 9000, 400),
        (b'{"name": ' + b"9" * 5000 + b"}", 400),
        (b"[]", 422),
        (b'"name"', 422),
        (b"null", 422),
        (b'{"name": "a\\u0000b"}', 422),
        (b'{"name": "a\\ud800b"}', 422),
        (b'{"a\\u0000": 1}', 422),
        (b'{"name": ' + b"[" * 40 + b"]" * 40 + b"}", 422),
        (b'{"name": "' + b"a" * 20_000 + b'"}', 413),
    ],
)
def test_a_body_that_is_none_is_told_so(house: House, body: bytes, status: int) -> None:
    answer = send(house, body)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.get_json(force=True)["status"] == status


def test_an_answer_quotes_little_of_what_was_sent(house: House) -> None:
    long = send(house, b'{"' + b"a" * 15_000 + b'": 1}')
    many = send(house, b"{" + b", ".join(b'"n%d": 1' % number for number in range(1500)) + b"}")
    assert [answer.status_code for answer in (long, many)] == [422, 422]
    assert all(len(answer.data) < 8_000 for answer in (long, many))
    assert len(house.admin.get("/v1/accounts/" + "a" * 9_000, 404)["detail"]) <= 4_000


def test_a_chunked_body_over_the_cap_is_413_too(house: House) -> None:
    class Chunks:
        left = 40_000

        def read(self, size: int = -1) -> bytes:
            given = min(self.left, size if size >= 0 else self.left)
            self.left -= given
            return b"a" * given

    stream = {"wsgi.input": Chunks(), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Transfer-Encoding": "chunked"}
    answer = house.app.test_client().post(
        "/v1/accounts", environ_overrides=stream, headers=headers, content_type="application/json"
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_does_not_say_it_is_json_is_415(house: House, kind: str) -> None:
    assert send(house, b'{"name": "n"}', kind).status_code == 415


def test_json_with_a_charset_is_json(house: House) -> None:
    assert send(house, b'{"name": "n"}', "application/json; charset=utf-8").status_code == 201


def test_a_wrong_method_is_405_and_told_the_right_ones(admin: Caller) -> None:
    assert admin.call("OPTIONS", "/v1/accounts").status_code == 405
    answer = admin.call("PUT", "/v1/accounts")
    assert answer.status_code == 405
    assert {"GET", "POST"} <= {method.strip() for method in answer.headers["Allow"].split(",")}
    assert answer.get_json(force=True)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/workspaces/%00", "/v1/clocks/a%00b", "/v2"])
def test_what_is_not_there_is_404(admin: Caller, path: str) -> None:
    admin.get(path, 404)


def test_a_query_the_database_cannot_hold_is_422(admin: Caller) -> None:
    admin.get("/v1/deliveries?connection_id=a%00b", 422)


def test_answers_are_stored_by_nobody_on_the_way(admin: Caller) -> None:
    assert admin.call("GET", "/v1/accounts").headers["Cache-Control"] == "no-store"


def test_a_database_that_is_away_is_503_and_told_when_to_come_again(house: House, admin: Caller) -> None:
    house.db.close()
    house.db.url = "postgresql://sekisu@127.0.0.1:1/none?connect_timeout=1"
    house.db._timeout_s = 0.5
    answer = admin.call("GET", "/v1/accounts")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_an_address_that_leads_nowhere_is_told_so_and_where_the_routes_are(house: House) -> None:
    client, headers = house.app.test_client(), {"Authorization": f"Bearer {ADMIN_KEY}"}
    nowhere = client.get("/v1/nowhere", headers=headers)
    left_out = client.get("/v1/workspaces//seats", headers=headers)
    other = client.delete("/v1/workspaces", headers=headers)
    assert [answer.status_code for answer in (nowhere, left_out, other)] == [404, 404, 405]
    assert all("/docs" in answer.get_json(force=True)["detail"] for answer in (nowhere, left_out, other))
    assert "POST" in other.headers["Allow"]
