"""Deliveries: what tools sent, what became of it, and reading one again."""

from functools import partial
from typing import Any

from marshmallow import Schema, fields

from billing.store import deliveries
from service.api import here, paging
from service.api.fields import Instant, page_of
from service.api.resource import Resource

DELIVERIES = Resource("deliveries", "The inbox: every genuine webhook, kept raw.")


class DeliveryQuery(paging.Query):
    """Which deliveries."""

    connection_id = fields.String(metadata={"description": "Only those of this connection."})


class Delivery(Schema):
    """One request of a tool. `facts` are the ids of what it said."""

    id = fields.String(required=True)
    connection_id = fields.String(required=True)
    delivery_id = fields.String(required=True)
    state = fields.String(required=True, metadata={"enum": ["kept", "done", "ignored", "parked", "quarantined"]})
    reason = fields.String(required=True, allow_none=True)
    action = fields.String(required=True, allow_none=True)
    received_at = Instant(required=True)
    sha256 = fields.String(required=True)
    facts = fields.List(fields.String(), required=True)


@DELIVERIES.get("/deliveries", page_of(Delivery), DeliveryQuery)
def list_deliveries(query: dict[str, Any]) -> dict[str, Any]:
    """List deliveries, the newest last."""
    (after,) = paging.after(query, "deliveries", str) or (None,)
    asked = query.get("connection_id")
    found = deliveries.page(here.connection(), here.scope(), asked, after, query["limit"] + 1)
    return paging.page(found, query, "deliveries", paging.by_id)


@DELIVERIES.post("/deliveries/<delivery_id>/replay", Delivery, status=202)
def replay_delivery(delivery_id: str) -> dict[str, Any]:
    """Read a delivery again; facts already known stay single."""
    row = deliveries.replay(here.connection(), here.scope(), delivery_id)
    here.afterwards(partial(here.house().bell.read, row["connection_id"]))
    return row
