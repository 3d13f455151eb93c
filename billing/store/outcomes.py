"""What an answer of the payment endpoint does to a charge. States only move forward by (attempt, rank) (law 6)."""

from dataclasses import dataclass

from billing.store.charges import RANK, give_back
from billing.store.db import Conn, Row, many
from billing.store.ledger import Book
from billing.store.workspaces import ask_locked, found, rechain


@dataclass(frozen=True, slots=True)
class Answer:
    """The endpoint's word on one attempt. `status`: succeeded, pending, failed, or unknown (no word at all)."""

    status: str
    attempt: int
    reference: str | None = None
    failure_code: str | None = None
    retry_in_s: float | None = None
    detail: str | None = None


def book(connection: Conn, workspace_id: str, charge_id: str, answer: Answer, token: int | None = None) -> bool:
    """Move the charge forward by one answer and book what follows; False when it says nothing new.

    `token` is the sender's fencing token: an answer under an older one is dropped. Callbacks carry none. Locks the
    workspace first, as settlement does, so that the two never wait for each other.
    """
    with connection.pipeline():
        asked = ask_locked(connection, workspace_id)
        charges = connection.execute(_CHARGE, (charge_id,))
        workspace, charge = found(asked, workspace_id), charges.fetchone()
        if charge is None or (token is not None and charge["token"] != token):
            return False
        if charge["status"] in _FINAL or (answer.attempt, RANK[answer.status]) <= (
            charge["attempt"],
            RANK[charge["status"]],
        ):
            _keep_trying(connection, charge, answer, token)
            return False
        _move(connection, charge, answer)
        if answer.status == "succeeded":
            _settle_payment(connection, workspace, charge)
        elif answer.status == "failed" and charge["over"]:
            _give_back(connection, workspace, charge)
    return True


#: No later word changes these, whatever attempt it names: the endpoint lets at most one attempt succeed.
_FINAL = ("succeeded", "cancelled")
_CHARGE = """
SELECT *, EXISTS (SELECT FROM charge_line l WHERE l.charge_id = charge.id AND l.reduced > l.credited) AS over
FROM charge WHERE id = %s FOR UPDATE
"""


def _give_back(connection: Conn, workspace: Row, charge: Row) -> None:
    posted = Book.of(workspace, workspace["now"])
    back = give_back(connection, posted, charge["id"], charge["currency"])
    posted.flush(connection)
    rechain(connection, workspace["id"], posted.chain, workspace["credit"] + back)


def _move(connection: Conn, charge: Row, answer: Answer) -> None:
    final = answer.status in ("succeeded", "failed")
    connection.execute(
        """UPDATE charge SET status = %(status)s, reference = COALESCE(%(reference)s, reference), leased_until = NULL,
               due_at = CASE WHEN %(retry)s::float8 IS NULL THEN NULL
                             ELSE clock_timestamp() + make_interval(secs => %(retry)s::float8) END
           WHERE id = %(id)s""",
        {
            "status": answer.status,
            "reference": answer.reference,
            "retry": None if final else answer.retry_in_s,
            "id": charge["id"],
        },
    )
    connection.execute(
        """INSERT INTO attempt (charge_id, n, key, posts, outcome, detail, at)
           VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp())
           ON CONFLICT (charge_id, n) DO UPDATE
           SET posts = EXCLUDED.posts, outcome = EXCLUDED.outcome, detail = EXCLUDED.detail, at = EXCLUDED.at""",
        (
            charge["id"],
            answer.attempt,
            f"{charge['id']}.{answer.attempt}",
            charge["tries"],
            answer.status,
            answer.failure_code or answer.detail,
        ),
    )


def _keep_trying(connection: Conn, charge: Row, answer: Answer, token: int | None) -> None:
    """An unknown outcome again: nothing moves, but the sender's next try is due later, or never: a person decides."""
    if token is not None and charge["status"] not in ("failed", *_FINAL):
        connection.execute(
            """UPDATE charge SET leased_until = NULL, due_at = clock_timestamp() + make_interval(secs => %s::float8)
               WHERE id = %s""",
            (answer.retry_in_s, charge["id"]),
        )


def _settle_payment(connection: Conn, workspace: Row, charge: Row) -> None:
    """Book the payment, then what was taken off the charge since it was sent: collected, it becomes credit (law 2)."""
    posted = Book.of(workspace, workspace["now"])
    posted.move("payment", charge["id"], charge["amount"], charge["currency"])
    over = _over(connection, charge) if charge["over"] else []
    for amount in over:
        posted.move("credit", charge["id"], amount, charge["currency"])
    posted.flush(connection)
    rechain(connection, workspace["id"], posted.chain, workspace["credit"] + sum(over))


def _over(connection: Conn, charge: Row) -> list[int]:
    """What was taken off each line and is collected all the same; marked as credited."""
    taken = many(
        connection,
        """UPDATE charge_line SET credited = charge_line.reduced FROM charge_line AS before
           WHERE charge_line.charge_id = %s AND charge_line.reduced > charge_line.credited
             AND before.charge_id = charge_line.charge_id AND before.key = charge_line.key
           RETURNING before.reduced - before.credited AS amount""",
        (charge["id"],),
    )
    return [row["amount"] for row in taken]
