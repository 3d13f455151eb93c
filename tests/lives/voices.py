"""How tools tell of it: each happening as a delivery of the tool's room, in the tool's own words."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from billing.core import calendar
from billing.store import catalogue
from billing.store.db import Conn
from billing.store.ids import new_id
from billing.store.inbox import Delivery
from billing.store.planfile import ONCE
from billing.tools import room as rooms
from billing.tools.room import Event
from tests.flows import tool as trello
from tests.lives.happenings import Happening

Body = dict[str, Any]
Shape = Literal["trello", "chatwork", "backlog"]

#: The plans of each shape, the free one first.
PLANS: Mapping[Shape, Sequence[str]] = {
    "trello": ("trello-free", "trello-standard", "trello-premium", "trello-enterprise"),
    "chatwork": ("chatwork-free", "chatwork-business", "chatwork-enterprise"),
    "backlog": ("backlog-free", "backlog-starter", "backlog-standard", "backlog-premium", "backlog-platinum"),
}
ROLES: Mapping[Shape, str] = {"trello": "admin", "chatwork": "administrator", "backlog": "contract_admin"}
#: By which rooms a shape is told of: Chatwork's webhooks and Backlog's tell little of people, so a tool of the
#: customer's own tells it under the same plans.
TOOLS: Mapping[Shape, Sequence[str]] = {
    "trello": ("trello",),
    "chatwork": ("standard", "standard", "chatwork"),
    "backlog": ("standard", "backlog"),
}


def price_the_option(connection: Conn) -> None:
    """The catalogue as shipped, with a price for the option that has none (BL-28)."""
    plans = catalogue.shipped()
    for plan in plans:
        if plan["plan"] == "option:custom-checklist":
            plan["prices"] = [{**price, "interval": ONCE, "unit_amount": 50_003} for price in plan["prices"]]
    catalogue.load(connection, plans)


@dataclass(frozen=True, slots=True)
class Message:
    """One request of a tool, as it may come any number of times."""

    tool: str
    headers: Mapping[str, str]
    body: bytes

    def delivery(self, connection_id: str) -> Delivery:
        """As the receiver keeps it."""
        room = rooms.load(self.tool)
        return Delivery(
            id=new_id("dl"),
            connection_id=connection_id,
            delivery_id=room.delivery_id(self.headers, self.body),
            fingerprint=room.fingerprint(self.headers, self.body),
            sha256=hashlib.sha256(self.body).hexdigest(),
            headers=json.dumps(dict(self.headers)),
            body=self.body,
        )

    def events(self) -> tuple[Event, ...]:
        """What its room reads in it."""
        return rooms.load(self.tool).read(self.headers, self.body).events


def external(tool: str, home: str) -> str:
    """The tool's own id of a workspace."""
    return trello.ident(home) if tool == "trello" else home


def message(tool: str, told: Happening) -> Message:
    """A happening in the words of a tool."""
    body, headers = _VOICES[tool](told)
    return Message(tool, headers, json.dumps(body).encode())


def wrapped_anew(told: Happening, random: Random) -> Happening:
    """The same happening as another webhook heard it: a board may show another owner by then."""
    return replace(told, owner=random.choice(["w1", "w2", None])) if told.board and told.owner else told


_TRELLO = {
    "member.joined": "addMemberToOrganization",
    "member.left": "removeMemberFromOrganization",
    "member.deactivated": "deactivatedMemberInOrganization",
    "member.reactivated": "reactivatedMemberInOrganization",
    "board.member_added": "addMemberToBoard",
    "board.member_removed": "removeMemberFromBoard",
    "board.closed": "updateBoard",
    "board.reopened": "updateBoard",
    "board.attached": "addToOrganizationBoard",
    "board.detached": "removeFromOrganizationBoard",
}


def _of_trello(told: Happening) -> tuple[Body, dict[str, str]]:
    action, name = f"action {told.number}", _TRELLO[told.kind]
    if told.board is None:
        return trello.in_workspace(name, told.home, told.member or "", told.at, action), {}
    moved = told.kind in ("board.attached", "board.detached")
    body = trello.on_board(
        name,
        told.board,
        told.at,
        action,
        owner=told.owner,
        member=told.member or "",
        workspace=told.home if moved else "",
    )
    data = body["action"]["data"]
    if name == "updateBoard":
        data["board"]["closed"], data["old"] = told.kind == "board.closed", {"closed": told.kind != "board.closed"}
    if name == "removeMemberFromBoard":
        data["idMember"] = data.pop("idMemberAdded")
    return body, {}


def _of_standard(told: Happening) -> tuple[Body, dict[str, str]]:
    data: Body = {"workspace": told.home}
    data |= {"member": {"id": told.member, "name": told.member.upper()}} if told.member else {}
    data |= {"board": told.board} if told.board else {}
    body = {"type": told.kind, "timestamp": calendar.written(told.at), "data": data}
    return body, {"webhook-id": f"msg_{told.number}"}


def _of_backlog(told: Happening) -> tuple[Body, dict[str, str]]:
    """Only memberships of projects are told; anything else is a hint at most."""
    kind = {"board.member_added": 15, "board.member_removed": 16}.get(told.kind, 25)
    board = 200 + int((told.board or "b0")[1:])
    users = [{"id": 700 + int(told.member[1:]), "name": told.member}] if told.member else []
    body = {
        "id": 5000 + told.number,
        "type": kind,
        "created": calendar.written(told.at.replace(microsecond=0)),
        "project": {"id": board, "projectKey": f"P{board}", "name": "Ume", "archived": False},
        "content": {"users": users} if kind != 25 else {"parties": [{"id": 1, "name": "Sumire"}]},
        "createdUser": {"id": 700, "name": "p0"},
        "notifications": [],
    }
    return body, {}


def _of_chatwork(told: Happening) -> tuple[Body, dict[str, str]]:
    """A system message: never more than a hint."""
    sent = int(told.at.timestamp())
    event = {
        "message_id": f"19900{told.number:010d}",
        "room_id": 412300,
        "account_id": 90210,
        "body": "[info][dtext:chatroom_member_is][piconname:90212][dtext:chatroom_added][/info]",
        "send_time": sent,
        "update_time": 0,
    }
    body = {
        "webhook_setting_id": "7301",
        "webhook_event_type": "message_created",
        "webhook_event_time": sent,
        "webhook_event": event,
    }
    return body, {}


_VOICES = {"trello": _of_trello, "standard": _of_standard, "backlog": _of_backlog, "chatwork": _of_chatwork}
