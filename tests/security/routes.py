"""Every route of the door: what it takes, and whom it is for. A route that is missing here fails the matrix."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.security.place import CANARY, SIGNING, actor

WS = "/v1/workspaces/<workspace_id>"
_ADMIN = actor("admin")


@dataclass(frozen=True)
class Route:
    """`body` may name ids of the place as `<charge_id>`. `hostile` is what another account sends in its place.

    `access`: open, signed, key, admin, metrics. `commands`: that scope is enough. `sings`: its owner reads a canary.
    `of_nobody`: the path names nothing of the first account. `bare`: shows nothing that belongs to an account.
    """

    method: str
    rule: str
    body: Any = None
    hostile: Any = None
    access: str = "key"
    commands: bool = False
    sings: bool = False
    bare: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {self.rule}"

    @property
    def named(self) -> bool:
        """Whether the path names something of the first account."""
        return "<" in self.rule

    @property
    def writes(self) -> bool:
        return self.method != "GET"


def filled(value: Any, ids: Mapping[str, str]) -> Any:
    """With the place's ids where they are named."""
    if isinstance(value, dict):
        return {name: filled(inner, ids) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, ids) for inner in value]
    if isinstance(value, str):
        for name, known in ids.items():
            value = value.replace(f"<{name}>", known)
    return value


def _get(rule: str, *, sings: bool = False, **more: Any) -> Route:
    return Route("GET", rule, sings=sings, **more)


def _command(path: str, **more: Any) -> Route:
    return Route("POST", f"{WS}/{path}", {"actor": _ADMIN, **more}, commands=True)


_PLAN = {"plan": "trello-premium", "interval": "year"}
_NEW_WORKSPACE = {"tool": "trello", "external_id": "org-3", "name": "n"}

ROUTES = (
    # Without data, or signed: the only ones that need no key.
    *(_get(rule, access="open") for rule in ("/", "/docs", "/healthz", "/readyz")),
    *(_get(f"/console/{name}", access="open") for name in ("console.css", "console.js", "icon.svg")),
    Route("POST", "/webhooks/<tool>/<connection_id>", {"forged": True}, access="signed"),
    Route("HEAD", "/webhooks/<tool>/<connection_id>", access="greeted"),
    Route("POST", "/callbacks/payments/<gateway>", {"forged": True}, access="signed"),
    _get("/openapi.json", access="described"),
    _get("/metrics", access="metrics"),
    # The admin's.
    _get("/v1/accounts", access="admin", sings=True),
    Route("POST", "/v1/accounts", {"name": "n"}, access="admin"),
    _get("/v1/accounts/<account_id>", access="admin", sings=True),
    Route("PATCH", "/v1/accounts/<account_id>", {"tax_rate": "1/10"}, access="admin"),
    _get("/v1/keys", access="admin"),
    Route("POST", "/v1/keys", {"account_id": "<account_id>"}, access="admin"),
    Route("DELETE", "/v1/keys/<key_id>", access="admin"),
    # An account's own.
    _get("/v1/connections", sings=True),
    Route(
        "POST",
        "/v1/connections",
        {"tool": "trello", "secrets": [SIGNING]},
        {"tool": "trello", "secrets": [SIGNING], "account_id": "<account_id>"},
    ),
    _get("/v1/connections/<connection_id>", sings=True),
    Route("PATCH", "/v1/connections/<connection_id>", {"secrets": [SIGNING, "bWluZSBtaW5lIG1pbmUgbWluZSBtaW5l"]}),
    Route("DELETE", "/v1/connections/<connection_id>"),
    Route(
        "POST", "/v1/clocks", {"now": "2025-01-01T00:00:00Z"}, {"now": "2025-01-01T00:00:00Z", "account_id": "default"}
    ),
    _get("/v1/clocks/<clock_id>"),
    Route("POST", "/v1/clocks/<clock_id>/advance", {"to": "2025-03-01T00:00:00Z"}),
    _get("/v1/workspaces", sings=True),
    Route("POST", "/v1/workspaces", _NEW_WORKSPACE, _NEW_WORKSPACE | {"connection_id": "<connection_id>"}),
    _get(WS, sings=True),
    Route("PATCH", WS, {"name": "renamed"}),
    *(_get(f"{WS}/{part}") for part in ("seats", "entitlements", "statement", "ledger", "documents")),
    *(_get(f"{WS}/{part}", sings=True) for part in ("members", "facts", "charges", "refunds", "drift", "commands")),
    Route("POST", f"{WS}/roster", {"members": [{"id": "mallory", "name": "Mallory"}]}),
    _get("/v1/charges/<charge_id>", sings=True),
    Route("POST", "/v1/charges/<charge_id>/receipt"),
    _get("/v1/ledger/<entry_id>/explanation"),
    _get("/v1/documents/<document_id>.pdf"),
    Route("POST", "/v1/documents/<document_id>/send", {"by": "mail", "to": "mallory@mail.example"}),
    _get("/v1/security-sheets.zip", bare=True),
    _get("/v1/deliveries", sings=True),
    Route("POST", "/v1/deliveries/<delivery_id>/replay"),
    _get("/v1/audit"),
    # Commands, and what they would cost.
    Route("POST", f"{WS}/quotes", {"command": "members", "count": 2}, commands=True),
    Route("POST", f"{WS}/what-if", {"plan": "trello-standard"}, commands=True),
    _command("subscription", **_PLAN, payment_method="card", quote_id="<quote_id>"),
    _command("trial", plan="trello-premium"),
    _command("registration", interval="year"),
    _command("licences", add=1),
    _command("plan-change", plan="trello-standard"),
    _command("interval-change", interval="month"),
    _command("payment-method", payment_method="bank_transfer"),
    _command("options", option="custom-checklist"),
    _command("late-facts", facts=[f"{CANARY}-fact"]),
    _command("rerate", n=0),
    _command("migration", into="org-9"),
    _command("refund"),
    _command("cancellation"),
)

#: Lists that name what they show in the query: another account's id in it, and what that is answered.
QUERIES = (
    ("/v1/workspaces?account_id=<account_id>", 403),
    ("/v1/connections?account_id=<account_id>", 403),
    ("/v1/audit?account_id=<account_id>", 403),
    ("/v1/audit?workspace_id=<workspace_id>", 200),
    ("/v1/deliveries?connection_id=<connection_id>", 200),
)
#: What another account sends with an id of the first in the body, from a workspace of its own, and the answer.
BODIES = (
    ("POST", "/v1/connections", {"tool": "trello", "secrets": [SIGNING], "account_id": "<account_id>"}, 403),
    ("POST", "/v1/clocks", {"now": "2025-01-01T00:00:00Z", "account_id": "<account_id>"}, 403),
    ("POST", "/v1/workspaces", _NEW_WORKSPACE | {"account_id": "<account_id>"}, 403),
    ("POST", "/v1/workspaces", _NEW_WORKSPACE | {"connection_id": "<connection_id>"}, 404),
    ("POST", "/v1/workspaces", _NEW_WORKSPACE | {"clock_id": "<clock_id>"}, 404),
    ("PATCH", "/v1/workspaces/<other_workspace>", {"connection_id": "<connection_id>"}, 404),
    (
        "POST",
        "/v1/workspaces/<other_workspace>/subscription",
        {"actor": actor("admin", "mallory"), **_PLAN, "payment_method": "card", "quote_id": "<quote_id>"},
        404,
    ),
    (
        "POST",
        "/v1/workspaces/<other_workspace>/migration",
        {"actor": actor("admin", "mallory"), "into": "<workspace_id>"},
        404,
    ),
    (
        "POST",
        "/v1/workspaces/<other_workspace>/quotes",
        {"command": "migration", "actor": actor("admin", "mallory"), "into": "<workspace_id>"},
        404,
    ),
)
