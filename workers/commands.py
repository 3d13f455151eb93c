"""Commands: judged once, at the workspace's now, against the facts then known; the verdict is stored, refusals too
(law 5). An accepted command is a fact.
"""

import json
from collections.abc import Mapping
from typing import Any

from billing.core.errors import ConflictError, RefusedError
from billing.core.facts import fact_id
from billing.store import charges, subscriptions, workspaces
from billing.store.db import Conn, Row, one
from billing.store.ids import new_id
from billing.store.ledger import Book
from workers import quotes
from workers.settle import settle_fully, stricter
from workers.starting import Start, plan_start


def start(
    connection: Conn, collect: str, workspace_id: str, body: Mapping[str, Any], actor: Mapping[str, Any]
) -> dict[str, Any]:
    """Start a subscription at the workspace's now; settles it in the caller's transaction and answers its row.

    Raises NotFoundError; ConflictError when one runs already or the quote no longer holds; InvalidError for a plan or
    an `opening` that cannot be; RefusedError (TR-20, XX-05) when the actor may not act: the caller then stores the
    verdict with `refused`, in a transaction of its own, because this one is rolled back.
    """
    settle_fully(connection, workspace_id, collect)
    workspace = workspaces.locked(connection, workspace_id)
    _may_act(connection, workspace_id, actor)
    if body.get("quote_id"):
        quotes.must_hold(connection, workspace, str(body["quote_id"]), body)
    if subscriptions.running(connection, workspace_id):
        raise ConflictError("the workspace has a subscription already")
    command = new_id("cm")
    planned = plan_start(connection, workspace, body, fact_id(workspace["account_id"], "command", command, 0))
    _file(connection, workspace, command, planned, body)
    _record(connection, workspace, "subscription.started", body, actor, command, planned.subscription.fact_id)
    subscriptions.insert(connection, workspace_id, planned.subscription, planned.terms)
    subscriptions.pin(connection, workspace_id, planned.subscription, 0, planned.terms)
    settle_fully(connection, workspace_id, collect, hear=False)
    return {"subscription": planned.subscription, "terms": planned.terms}


def refused(
    connection: Conn, workspace_id: str, body: Mapping[str, Any], actor: Mapping[str, Any], refusal: RefusedError
) -> None:
    """Store the verdict of a refused start: it changed nothing, and it is audited (law 5, XX-05)."""
    workspace = workspaces.get(connection, workspace_id)
    _record(connection, workspace, "subscription.started", body, actor, refusal=refusal)


def _may_act(connection: Conn, workspace_id: str, actor: Mapping[str, Any]) -> None:
    """Only a workspace administrator; where the roster knows another role of the actor, the roster's counts."""
    known = one(
        connection,
        "SELECT role FROM member WHERE workspace_id = %s AND member = %s AND role IS NOT NULL",
        (workspace_id, actor["id"]),
    )
    role = known["role"] if known else actor["role"]
    if role != "admin":
        raise RefusedError("TR-20", f"only a workspace administrator may do this; {actor['id']} is {role}")


def _file(connection: Conn, workspace: Row, command: str, planned: Start, body: Mapping[str, Any]) -> None:
    """The accepted command as a fact, at its own instant; it moves nobody, so it is settled as it is filed."""
    connection.execute(
        """INSERT INTO fact (workspace_id, id, kind, at, heard_at, source, source_id, ordinal, data, settled_at)
           VALUES (%s, %s, 'subscription.started', %s, %s, 'command', %s, 0, %s, now())""",
        (
            workspace["id"],
            planned.subscription.fact_id,
            workspace["now"],
            workspace["now"],
            command,
            json.dumps({"plan": planned.terms.plan, "interval": planned.terms.interval, "body": body}, default=str),
        ),
    )


def _record(
    connection: Conn,
    workspace: Row,
    kind: str,
    body: Mapping[str, Any],
    actor: Mapping[str, Any],
    command: str | None = None,
    fact: str | None = None,
    refusal: RefusedError | None = None,
) -> None:
    """Store the verdict with the fact sequence the judge saw (law 5)."""
    connection.execute(
        """INSERT INTO command (id, workspace_id, kind, actor, body, verdict, rule, detail, seq, at, fact_id)
           SELECT %s, %s, %s, %s, %s, %s, %s, %s, COALESCE(max(seq), 0), %s, %s FROM fact WHERE workspace_id = %s""",
        (
            command or new_id("cm"),
            workspace["id"],
            kind,
            json.dumps(dict(actor), default=str),
            json.dumps(dict(body), default=str),
            "refused" if refusal else "accepted",
            refusal.rule if refusal else None,
            str(refusal) if refusal else None,
            workspace["now"],
            fact,
            workspace["id"],
        ),
    )


def set_collect(connection: Conn, workspace_id: str, collect: str, service: str = "live") -> bool:
    """Change a workspace's collect mode; answers whether charges were queued by it. `service` is the service's own.

    Going live sends what `paused` held, and never what shadow computed: those charges are cancelled, their amounts
    written off. Any other mode holds what was not sent yet. The stricter of the two modes counts.
    """
    workspace = workspaces.locked(connection, workspace_id)
    connection.execute("UPDATE workspace SET collect = %s WHERE id = %s", (collect, workspace_id))
    if stricter(service, collect) != "live":
        charges.hold(connection, workspace_id)
        return False
    book = Book.of(workspace, workspace["now"])
    charges.forgo(connection, book, "shadow")
    book.flush(connection)
    workspaces.rechain(connection, workspace_id, book.chain, workspace["credit"])
    return charges.release(connection, workspace_id, ["paused"]) > 0
