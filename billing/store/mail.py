"""The outbox of mails: queued once for each key, leased by one sender at a time, sent or left to a person."""

from billing.core.errors import NotFoundError
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id


def queue(
    connection: Conn, workspace_id: str, key: str, kind: str, to: str, subject: str, body: str, document_id: str | None
) -> str:
    """Queue a mail; answers its id. With a key that was queued before nothing happens but the old id."""
    connection.execute(
        """INSERT INTO mail (workspace_id, id, key, kind, recipient, subject, body, document_id)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (workspace_id, key) DO NOTHING""",
        (workspace_id, new_id("ml"), key, kind, to, subject, body, document_id),
    )
    row = one(connection, "SELECT id FROM mail WHERE workspace_id = %s AND key = %s", (workspace_id, key))
    if row is None:
        raise NotFoundError(f"the mail {key} is gone")
    return str(row["id"])


def get(connection: Conn, mail_id: str) -> Row:
    """One mail. Raises NotFoundError."""
    row = one(connection, "SELECT * FROM mail WHERE id = %s", (mail_id,))
    if row is None:
        raise NotFoundError(f"there is no mail {mail_id}")
    return row


def lease(connection: Conn, limit: int, seconds: float) -> list[Row]:
    """Take due mails for sending, each with a new fencing token; after `seconds` another may take them."""
    return many(
        connection,
        """WITH due AS MATERIALIZED (
               SELECT id FROM mail WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED)
           UPDATE mail SET token = token + 1, tries = tries + 1,
               due_at = clock_timestamp() + make_interval(secs => %s)
           FROM due WHERE mail.id = due.id RETURNING mail.*""",
        (limit, seconds),
    )


def book(connection: Conn, mail: Row, status: str, detail: str | None = None, retry_in_s: float | None = None) -> None:
    """Write down what came of a leased mail, unless another sender has it by now. A failed one raises an alarm.

    `status`: sent, failed (a person decides), or queued, tried again in `retry_in_s` seconds.
    """
    written = one(
        connection,
        """UPDATE mail SET status = %(status)s, detail = %(detail)s,
               sent_at = CASE WHEN %(status)s = 'sent' THEN clock_timestamp() END,
               due_at = clock_timestamp() + make_interval(secs => %(retry)s::float8)
           WHERE id = %(id)s AND token = %(token)s AND status = 'queued' RETURNING id""",
        {
            "status": status,
            "detail": detail,
            "retry": retry_in_s if status == "queued" else None,
            "id": mail["id"],
            "token": mail["token"],
        },
    )
    if written is not None and status == "failed":
        alarm(connection, mail["workspace_id"], "mail_failed", f"mail {mail['id']} is not sent: {detail}")


def alarm(connection: Conn, workspace_id: str, kind: str, detail: str) -> None:
    """Raise an alarm about a mail or a document, once for each thing there is to say."""
    connection.execute(
        """INSERT INTO alarm (id, kind, workspace_id, detail)
           SELECT %(id)s, %(kind)s, %(workspace)s, %(detail)s
           WHERE NOT EXISTS (SELECT FROM alarm WHERE kind = %(kind)s AND workspace_id = %(workspace)s
                             AND detail = %(detail)s)""",
        {"id": new_id("al"), "kind": kind, "workspace": workspace_id, "detail": detail.replace("\0", "")},
    )
