"""What comparisons with a tool's full lists found that no webhook had told."""

from typing import Any

from marshmallow import Schema, fields

from billing.store import views
from billing.store.db import many
from service.api import here, paging
from service.api.fields import Instant, page_of
from service.api.resource import Resource

DRIFT = Resource("drift", "What webhooks lost, and what they never tell.")


class Between(Schema):
    """What was observed happened after `from` and not after `to`."""

    from_ = Instant(required=True, data_key="from", attribute="from")
    to = Instant(required=True)


class Difference(Schema):
    """One proposed fact. `observed` null: it has its own time, the one its webhook would have told."""

    kind = fields.String(required=True)
    member = fields.String(required=True, allow_none=True)
    board = fields.String(required=True, allow_none=True)
    at = Instant(required=True)
    observed = fields.Nested(Between, required=True, allow_none=True)
    why = fields.String(required=True, metadata={"enum": ["webhook_missed", "webhook_failed", "out_of_scope"]})
    detail = fields.String(required=True)
    fact_id = fields.String(required=True)


class Drift(Schema):
    """One comparison that found a difference, or failed (`fault`: nothing was filed).

    `largest_hidden` is the most by which money billed for observed facts can be wrong: minor units before tax; null
    when it could not be computed.
    """

    id = fields.String(required=True)
    at = Instant(required=True)
    since = Instant(required=True, allow_none=True)
    fault = fields.String(required=True, allow_none=True)
    facts = fields.Integer(required=True)
    differences = fields.List(fields.Nested(Difference), required=True)
    largest_hidden = fields.Integer(required=True, allow_none=True)
    currency = fields.String(required=True, allow_none=True)


@DRIFT.get("/workspaces/<workspace_id>/drift", page_of(Drift), paging.Query)
def get_drift(query: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """The drift of a workspace from its tool's lists, the newest first."""
    views.require(here.connection(), here.scope(), workspace_id)
    (after,) = paging.after(query, "drift", str) or (None,)
    found = many(
        here.connection(),
        """SELECT * FROM drift WHERE workspace_id = %s AND (%s::text IS NULL OR id < %s) ORDER BY id DESC LIMIT %s""",
        (workspace_id, after, after, query["limit"] + 1),
    )
    return paging.page(found, query, "drift", paging.by_id)
