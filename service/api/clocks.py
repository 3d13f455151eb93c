"""Clocks: time travel for workspaces."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from marshmallow import Schema, fields

from billing.store import clocks
from service.api import auth, here
from service.api.fields import Instant, text
from service.api.resource import Resource

CLOCKS = Resource("clocks", "Test clocks: the time of the workspaces tied to one.")


class NewClock(Schema):
    """Where the clock stands at first."""

    now = Instant(required=True)
    account_id = text(metadata={"description": "Admin keys only."})


class Advance(Schema):
    """Where the clock shall stand; its own now changes nothing, and an earlier instant is 409."""

    to = Instant(required=True)


class Clock(Schema):
    """It is `ready` when everything due at its now has run, in every workspace tied to it."""

    id = fields.String(required=True)
    account_id = fields.String(required=True)
    now = Instant(required=True)
    status = fields.String(required=True, metadata={"enum": ["ready", "advancing"]})


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    ready = clocks.ready(here.connection(), row["id"])
    return {**row, "status": "ready" if ready else "advancing"}


@CLOCKS.post("/clocks", Clock, NewClock)
def make_clock(body: dict[str, Any]) -> dict[str, Any]:
    """Make a clock that stands still."""
    return _shown(clocks.insert(here.connection(), auth.account_for(body), body["now"]))


@CLOCKS.get("/clocks/<clock_id>", Clock)
def get_clock(clock_id: str) -> dict[str, Any]:
    """Where a clock stands, and whether its workspaces have caught up."""
    return _shown(clocks.get(here.connection(), here.scope(), clock_id))


@CLOCKS.post("/clocks/<clock_id>/advance", Clock, Advance, status=202)
def advance_clock(body: dict[str, Any], clock_id: str) -> dict[str, Any]:
    """Advance a clock; what falls due is settled in the order of time. Ask the clock when it is `ready`."""
    row = clocks.advance(here.connection(), here.scope(), clock_id, body["to"])
    for workspace_id in clocks.due(here.connection(), clock_id):
        here.afterwards(partial(here.house().bell.settle, workspace_id))
    return {**row, "status": "advancing"}
