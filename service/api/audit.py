"""Every command a workspace was given, with its verdict: accepted, or refused by which rule (law 5)."""

from typing import Any

from marshmallow import Schema, fields

from billing.store import views
from service.api import here, paging
from service.api.fields import Instant, page_of
from service.api.resource import Resource

AUDIT = Resource("audit", "Who commanded what, and what became of it.")


class Verdict(Schema):
    """One command: who gave it, what it carried, and the verdict; `seq` is the last fact the judge saw."""

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
