"""Every command a workspace was given, with its verdict: accepted, or refused by which rule (law 5); and every call
that wrote, or was refused, with the key it came by."""

from typing import Any

from marshmallow import Schema, fields

from billing.store import audit, views
from service.api import auth, here, paging
from service.api.fields import Instant, page_of
from service.api.resource import Resource

AUDIT = Resource("audit", "Who commanded what, and what became of it.")


class Verdict(Schema):
    """One command: who gave it, what it carried, and the verdict; `seq` is the last fact the judge saw.

    `actor` holds, beside what the caller stated, the key and the request that it came by.
    """

    id = fields.String(required=True)
    command = fields.String(required=True)
    actor = fields.Dict(required=True)
    body = fields.Dict(required=True)
    verdict = fields.String(required=True, metadata={"enum": ["accepted", "refused"]})
    rule = fields.String(required=True, allow_none=True)
    detail = fields.String(required=True, allow_none=True)
    seq = fields.Integer(required=True)
    at = Instant(required=True)
    fact_id = fields.String(required=True, allow_none=True)


@AUDIT.get("/workspaces/<workspace_id>/commands", page_of(Verdict), paging.Query)
def get_commands(query: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """The commands of a workspace, the newest last; refusals too."""
    views.require(here.connection(), here.scope(), workspace_id)
    (after,) = paging.after(query, "commands", str) or (None,)
    found = views.commands(here.connection(), workspace_id, after, query["limit"] + 1)
    return paging.page(found, query, "commands", paging.by_id)


class CallQuery(paging.AccountQuery):
    """Which calls."""

    workspace_id = fields.String(metadata={"description": "Only those for this workspace."})


class Call(Schema):
    """One call that wrote or was refused; `status` is what it was answered, `rule` the rule that refused it.

    `key_id` null: no known key, told to the admin only. `times`: refusals in swarms are counted.
    """

    id = fields.String(required=True)
    at = Instant(required=True)
    request_id = fields.String(required=True)
    key_id = fields.String(required=True, allow_none=True)
    account_id = fields.String(required=True, allow_none=True)
    workspace_id = fields.String(required=True, allow_none=True)
    method = fields.String(required=True)
    route = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True, allow_none=True)
    rule = fields.String(required=True, allow_none=True)
    times = fields.Integer(required=True)


@AUDIT.get("/audit", page_of(Call), CallQuery)
def get_audit(query: dict[str, Any]) -> dict[str, Any]:
    """Every call that wrote, and every refusal, the newest last."""
    account, workspace = auth.account_filter(query), query.get("workspace_id")
    (after,) = paging.after(query, "audit", str) or (None,)
    found = audit.page(here.connection(), account, workspace, after, query["limit"] + 1)
    return paging.page(found, query, "audit", paging.by_id)
