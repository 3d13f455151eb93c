"""The contract of every room, found by looking: a new room is tested by having a folder with fixtures."""

import base64
import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import tools
from billing.core.errors import NotFoundError
from billing.core.facts import RANK
from billing.tools.room import Event, Reading, Room, load, names

NOW = datetime(2025, 4, 15, 9, 30, tzinfo=UTC)
# Bare base64 is a secret that every scheme can use.
SECRET, OTHER = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
URL = "https://sekisu.example/webhooks/c-1?x=ü"
HERE = Path(tools.__file__).parent

FIXTURES = [(p.parent.parent.name, p.stem) for p in sorted(HERE.glob("*/fixtures/*.json"))]


def fixture(tool: str, fact: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((HERE / tool / "fixtures" / f"{fact}.json").read_text("utf-8"))
    return loaded


def raw(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def signed(room: Room, body: bytes, delivery_id: str = "msg_1", **given: Any) -> dict[str, str]:
    secret, now = given.get("secret", SECRET), given.get("now", NOW)
    return {**given.get("headers", {}), **room.sign(body, secret, URL, now, delivery_id)}


def a_fact(tool: str) -> bytes:
    """A body of this room that makes at least one event; where its tool tells of nobody, one that hints at a change."""
    return raw(telling(tool)[0]["body"])


def telling(tool: str) -> list[dict[str, Any]]:
    """The fixtures that make events; the hints, where the tool never names anybody (Chatwork)."""
    facts = [fixture(t, f) for t, f in FIXTURES if t == tool]
    return [f for f in facts if f["expected"]] or [f for f in facts if f.get("reread")]


def shown(reading: Reading) -> list[dict[str, object]]:
    told = [f.name for f in fields(Event) if f.name not in ("source_id", "ordinal")]
    rows = [{name: getattr(event, name) for name in told} for event in reading.events]
    return [{name: value for name, value in row.items() if value is not None and value != {}} for row in rows]


@pytest.fixture(params=names())
def tool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def room(tool: str) -> Room:
    return load(tool)


def test_a_room_that_is_not_there_is_named_with_those_that_are() -> None:
    for wrong in ("slate", "../trello", "", "room"):
        with pytest.raises(NotFoundError, match="trello"):
            load(wrong)


def test_a_room_has_every_name_of_the_contract(room: Room) -> None:
    wanted = {name for name in vars(Room) if not name.startswith("_")} | set(Room.__annotations__)
    assert {name for name in wanted if not hasattr(room, name)} == set()
    assert isinstance(room.SIGNED, bool)
    assert isinstance(room.SHARED_BOARDS, bool)


def test_a_genuine_delivery_is_honoured(tool: str, room: Room) -> None:
    body = a_fact(tool)
    assert room.verify(signed(room, body), body, SECRET, URL, NOW)


def test_a_tampered_delivery_is_refused(tool: str, room: Room) -> None:
    if not room.SIGNED:
        pytest.skip("this tool cannot sign")
    body = a_fact(tool)
    headers = signed(room, body)
    for other in (body + b" ", body[:-1], body.replace(b'"', b"'", 1), b""):
        assert not room.verify(headers, other, SECRET, URL, NOW)
    for name, value in headers.items():
        for wrong in (value[:-2] + "\xff=", value.upper(), value + "x", "", "\udc80", "é"):
            assert wrong == value or not room.verify({**headers, name: wrong}, body, SECRET, URL, NOW), (name, wrong)


def test_an_unsigned_delivery_is_refused(tool: str, room: Room) -> None:
    body = a_fact(tool)
    assert room.verify({}, body, SECRET, URL, NOW) is not room.SIGNED


def test_a_rotated_secret_signs_for_itself_only(tool: str, room: Room) -> None:
    if not room.SIGNED:
        pytest.skip("this tool cannot sign")
    body = a_fact(tool)
    headers = signed(room, body, secret=OTHER)
    assert room.verify(headers, body, OTHER, URL, NOW)
    for wrong in (SECRET, "", "é", "\udc80", OTHER[:-4]):
        assert not room.verify(headers, body, wrong, URL, NOW)


def test_a_delivery_is_never_taken_for_a_handshake(tool: str, room: Room) -> None:
    body = a_fact(tool)
    assert not room.greet("POST", signed(room, body), body)
    assert isinstance(room.greet("HEAD", {}, b""), bool)


def test_a_room_has_fixtures_of_a_fact_of_nothing_and_of_an_unknown_action(tool: str) -> None:
    facts = [fixture(t, f) for t, f in FIXTURES if t == tool]
    assert telling(tool)
    assert any(not f["expected"] and not f.get("reread") for f in facts)
    assert any(f.get("known") is False for f in facts)
    assert any(f.get("also") for f in facts)


@pytest.mark.parametrize(("tool", "fact"), FIXTURES)
def test_a_fixture_says_what_it_expects(tool: str, fact: str) -> None:
    room, given_ = load(tool), fixture(tool, fact)
    body = raw(given_["body"])
    headers = signed(room, body, headers=given_.get("headers", {}))
    assert room.verify(headers, body, SECRET, URL, NOW) or not room.SIGNED
    reading = room.read(headers, body)
    expected = [{**event, "at": datetime.fromisoformat(event["at"])} for event in given_["expected"]]
    assert shown(reading) == expected
    assert reading.known is given_.get("known", True)
    assert reading.reread is given_.get("reread", False)
    assert not reading.quarantined
    assert reading.action
    assert bool(reading.reason) is not bool(reading.events)
    assert {event.source_id for event in reading.events} <= {room.delivery_id(headers, body)}
    assert {event.kind for event in reading.events} <= set(RANK)
    assert all(event.at.tzinfo is UTC for event in reading.events)


@pytest.mark.parametrize(("tool", "fact"), FIXTURES)
def test_one_event_in_two_wrappings_is_one_event(tool: str, fact: str) -> None:
    room, given_ = load(tool), fixture(tool, fact)

    def identity(body: bytes) -> tuple[object, ...]:
        headers = signed(room, body, headers=given_.get("headers", {}))
        events = room.read(headers, body).events
        told = [(e.source_id, e.ordinal, e.kind, e.at, e.member, e.board, e.workspace) for e in events]
        return room.delivery_id(headers, body), room.fingerprint(headers, body), told

    first = identity(raw(given_["body"]))
    spaced = json.dumps(given_["body"], indent=2).encode()
    for other in [spaced, *(raw(o["body"]) for o in given_.get("also", []))]:
        assert identity(other) == first


def test_a_redelivery_has_the_same_id_and_fingerprint(tool: str, room: Room) -> None:
    body = a_fact(tool)
    first, later = signed(room, body), signed(room, body, now=NOW + timedelta(hours=2))
    assert room.delivery_id(first, body) == room.delivery_id(later, body)
    assert room.fingerprint(first, body) == room.fingerprint(later, body)
    assert room.read(first, body) == room.read(later, body)


def test_two_events_have_two_fingerprints(tool: str, room: Room) -> None:
    prints = [room.fingerprint({}, raw(fixture(t, f)["body"])) for t, f in FIXTURES if t == tool]
    assert len(set(prints)) == len(prints)


DEEP = b"[" * 100_000 + b"]" * 100_000
HOSTILE = {
    "nothing": b"",
    "not JSON": b"<html>",
    "cut": b'{"action": {"id": "1"',
    "not UTF-8": b'{"type": "\xff\xfe"}',
    "UTF-16": '{"type": "member.joined"}'.encode("utf-16"),
    "an array": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "too deep": DEEP,
    "too deep inside": b'{"a":' * 65 + b"1" + b"}" * 65,
    "NaN": b'{"type": NaN}',
    "infinity": b'{"type": 1e999}',
    "a huge integer": b'{"action": ' + b"9" * 5000 + b', "type": 1}',
    "empty": b"{}",
    "keys of the wrong kind": b'{"action": [], "type": {}, "data": 3, "model": "x", "timestamp": 0}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_genuine_but_unreadable_is_quarantined_with_a_reason(room: Room, name: str) -> None:
    body = HOSTILE[name]
    headers = signed(room, body)
    assert room.verify(headers, body, SECRET, URL, NOW)
    reading = room.read(headers, body)
    assert reading.quarantined
    assert reading.reason
    assert not reading.events
    assert len(room.fingerprint(headers, body)) == 64
    assert room.delivery_id({}, body).startswith("sha256:")


POISON = [
    b'"x":NaN',
    b'"x":-Infinity',
    b'"x":1e999',
    b'"x":"\\u0000"',
    b'"\\u0000":1',
    b'"\\ud800":1',
    b'"x":["\\udc00"]',
]
POISON += [b'"x":' + b"[" * 64 + b"]" * 64, b'"x":' + b"9" * 5000]
HARMLESS = [b'"x":' + b"9" * 300, b'"x":"\\ud83d\\ude00"', b'"x":"\\n"', b'"x":' + b"[" * 60 + b"]" * 60]


def test_one_poisoned_key_quarantines_a_whole_fact_and_an_odd_one_does_not(tool: str, room: Room) -> None:
    body = a_fact(tool)
    for poison in POISON:
        assert room.read({}, b"{" + poison + b"," + body[1:]).quarantined, poison[:20]
    for odd in HARMLESS:
        reading = room.read({}, b"{" + odd + b"," + body[1:])
        assert reading.events or reading.reread, odd[:20]


def spoiled(value: object, path: tuple[object, ...], new: object) -> object:
    if not path:
        return new
    if isinstance(value, dict):
        return {**value, path[0]: spoiled(value[path[0]], path[1:], new)}
    assert isinstance(value, list)
    return [spoiled(v, path[1:], new) if i == path[0] else v for i, v in enumerate(value)]


def leaves(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place in a body, the body itself included."""
    inner: list[tuple[object, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path] + [place for key, part in inner for place in leaves(part, (*path, key))]


def survives(room: Room, headers: Mapping[str, str], body: bytes) -> Reading:
    """Whatever the bytes, the room answers; its answers can be kept in a database."""
    reading = room.read(headers, body)
    kept = [room.delivery_id(headers, body), room.fingerprint(headers, body), reading.reason, reading.action]
    for event in reading.events:
        kept += [event.source_id, event.member, event.board, event.workspace, event.owner, event.name]
        assert 2000 <= event.at.year < 2200
    for text in kept:
        assert text is None or (len(text) < 1000 and "\0" not in text and text.encode("utf-8") is not None)
    room.verify(headers, body, SECRET, URL, NOW)
    room.greet("POST", headers, body)
    assert not (reading.events and reading.quarantined)
    return reading


WRONG: list[object] = [
    None, True, 0, -1, 1.5, 10**30, "", "x" * 256, "a\0b", "\udc00", "a\nb", [], {}, [{}], {"id": 5}, {"id": ["x"]},
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2025-02-30T00:00:00Z", "2025-04-15T09:30:00",
    "2025-04-15", "1999-12-31T23:59:59Z", "٢٠٢٥-04-15T09:30:00Z", "2025-W16-2T09:30:00Z",
]  # fmt: skip


@pytest.mark.parametrize(("tool", "fact"), FIXTURES)
def test_any_part_of_a_body_may_be_wrong_and_nothing_is_raised(tool: str, fact: str) -> None:
    room, body = load(tool), fixture(tool, fact)["body"]
    for place in leaves(body):
        for wrong in WRONG:
            spoilt = json.dumps(spoiled(body, place, wrong)).encode()
            reading = survives(room, {}, spoilt)
            if wrong in ("a\0b", "\udc00"):
                assert reading.quarantined


def test_an_id_that_is_no_short_string_is_quarantined_and_named(tool: str, room: Room) -> None:
    ids = {"member", "board", "workspace", "owner"}
    for _, fact in (f for f in FIXTURES if f[0] == tool):
        given_ = fixture(tool, fact)
        used = {e[k] for e in given_["expected"] for k in ids & e.keys()}
        for place in leaves(given_["body"]):
            value: Any = given_["body"]
            for key in place:
                value = value[key]
            if not (isinstance(value, str) and value in used) or {"display", "memberCreator", "also"} & set(place):
                continue
            for wrong in (12345, "x" * 256, ["x"], "a\nb"):
                body = raw(spoiled(given_["body"], place, wrong))
                reading = room.read(signed(room, body), body)
                if reading.quarantined:
                    assert str(place[-1]) in str(reading.reason)
                else:
                    assert str(wrong) not in str(reading.events)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
HEADERS = st.dictionaries(
    st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x-trello-webhook", "content-type"]),
    st.text(max_size=40) | st.sampled_from(["1744709400", "v1,AAAA", "v1", "v1a,AAAA v1,", ",", "1e3", "1744709400.5"]),
)


@pytest.mark.parametrize("name", names())
@given(body=st.binary(max_size=200), headers=HEADERS)
@settings(max_examples=150, deadline=None)
def test_random_bytes_raise_nothing(name: str, body: bytes, headers: dict[str, str]) -> None:
    survives(load(name), headers, body)
    assert not load(name).SIGNED or not load(name).verify(headers, body, SECRET, URL, NOW)


@pytest.mark.parametrize("name", names())
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_random_json_in_the_shape_of_a_fact_raises_nothing(name: str, data: st.DataObject) -> None:
    facts = [f for f in FIXTURES if f[0] == name]
    body = fixture(*data.draw(st.sampled_from(facts)))["body"]
    for _ in range(data.draw(st.integers(1, 3))):
        body = spoiled(body, data.draw(st.sampled_from(leaves(body))), data.draw(JSON))
    survives(load(name), data.draw(HEADERS), json.dumps(body).encode())
