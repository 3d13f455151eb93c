"""What a Chatwork webhook can hint at: it has only messages to tell of (formats.md section 2).

The tags are undocumented: bots match them, and Chatwork's own client names them. They are text that anybody may write.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from marshmallow import fields, validate

from billing.tools.chatwork.door import UPDATED
from billing.tools.parsing import Ident, MalformedError, Shape, check, parse
from billing.tools.room import Reading

#: What system messages say of the people of a room; the last is the tag that names somebody, whatever happened.
_CHANGES: Mapping[str, str] = {
    "[dtext:chatroom_added]": "somebody was added to",
    "[dtext:chatroom_deleted]": "somebody was removed from",
    "[dtext:chatroom_leaved]": "somebody left",
    "[dtext:chatroom_chat_joined]": "somebody joined by link",
    "[dtext:chatroom_groupchat_created]": "somebody made",
    "[dtext:chatroom_resigned_priv_change": "somebody gave up Chatwork in",
    "[dtext:chatroom_priv_changed]": "somebody's role changed in",
    "[dtext:chatroom_member_is]": "something changed for somebody in",
}
#: A direct chat begins with this; it is looked for first, because a contact is no user (CW-29).
_CONTACT = "[dtext:chatroom_contact_added]"


class _Head(Shape):
    setting = Ident(required=True, data_key="webhook_setting_id")
    type = Ident(required=True, data_key="webhook_event_type")


class _Event(Shape):
    message = Ident(required=True, data_key="message_id")
    room = fields.Integer(required=True, strict=True, data_key="room_id", validate=validate.Range(1, 2**63 - 1))
    text = fields.String(required=True, data_key="body")


class _Body(Shape):
    event = fields.Nested(_Event, required=True, data_key="webhook_event")


_HEAD, _BODY = _Head(), _Body()


def read(headers: Mapping[str, str], body: bytes) -> Reading:
    """Never an event: at most a hint to read again. Never raises; what is genuine but unreadable is quarantined."""
    parsed = parse(body)
    if parsed.fault:
        return Reading(quarantined=True, reason=parsed.fault)
    word = ""
    try:
        word = str(check(_HEAD, parsed.value)["type"])
        reader = _READERS.get(word)
        if reader is None:
            return Reading(action=word, known=False, reason=f"the event {word} is unknown")
        event = check(_BODY, parsed.value)["event"]
        return replace(reader(event["text"], event["room"]), action=word)
    except MalformedError as error:
        return Reading(quarantined=True, reason=str(error), action=word)


def _created(text: str, room: int) -> Reading:
    if _CONTACT in text:
        return Reading(reason="a contact is an entry of an address book and no user (CW-29)")
    said = next((words for tag, words in _CHANGES.items() if tag in text), None)
    if said is None:
        return Reading(reason="the message is not about members")
    told = f"a system message says that {said} room {room}; anybody can type one, so it is only a hint"
    return Reading(reread=True, reason=told)


def _edited(text: str, room: int) -> Reading:
    return Reading(reason="an edited message: changes of members are told by new ones")


def _mention(text: str, room: int) -> Reading:
    return Reading(reason="a mention is not about members")


_READERS: Mapping[str, Callable[[str, int], Reading]] = {
    "message_created": _created,
    UPDATED: _edited,
    "mention_to_me": _mention,
}
