"""Refunds of a workspace: what was given back by a rule, and how far each has come."""

from typing import Any

from marshmallow import Schema, fields

from billing.store import refunds, views
from service.api import here, paging
from service.api.fields import Instant, page_of
from service.api.resource import Resource

REFUNDS = Resource("refunds", "Money given back by a rule that says so (TR-26).")


class Refund(Schema):
    """One request to give money of a charge back; `reason` is the rule, `amount` in minor units."""

    id = fields.String(required=True)
    charge_id = fields.String(required=True)
    status = fields.String(
        required=True,
        metadata={"enum": ["queued", "held", "sending", "pending", "succeeded", "failed", "unknown"]},
    )
    currency = fields.String(required=True)
    amount = fields.Integer(required=True)
    reason = fields.String(required=True)
    reference = fields.String(required=True, allow_none=True)
    created_at = Instant(required=True)


@REFUNDS.get("/workspaces/<workspace_id>/refunds", page_of(Refund), paging.KnownQuery)
def get_refunds(query: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """The refunds of a workspace, the newest last."""
    views.require(here.connection(), here.scope(), workspace_id)
    (after,) = paging.after(query, "refunds", str) or (None,)
    found = refunds.of(here.connection(), workspace_id, query.get("as_known_at"), after, query["limit"] + 1)
    return paging.page(found, query, "refunds", paging.by_id)
