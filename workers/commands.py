"""Commands: judged once, at the workspace's now, against the facts then known; the verdict is stored, refusals too
(law 5). An accepted command is a fact.
"""

import json
from collections.abc import Mapping
from typing import Any

from billing.core import commands
from billing.core.commands import Verdict
from billing.core.course import Course
from billing.core.errors import RefusedError
from billing.core.facts import Fact, fact_id
from billing.store import charges, subscriptions, workspaces
from billing.store.db import Conn, Row
from billing.store.ids import new_id
from billing.store.ledger import Book
from workers import documents, judging, quotes
from workers.settle import PATIENT_STEPS, settle_fully, stricter

Body = Mapping[str, Any]


def give(
    connection: Conn, collect: str, workspace_id: str, command: str, body: Body, actor: Mapping[str, Any]
) -> dict[str, Any]:
    """Give a command at the workspace's now; settles it in the caller's transaction and answers what it made.

    Raises NotFoundError; ConflictError when the state does not allow it or the quote no longer holds; InvalidError for
    values that cannot be; RefusedError when a rule forbids it: the caller then stores the verdict with `refused`, in a
    transaction of its own, because this one is rolled back.
    """
    settle_fully(connection, workspace_id, collect, most=PATIENT_STEPS)
    documents.issue_due(connection, workspace_id)  # of what was before: a paper must not tell two things at once
    workspace = workspaces.locked(connection, workspace_id)
    case = judging.case_of(connection, workspace, command, body, actor)
    verdict = commands.judge(command, body, case)
    if body.get("quote_id"):
        quotes.must_hold(connection, workspace, str(body["quote_id"]), command, verdict, collect)
    name = new_id("cm")
    fact = fact_of(workspace, case.course, verdict, name)
    subscriptions.file(connection, workspace, fact)
    if fact.kind == "period.rerated":
        subscriptions.repin(connection, workspace_id, fact.data)
    _record(connection, workspace, command, body, actor, name, fact.id)
    settle_fully(connection, workspace_id, collect, hear=False)
    after = workspaces.locked(connection, workspace_id)
    return {
        "id": name,
        "fact": fact,
        "workspace": after,
        "course": subscriptions.course(connection, after),
        "warnings": list(verdict.warnings),
    }


def refused(
    connection: Conn, workspace_id: str, command: str, body: Body, actor: Mapping[str, Any], refusal: RefusedError
) -> None:
    """Store the verdict of a refused command: it changed nothing, and it is audited (law 5, XX-05)."""
    workspace = workspaces.get(connection, workspace_id)
    _record(connection, workspace, command, body, actor, refusal=refusal)


def fact_of(workspace: Row, course: Course, verdict: Verdict, name: str) -> Fact:
    """The fact an accepted command becomes, at the workspace's now."""
    return Fact(
        id=fact_id(workspace["account_id"], "command", name, 0),
        kind=verdict.kind,
        at=workspace["now"],
        heard_at=workspace["now"],
        source="command",
        source_id=name,
        seq=course.seq + 1,
        data=verdict.data,
    )


def _record(
    connection: Conn,
    workspace: Row,
    kind: str,
    body: Body,
    actor: Mapping[str, Any],
    command: str | None = None,
    fact: str | None = None,
    refusal: RefusedError | None = None,
) -> None:
    """Store the verdict with the fact sequence the judge saw (law 5)."""
    connection.execute(
        """INSERT INTO command (id, workspace_id, kind, actor, body, verdict, rule, detail, seq, at, fact_id)
           SELECT %s, %s, %s, %s, %s, %s, %s, %s, COALESCE(max(seq), 0), %s, %s FROM fact
           WHERE workspace_id = %s AND id IS DISTINCT FROM %s""",
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
            fact,
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
    book.rechain(workspace["credit"])
    book.flush(connection)
    return charges.release(connection, workspace_id, ["paused"]) > 0
