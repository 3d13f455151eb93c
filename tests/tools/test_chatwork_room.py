"""Chatwork's own samples and vectors, as they are published, and what its messages may hint at."""

import base64
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from billing.core.errors import InvalidError
from billing.tools import chatwork, parsing

SHARED = Path(__file__).parents[3] / "shared"
SAMPLES = SHARED / "payloads" / "chatwork"
VECTORS = SHARED / "signature-vectors.json"
needs_shared = pytest.mark.skipif(
    not SAMPLES.is_dir() or not VECTORS.is_file(), reason="no ../shared beside the work tree"
)

NOW = datetime(2025, 4, 15, 9, 30, tzinfo=UTC)
TOKEN, URL = base64.b64encode(b"a webhook token of 32 bytes, yes").decode(), "https://sekisu.example/w/1"
HEADER = "x-chatworkwebhooksignature"


def message(text: str, word: str = "message_created", **event: Any) -> bytes:
    whole = {"message_id": "1990000000000000001", "room_id": 412300, "account_id": 90210, "body": text}
    told = {**whole, "send_time": 1744709400, "update_time": 0, **event}
    envelope = {"webhook_setting_id": "7301", "webhook_event_type": word, "webhook_event_time": 1744709400}
    return json.dumps({**envelope, "webhook_event": told}, ensure_ascii=False).encode()


@needs_shared
def test_the_vectors_marked_verified_are_honoured_and_a_changed_byte_is_not() -> None:
    vectors = [v for v in json.loads(VECTORS.read_text("utf-8")) if v["scheme"] == "chatwork"]
    assert vectors
    for vector in vectors:
        body = vector["body"].encode()
        headers = {name.lower(): value for name, value in vector["headers"].items()}
        assert chatwork.verify(headers, body, vector["secret"], URL, NOW) is vector["verified"]
        assert chatwork.sign(body, vector["secret"], URL, NOW, "") == {HEADER: vector["computed"]}
        assert not chatwork.verify(headers, body.replace(b"test", b"tast"), vector["secret"], URL, NOW)


@needs_shared
@pytest.mark.parametrize("name", ["message_created.json", "message_updated.json"])
def test_a_published_sample_is_accepted_and_is_not_about_members(name: str) -> None:
    body = (SAMPLES / name).read_bytes()
    headers = chatwork.sign(body, TOKEN, URL, NOW, "")
    assert chatwork.verify(headers, body, TOKEN, URL, NOW)
    reading = chatwork.read(headers, body)
    assert (reading.events, reading.reread, reading.quarantined, reading.known) == ((), False, False, True)
    event = json.loads(body)
    sent = event["webhook_event"]
    composed = (event["webhook_setting_id"], name.removesuffix(".json"), sent["message_id"], str(sent["update_time"]))
    assert chatwork.delivery_id(headers, body) == ":".join(composed)


@needs_shared
def test_every_known_system_message_is_a_hint_and_never_a_fact() -> None:
    known = json.loads((SAMPLES / "system_message_bodies.json").read_text("utf-8"))
    assert len(known) == 5
    for sample in known:
        reading = chatwork.read({}, message(sample["body"]))
        assert reading.reread, sample["meaning"]
        assert reading.events == ()
        assert "room 412300" in str(reading.reason)


def test_the_token_is_decoded_before_it_signs() -> None:
    body = message("x")
    headers = chatwork.sign(body, TOKEN, URL, NOW, "")
    assert chatwork.verify(headers, body, TOKEN, "https://another.example/", NOW)
    raw_key = base64.b64encode(TOKEN.encode()).decode()
    assert not chatwork.verify(headers, body, raw_key, URL, NOW)
    for wrong in ("", "no base64!", TOKEN + "\n", "é"):
        assert not chatwork.verify(headers, body, wrong, URL, NOW)
        with pytest.raises(InvalidError):
            chatwork.sign(body, wrong, URL, NOW, "")


def test_an_empty_key_honours_nothing() -> None:
    nobody = base64.b64encode(hmac.digest(b"", b"{}", "sha256")).decode()
    assert not chatwork.verify({HEADER: nobody}, b"{}", "", URL, NOW)


def test_other_spellings_of_the_same_signature_are_refused() -> None:
    good = chatwork.sign(b"{}", TOKEN, URL, NOW, "")[HEADER]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spellings = [good[:-2] + letter + "=" for letter in alphabet]
    assert [s for s in spellings if chatwork.verify({HEADER: s}, b"{}", TOKEN, URL, NOW)] == [good]
    for other in (f" {good}", good.rstrip("="), good.replace("=", "%3D")):
        assert not chatwork.verify({HEADER: other}, b"{}", TOKEN, URL, NOW)


def test_two_webhooks_two_types_and_two_edits_have_two_ids() -> None:
    bodies = [
        message("x"),
        message("x").replace(b'"7301"', b'"7302"'),
        message("x", "mention_to_me"),
        message("x", message_id="1990000000000000002"),
        message("x", "message_updated", update_time=1744709500),
        message("x", "message_updated", update_time=1744709501),
    ]
    assert len({chatwork.delivery_id({}, body) for body in bodies}) == len(bodies)


@pytest.mark.parametrize("event", [{"message_id": 5}, {"message_id": "x" * 250}, {"update_time": True}])
def test_an_event_that_gives_no_id_goes_by_its_digest(event: dict[str, Any]) -> None:
    body = message("x", **event)
    assert chatwork.delivery_id({}, body) == parsing.fallback_id(body)


def test_two_edits_of_one_second_are_no_impostor_but_two_messages_of_one_id_are() -> None:
    edits = [message(text, "message_updated", update_time=1744709500) for text in ("one", "two")]
    assert len({(chatwork.delivery_id({}, body), chatwork.fingerprint({}, body)) for body in edits}) == 1
    new = [message(text) for text in ("one", "two")]
    assert len({chatwork.delivery_id({}, body) for body in new}) == 1
    assert len({chatwork.fingerprint({}, body) for body in new}) == 2


def test_cw_10_nobody_becomes_a_user_by_what_is_written_in_a_room() -> None:
    tags = ("added", "deleted", "leaved", "chat_joined", "groupchat_created", "member_is", "priv_changed")
    for tag in tags:
        for text in (f"[info][dtext:chatroom_{tag}][/info]", f"typed by hand: [dtext:chatroom_{tag}]"):
            reading = chatwork.read({}, message(text))
            assert reading.events == ()
            assert reading.reread


@pytest.mark.parametrize("word", ["message_updated", "mention_to_me"])
def test_tags_in_an_edited_message_or_a_mention_are_not_even_a_hint(word: str) -> None:
    reading = chatwork.read({}, message("[info][dtext:chatroom_chat_joined][/info]", word))
    assert not reading.reread
    assert reading.reason


def test_cw_29_three_hundred_contacts_are_no_users() -> None:
    texts = ["[info][dtext:chatroom_contact_added][/info]", "[dtext:chatroom_contact_added][dtext:chatroom_added]"]
    for number in range(300):
        body = message(texts[number % 2], message_id=str(number), account_id=1000 + number)
        reading = chatwork.read({}, body)
        assert (reading.events, reading.reread) == ((), False)
    event = {"webhook_setting_id": "7301", "webhook_event_type": "contact_added", "webhook_event": {"account_id": 1}}
    reading = chatwork.read({}, json.dumps(event).encode())
    assert (reading.events, reading.reread, reading.known) == ((), False, False)


@pytest.mark.parametrize(
    ("event", "field"),
    [({"body": 5}, "body"), ({"room_id": "412300"}, "room_id"), ({"message_id": ["x"]}, "message_id")],
)
def test_a_message_of_the_wrong_shape_is_quarantined_and_named(event: dict[str, Any], field: str) -> None:
    reading = chatwork.read({}, message("x", **event))
    assert reading.quarantined
    assert f"webhook_event.{field}" in str(reading.reason)


def test_what_people_write_to_each_other_is_in_no_reason() -> None:
    for text in ("a secret of ours", "[dtext:chatroom_added] a secret of ours"):
        assert "secret" not in str(chatwork.read({}, message(text)).reason)


def test_a_head_says_that_the_address_answers() -> None:
    assert chatwork.greet("HEAD", {}, b"")
    assert not chatwork.greet("GET", {}, b"")
