"""Answers kept for 24 hours, so that a repeated call repeats nothing.

The row is written in the transaction of the call itself: there is either the effect and its answer, or neither.
"""

from collections.abc import Callable

from billing.core.errors import ConflictError
from billing.store.db import Conn, Row, many, one

#: How long an answer is kept.
KEPT_FOR = "24 hours"


class InProgressError(ConflictError):
    """The same key is being worked on by another request right now."""

    code = "in_progress"
    retry = True


class KeyReusedError(ConflictError):
    """The key was used before, with another body."""

    code = "idempotency_key_reused"


def begin(connection: Conn, key_id: str, route: str, key: str, body: str) -> Row | None:
    """Take the key until the transaction ends. Answers the kept row (status, answer) if the call was made before.

    `body` is the SHA-256 of the request's body. Raises InProgressError and KeyReusedError.
    """
    lock = f"{key_id}\x1f{route}\x1f{key}"
    taken = one(connection, "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 11)) AS taken", (lock,))
    if not taken or not taken["taken"]:
        raise InProgressError("a request with this Idempotency-Key is being worked on; ask again")
    row = one(
        connection,
        f"""SELECT body, status, answer FROM idempotency WHERE key_id = %s AND route = %s AND key = %s
            AND created_at > now() - interval '{KEPT_FOR}'""",  # noqa: S608 - a constant of this file
        (key_id, route, key),
    )
    if row is not None and row["body"] != body:
        raise KeyReusedError("this Idempotency-Key was used with another body; take a new key")
    return row


def keep(connection: Conn, key_id: str, route: str, key: str, body: str, status: int, sealed_answer: str) -> None:
    """Keep the answer, encrypted (it may hold a new API key), in place of one that is too old."""
    connection.execute(
        """INSERT INTO idempotency (key_id, route, key, body, status, answer)
           VALUES (%s, %s, %s, %s, %s, to_jsonb(%s::text))
           ON CONFLICT (key_id, route, key) DO UPDATE SET body = EXCLUDED.body, status = EXCLUDED.status,
               answer = EXCLUDED.answer, created_at = now()""",
        (key_id, route, key, body, status, sealed_answer),
    )


def reseal(connection: Conn, rotate: Callable[[bytes], bytes]) -> None:
    """Write every kept answer as `rotate` gives it."""
    for row in many(connection, "SELECT key_id, route, key, answer FROM idempotency FOR UPDATE"):
        anew = rotate(str(row["answer"]).encode()).decode()
        connection.execute(
            "UPDATE idempotency SET answer = to_jsonb(%s::text) WHERE key_id = %s AND route = %s AND key = %s",
            (anew, row["key_id"], row["route"], row["key"]),
        )


def forget(connection: Conn) -> int:
    """Drop the answers that are too old; how many."""
    query = f"DELETE FROM idempotency WHERE created_at < now() - interval '{KEPT_FOR}'"  # noqa: S608
    return connection.execute(query.encode()).rowcount
