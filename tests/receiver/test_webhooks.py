"""The order of judgement at the door: 404, 413, 401, commit, 200."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from billing.tools import room
from tests.receiver.conftest import NOW, OTHER_SECRET, SECRET, House, joined


def test_a_genuine_delivery_is_kept_raw_and_answered_with_nothing(house: House) -> None:
    body = joined()

    answer = house.post(body, house.sign(body) | {"X-Kite": "red", "Authorization": "Basic aGlkZGVu"})

    (row,) = house.deliveries()
    assert (answer.status, answer.body) == (200, b"")
    assert (row["connection_id"], row["delivery_id"], row["state"]) == ("con-1", "action-1", "kept")
    assert (bytes(row["body"]), row["sha256"]) == (body, hashlib.sha256(body).hexdigest())
    assert row["headers"]["x-kite"] == "red"
    assert row["headers"]["x-trello-webhook"]
    assert "authorization" not in row["headers"]


def test_a_redelivery_gets_the_same_answer_and_is_kept_once(house: House) -> None:
    first, again = joined(), joined(translationKey="in other words for people")

    answers = [house.post(body).status for body in (first, again, first)]

    assert answers == [200, 200, 200]
    assert len(house.deliveries()) == 1
    assert house.run("SELECT * FROM alarm") == []


def test_another_event_under_a_used_id_is_quarantined_with_one_alarm(house: House) -> None:
    house.post(joined())

    answers = [house.post(joined(member="member-mallory")).status for _ in range(2)]

    first, impostor = house.deliveries()
    assert answers == [200, 200]
    assert (first["state"], impostor["state"], impostor["delivery_id"]) == ("kept", "quarantined", "action-1")
    assert impostor["dedupe_key"] == f"action-1~{impostor['fingerprint']}"
    assert b"mallory" in bytes(impostor["body"])
    (alarm,) = house.run("SELECT * FROM alarm")
    assert alarm["kind"] == "delivery_id_reused"
    assert impostor["id"] in alarm["detail"]


@pytest.mark.parametrize(
    "headers", [{}, {"X-Trello-Webhook": "wrong"}, {"X-Trello-Webhook": "sömething"}, {"X-Trello-Webhook": "\xff" * 28}]
)
def test_a_forged_delivery_is_401_and_nothing_is_kept(house: House, headers: dict[str, str]) -> None:
    answer = house.post(joined(), headers)

    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.body)["code"] == "forged"
    assert house.deliveries() == []


@pytest.mark.parametrize(
    "path", ["trello/con-9", "kitchen/con-1", "standard/con-1", "trello/con%001", "trello/" + "c" * 999]
)
def test_an_unknown_connection_or_tool_is_404(house: House, path: str) -> None:
    answers = [house.post(joined(), {}, path), house.send("HEAD", f"/webhooks/{path}")]

    assert [answer.status for answer in answers] == [404, 404]
    assert all(len(answer.body) < 2048 for answer in answers)


def test_over_the_cap_is_413_before_the_signature_is_judged(house: House) -> None:
    cap = house.settings.max_body_bytes
    fitting, longer = b"x" * cap, b"x" * (cap + 1)

    assert [house.post(body).status for body in (fitting, longer)] == [200, 413]
    assert house.post(longer, {}).status == 413
    assert len(house.deliveries()) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[" * 60_000, b'{"action":{"id":"a\\u0000b"}}', b'{"action":{"id":"\\ud800"}}', b"\xff\0"],
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_genuine_but_unreadable_is_kept_by_its_digest(house: House, body: bytes, kind: str) -> None:
    answer = house.post(body, house.sign(body) | {"Content-Type": kind})

    (row,) = house.deliveries()
    assert answer.status == 200
    assert bytes(row["body"]) == body
    assert row["delivery_id"] == f"sha256:{hashlib.sha256(body).hexdigest()}"


def test_trello_is_greeted_at_a_connection_that_exists(house: House) -> None:
    assert house.send("HEAD", "/webhooks/trello/con-1").status == 200
    assert house.deliveries() == []


def test_a_sender_may_look_whether_an_address_of_the_standard_room_answers(house: House) -> None:
    house.connect("con-2", "standard")

    assert house.send("HEAD", "/webhooks/standard/con-2").status == 200
    assert house.send("HEAD", "/webhooks/standard/con-3").status == 404


def test_the_standard_room_is_served_by_the_same_door(house: House) -> None:
    house.connect("con-2", "standard")

    assert house.post(b'{"type":"member.joined"}', None, "standard/con-2").status == 200
    assert house.deliveries()[0]["delivery_id"] == "msg-1"


def test_two_secrets_are_live_during_a_rotation(house: House) -> None:
    house.connect("con-2", "trello", SECRET, OTHER_SECRET)
    bodies = {secret: joined(f"action-{secret}") for secret in (SECRET, OTHER_SECRET, "a third")}

    answers = [
        house.post(body, house.sign(body, "con-2", secret=secret), "trello/con-2") for secret, body in bodies.items()
    ]

    assert [answer.status for answer in answers] == [200, 200, 401]


def test_a_new_secret_fits_the_moment_it_is_kept(house: House) -> None:
    assert house.post(joined()).status == 200
    new = house.settings.vault.encrypt(OTHER_SECRET.encode())

    house.run("UPDATE connection SET secrets = %s", [new])

    body = joined("action-2")
    assert house.post(body, house.sign(body, secret=OTHER_SECRET)).status == 200


def test_rotation_and_removal_take_effect_within_two_seconds(house: House) -> None:
    body = joined()
    assert house.post(body).status == 200
    new = house.settings.vault.encrypt(OTHER_SECRET.encode())

    house.run("UPDATE connection SET secrets = %s", [new])
    assert _seconds_until(lambda: house.post(body).status == 401) < 2
    assert house.post(body, house.sign(body, secret=OTHER_SECRET)).status == 200
    house.run("UPDATE connection SET removed_at = now()")
    assert _seconds_until(lambda: house.post(body).status == 404) < 2


def test_a_connection_works_the_moment_it_is_made(house: House) -> None:
    assert house.post(joined(), None, "trello/con-new").status == 404
    house.connect("con-new")
    assert house.post(joined(), None, "trello/con-new").status == 200


def test_a_secret_that_cannot_be_decrypted_loses_nothing(house: House) -> None:
    house.run("UPDATE connection SET secrets = secrets || %s", [b"sealed with a key we lost"])
    body = joined()

    assert house.post(body).status == 200
    answer = house.post(body, house.sign(body, secret=OTHER_SECRET))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


def test_a_room_that_raises_falls_back_to_the_digest_and_is_alarmed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    trello = room.load("trello")

    def raising(*_: object) -> str:
        raise ValueError("a fault of the room")

    monkeypatch.setattr(trello, "delivery_id", raising)
    body = joined()

    assert [house.post(body).status for _ in range(2)] == [200, 200]

    (row,) = house.deliveries()
    assert row["delivery_id"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert [alarm["kind"] for alarm in house.run("SELECT * FROM alarm")] == ["room_raised"]


@pytest.mark.parametrize("answer", ["", "a\0b", "x" * 4000, "\ud800", None])
def test_an_id_that_cannot_be_stored_is_replaced(
    house: House, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    monkeypatch.setattr(room.load("trello"), "delivery_id", lambda *_: answer)
    monkeypatch.setattr(room.load("trello"), "fingerprint", lambda *_: answer)

    assert house.post(joined()).status == 200
    assert house.deliveries()[0]["delivery_id"].startswith("sha256:")


def test_what_a_room_cannot_check_is_forged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*_: object) -> bool:
        raise TypeError

    monkeypatch.setattr(room.load("trello"), "verify", raising)

    assert house.post(joined()).status == 401


def test_a_room_that_cannot_be_loaded_breaks_its_own_route_only(house: House) -> None:
    house.connect("con-2", "broken_tool")

    assert house.post(b"{}", {}, "broken_tool/con-2").status == 503
    assert house.post(joined()).status == 200


def test_the_address_that_was_registered_is_the_one_that_is_signed(house: House) -> None:
    house.run("UPDATE connection SET callback_url = 'https://old.example/hook'")
    body = joined()
    headers = room.load("trello").sign(body, SECRET, "https://old.example/hook", NOW, "")

    assert [house.post(body, headers).status, house.post(body).status] == [200, 401]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_405_as_a_problem(house: House, method: str) -> None:
    answer = house.send(method, "/webhooks/trello/con-1")

    assert answer.status == 405
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "POST" in answer.headers["Allow"]


def _seconds_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition() and time.monotonic() - began < 5:
        time.sleep(0.05)
    return time.monotonic() - began


def test_a_crowd_that_comes_together_asks_for_its_connection_once(
    house: House, together: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = house.app.extensions["sekisu"]["door"].connections
    asked: list[str] = []
    ask = connections._ask

    def slowly(name: str) -> object:
        asked.append(name)
        time.sleep(0.3)
        return ask(name)

    monkeypatch.setattr(connections, "_ask", slowly)

    found = together([lambda: connections.find("con-1")] * 30)

    assert len(asked) == 1
    assert {connection.id for connection in found} == {"con-1"}
    assert not connections._asking
