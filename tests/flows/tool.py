"""Trello as far as the flows need it: ids, and webhook bodies in the shape it sends, about invented people."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing.core import calendar

Body = dict[str, Any]


def ident(name: str) -> str:
    """An id as Trello makes them, always the same for a name."""
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def at(text: str) -> datetime:
    """An instant from `2025-01-15` or `2025-01-15T09:00:00`, UTC."""
    return calendar.read(f"{text}T00:00:00Z" if len(text) == 10 else f"{text}Z")


def raw(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _person(name: str) -> Body:
    return {"id": ident(name), "fullName": name.title(), "initials": name[:1].upper(), "username": f"{name}_demo"}


def _action(kind: str, action: str, when: datetime, data: Body, member: str | None) -> Body:
    told = {"id": ident(action), "idMemberCreator": ident("aoi"), "type": kind, "date": calendar.written(when)}
    about = {"member": _person(member)} if member else {}
    return told | {"data": data, "memberCreator": _person("aoi")} | about


def in_workspace(kind: str, workspace: str, member: str, when: datetime, action: str) -> Body:
    """Somebody joined, left or was deactivated, as the webhook on the workspace hears it."""
    whom = {"idMemberAdded": ident(member)} if kind.startswith("add") else {"idMember": ident(member)}
    data = {"organization": {"id": ident(workspace), "name": workspace}, **whom}
    model = {"id": ident(workspace), "name": workspace, "displayName": workspace.title(), "desc": ""}
    return {"model": model, "action": _action(kind, action, when, data, member), "webhook": _webhook(workspace)}


def on_board(
    kind: str, board: str, when: datetime, action: str, *, owner: str | None, member: str = "", workspace: str = ""
) -> Body:
    """What the webhook on a board hears; `owner` is the workspace that the board shows as its own by then."""
    data: Body = {"board": {"id": ident(board), "name": board, "shortLink": board[:8]}}
    data |= {"organization": {"id": ident(workspace), "name": workspace}} if workspace else {}
    data |= {"idMemberAdded": ident(member)} if member else {}
    model = {"id": ident(board), "name": board, "closed": False, "idOrganization": ident(owner) if owner else None}
    return {"model": model, "action": _action(kind, action, when, data, member), "webhook": _webhook(board)}


def _webhook(watched: str) -> Body:
    return {"id": ident(f"hook {watched}"), "idModel": ident(watched), "active": True, "consecutiveFailures": 0}
