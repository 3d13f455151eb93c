"""Refunds: money a rule gives back (TR-26, A-09). Settlement books and queues them; here one sender at a time leases
them, and answers move them forward. One refund is one request to the payment endpoint: one key, one attempt."""

from datetime import datetime

from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id
from billing.store.ledger import Book
from billing.store.outcomes import Answer
from billing.store.workspaces import locked

#: How far a refund has come; an answer never takes it back (law 6), and the last two are final.
RANK = {"queued": 0, "held": 0, "sending": 1, "unknown": 2, "pending": 3, "failed": 4, "succeeded": 4}
FINAL = ("failed", "succeeded")


def hold(connection: Conn, *, live: bool) -> None:
    """Hold due refunds that are not to leave: the service's collect mode (`live`) or their workspace's is not live.

    They keep their `due_at`; `lease` takes them when both are live again.
    """
    connection.execute(
        """UPDATE refund SET status = 'held' WHERE id IN (
               SELECT r.id FROM refund r JOIN workspace w ON w.id = r.workspace_id
               WHERE r.due_at <= clock_timestamp() AND r.status = 'queued' AND (NOT %s OR w.collect <> 'live')
               FOR UPDATE OF r SKIP LOCKED)""",
        (live,),
    )


def lease(connection: Conn, limit: int, seconds: float, *, fresh: bool = True) -> list[Row]:
    """Take due refunds for sending, with `age_s` since the first send: `sending` is committed, with a new fencing
    token, before anything is sent.

    `fresh` False: only those that were sent before. A lease that ran out is taken over with a new token: same key, and
    the same body, because nothing that the body is made of ever changes.
    """
    return many(
        connection,
        """WITH due AS MATERIALIZED (
               SELECT r.id FROM refund r JOIN workspace w ON w.id = r.workspace_id
               WHERE r.due_at <= clock_timestamp()
                 AND (r.status NOT IN ('queued', 'held') OR (%(fresh)s AND w.collect = 'live'))
               ORDER BY r.due_at LIMIT %(limit)s FOR UPDATE OF r SKIP LOCKED)
           UPDATE refund SET status = CASE WHEN status IN ('queued', 'held') THEN 'sending' ELSE status END,
               token = token + 1, tries = tries + 1, leased_until = clock_timestamp() + make_interval(secs => %(s)s),
               due_at = clock_timestamp() + make_interval(secs => %(s)s),
               first_sent_at = COALESCE(first_sent_at, clock_timestamp())
           FROM due WHERE refund.id = due.id
           RETURNING refund.*, extract(epoch FROM clock_timestamp() - first_sent_at)::float8 AS age_s""",
        {"fresh": fresh, "limit": limit, "s": seconds},
    )


def body(refund: Row) -> dict[str, object]:
    """The body of a refund as the payment endpoint gets it; `amount` in minor units."""
    return {name: refund[name] for name in ("id", "charge_id", "currency", "amount", "reason")}


def book(connection: Conn, workspace_id: str, refund_id: str, answer: Answer, token: int | None = None) -> bool:
    """Move the refund forward by one answer and book what follows; False when it says nothing new.

    `token` is the sender's fencing token: an answer under an older one is dropped. Callbacks carry none. A definitive
    failure turns the money into the customer's credit and raises an alarm; so does an answer against a final one, and
    one after which nothing more is tried (alarm only). Locks the workspace first, as settlement does. Raises
    NotFoundError for an unknown workspace.
    """
    workspace = locked(connection, workspace_id)
    query = "SELECT * FROM refund WHERE id = %s AND workspace_id = %s FOR UPDATE"
    refund = one(connection, query, (refund_id, workspace_id))
    if refund is None or (token is not None and refund["token"] != token):
        return False
    if refund["status"] in FINAL:
        _contradicted(connection, refund, answer)
        return False
    moved = RANK[answer.status] > RANK[refund["status"]]
    if moved:
        _move(connection, refund, answer)
    elif token is not None:
        _wait(connection, refund, answer)
    if token is not None and answer.status not in FINAL and answer.retry_in_s is None:
        _alarm(connection, refund, "refund_unanswered", f"refund {refund_id} has no outcome; nothing more is tried")
    if answer.status == "failed":
        _reverse(connection, workspace, refund, answer)
    return moved


def _move(connection: Conn, refund: Row, answer: Answer) -> None:
    connection.execute(
        """UPDATE refund SET status = %(status)s, reference = COALESCE(%(reference)s, reference), detail = %(detail)s,
               leased_until = NULL, due_at = clock_timestamp() + make_interval(secs => %(retry)s::float8)
           WHERE id = %(id)s""",
        {
            "status": answer.status,
            "reference": answer.reference,
            "detail": answer.failure_code or answer.detail,
            "retry": None if answer.status in FINAL else answer.retry_in_s,
            "id": refund["id"],
        },
    )


def _wait(connection: Conn, refund: Row, answer: Answer) -> None:
    """No news: nothing moves, but the next try is due later, or never (None): a person decides."""
    connection.execute(
        """UPDATE refund SET leased_until = NULL, due_at = clock_timestamp() + make_interval(secs => %s::float8)
           WHERE id = %s""",
        (answer.retry_in_s, refund["id"]),
    )


def _reverse(connection: Conn, workspace: Row, refund: Row, answer: Answer) -> None:
    """The money did not leave: it is the customer's credit again."""
    posted = Book.of(workspace, workspace["now"])
    posted.move("refund_reversed", refund["id"], refund["amount"], refund["currency"])
    posted.rechain(workspace["credit"] + refund["amount"])
    posted.flush(connection)
    why = answer.failure_code or answer.detail or "no reason given"
    detail = f"refund {refund['id']} of charge {refund['charge_id']} failed ({why}): the money is the customer's credit"
    _alarm(connection, refund, "refund_failed", detail)


def _contradicted(connection: Conn, refund: Row, answer: Answer) -> None:
    """The first final answer stands; whether money left twice, or never, a person must look up."""
    if answer.status in FINAL and answer.status != refund["status"]:
        detail = f"refund {refund['id']} stands {refund['status']}, and then {answer.status} was said of it"
        _alarm(connection, refund, "refund_contradicted", detail)


def _alarm(connection: Conn, refund: Row, kind: str, detail: str) -> None:
    """Raise an alarm, once for each thing there is to say."""
    connection.execute(
        """INSERT INTO alarm (id, kind, workspace_id, detail)
           SELECT %(id)s, %(kind)s, %(workspace)s, %(detail)s
           WHERE NOT EXISTS (SELECT FROM alarm WHERE kind = %(kind)s AND workspace_id = %(workspace)s
                             AND detail = %(detail)s)""",
        {"id": new_id("al"), "kind": kind, "workspace": refund["workspace_id"], "detail": detail.replace("\0", "")},
    )


def named(connection: Conn, name: str, reference: str | None) -> list[Row]:
    """The refunds a callback can mean: the one whose id is `name`; for endpoints that name the charge alone, those of
    that charge which were sent and whose `reference` (the endpoint's own id) is the same, or not known on one side."""
    found = many(
        connection,
        """SELECT id, workspace_id, charge_id, reference FROM refund WHERE id = %(name)s
           UNION ALL
           SELECT r.id, r.workspace_id, r.charge_id, r.reference FROM charge c
           JOIN refund r ON r.workspace_id = c.workspace_id AND r.charge_id = c.id
           WHERE c.id = %(name)s AND r.first_sent_at IS NOT NULL
             AND (r.reference = %(reference)s OR r.reference IS NULL OR %(reference)s::text IS NULL)""",
        {"name": name, "reference": reference},
    )
    return [row for row in found if reference and row["reference"] == reference] or found


def of(connection: Conn, workspace_id: str, known_at: datetime | None, after: str | None, limit: int) -> list[Row]:
    """The refunds of a workspace in order of their ids, the newest last; amounts in minor units."""
    return many(
        connection,
        """SELECT * FROM refund WHERE workspace_id = %s AND id > %s
             AND created_at <= COALESCE(%s, 'infinity'::timestamptz) ORDER BY id LIMIT %s""",
        (workspace_id, after or "", known_at, limit),
    )
