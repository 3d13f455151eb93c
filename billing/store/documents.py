"""Documents: what is due, what was issued, and the bytes. Rows are only ever added (XX-13)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from billing.core.errors import NotFoundError
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id

_MINE = "(%(account)s::text IS NULL OR w.account_id = %(account)s)"
# Without the content, which may be long.
_SHOWN = """
SELECT d.workspace_id, d.id, d.kind, d.number, d.issued_at, d.currency, d.amount, d.tax, d.charge_id, d.due_on,
       d.original_id, d.language, p.sha256,
       (SELECT min(m.sent_at) FROM mail m WHERE m.document_id = d.id) AS mailed_at
FROM document d LEFT JOIN document_pdf p
     ON p.workspace_id = d.workspace_id AND p.document_id = d.id AND p.language = d.language
"""


def flag(connection: Conn, charge_id: str) -> None:
    """Say that a document may be due for a charge: it was opened, captured, or something of it was taken back."""
    connection.execute("UPDATE charge SET document_due = true WHERE id = %s", (charge_id,))


def any_due(connection: Conn, workspace_id: str) -> bool:
    """Whether a document may be due in the workspace; without a lock."""
    query = "SELECT 1 FROM charge WHERE workspace_id = %s AND document_due LIMIT 1"
    return one(connection, query, (workspace_id,)) is not None


def workspaces_due(connection: Conn, limit: int) -> list[str]:
    """Workspaces in which a document may be due; at random, so that none stands before the others for ever."""
    query = """SELECT workspace_id FROM (
                   SELECT DISTINCT ch.workspace_id FROM charge ch JOIN workspace w ON w.id = ch.workspace_id
                   WHERE ch.document_due AND (ch.status <> 'held' OR ch.held_reason = 'shadow')) AS found
               ORDER BY random() LIMIT %s"""
    return [row["workspace_id"] for row in many(connection, query, (limit,))]


def charges_due(connection: Conn, workspace_id: str) -> list[Row]:
    """The flagged charges of a workspace that its caller has locked, the oldest first."""
    query = "SELECT * FROM charge WHERE workspace_id = %s AND document_due ORDER BY created_at, id"
    return many(connection, query, (workspace_id,))


def unflag(connection: Conn, charge_ids: Sequence[str]) -> None:
    """Nothing is due for these charges now."""
    connection.execute("UPDATE charge SET document_due = false WHERE id = ANY(%s)", (list(charge_ids),))


def lines(connection: Conn, charge_id: str) -> list[Row]:
    """The lines of a charge with their entries: `asked`, what is `left` of it, and what is `documented` so far.

    `ends_at` is the end of the line's period, None where there is none.
    """
    return many(
        connection,
        """SELECT e.*, l.amount AS asked, l.amount - l.reduced AS left, p.end_at AS ends_at,
                  COALESCE(p.terms->>'plan', '') AS plan,
                  COALESCE((SELECT sum(d.amount) FROM document_line d
                            WHERE d.charge_id = l.charge_id AND d.key = l.key), 0)::bigint AS documented
           FROM charge_line l JOIN entry e ON e.id = l.entry_id
           LEFT JOIN period p ON p.subscription_id = e.subscription_id AND p.n = e.n
           WHERE l.charge_id = %s ORDER BY e.seq""",
        (charge_id,),
    )


def of_charge(connection: Conn, charge_id: str) -> dict[str, Row]:
    """The invoice and the receipt of a charge, whole, by kind."""
    query = "SELECT * FROM document WHERE charge_id = %s AND kind <> 'return_invoice'"
    return {row["kind"]: row for row in many(connection, query, (charge_id,))}


def last(connection: Conn, workspace_id: str, kind: str) -> tuple[int, datetime | None]:
    """The count and the instant of the last document of a kind; the caller has locked the workspace."""
    query = "SELECT seq, issued_at FROM document WHERE workspace_id = %s AND kind = %s ORDER BY seq DESC LIMIT 1"
    row = one(connection, query, (workspace_id, kind))
    return (row["seq"], row["issued_at"]) if row else (0, None)


def insert(
    connection: Conn,
    workspace_id: str,
    seq: int,
    issued_at: datetime,
    content: Mapping[str, Any],
    keys: Iterable[tuple[str, int]],
) -> str:
    """Keep a document; `keys` are the (line key, amount) that it documents. Answers its id."""
    document_id = new_id("doc")
    original = content["original"]
    connection.execute(
        """INSERT INTO document (workspace_id, id, kind, seq, number, charge_id, original_id, currency, amount, tax,
                                 issued_at, due_on, language, content)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            workspace_id,
            document_id,
            content["kind"],
            seq,
            content["number"],
            content["charge_id"],
            original["id"] if original else None,
            content["currency"],
            content["amount"],
            sum(rate["tax"] for rate in content["rates"]),
            issued_at,
            content["due_on"],
            content["language"],
            json.dumps(content),
        ),
    )
    told = [(key, amount) for key, amount in keys if amount]
    connection.execute(
        """INSERT INTO document_line (workspace_id, document_id, charge_id, key, amount)
           SELECT %s, %s, %s, * FROM unnest(%s::text[], %s::bigint[])""",
        (workspace_id, document_id, content["charge_id"], [key for key, _ in told], [amount for _, amount in told]),
    )
    return document_id


def page(connection: Conn, workspace_id: str, known_at: datetime | None, after: str | None, limit: int) -> list[Row]:
    """The documents of a workspace in order of their ids, without their content; `sha256` once they were rendered."""
    return many(
        connection,
        f"""{_SHOWN} WHERE d.workspace_id = %s AND d.id > %s AND d.issued_at <= COALESCE(%s, 'infinity'::timestamptz)
            ORDER BY d.id LIMIT %s""",
        (workspace_id, after or "", known_at, limit),
    )


def shown(connection: Conn, document_id: str) -> Row:
    """One document as `page` answers it. Raises NotFoundError."""
    row = one(connection, f"{_SHOWN} WHERE d.id = %s", (document_id,))
    if row is None:
        raise NotFoundError(f"there is no document {document_id}")
    return row


def get(connection: Conn, account_id: str | None, document_id: str) -> Row:
    """One document, whole, of the account (None: of any). Raises NotFoundError."""
    row = one(
        connection,
        f"""SELECT d.* FROM document d JOIN workspace w ON w.id = d.workspace_id
            WHERE d.id = %(id)s AND {_MINE}""",  # noqa: S608 - a constant of this file
        {"id": document_id, "account": account_id},
    )
    if row is None:
        raise NotFoundError(f"there is no document {document_id}")
    return row


def pdf(connection: Conn, document: Row, language: str) -> bytes | None:
    """The bytes of a document in a language, as they were rendered first; None before that."""
    query = "SELECT bytes FROM document_pdf WHERE workspace_id = %s AND document_id = %s AND language = %s"
    row = one(connection, query, (document["workspace_id"], document["id"], language))
    return bytes(row["bytes"]) if row else None


def keep_pdf(connection: Conn, document: Row, language: str, sha256: str, content: bytes) -> None:
    """Keep the bytes of a document, unless somebody was first."""
    connection.execute(
        """INSERT INTO document_pdf (workspace_id, document_id, language, sha256, bytes) VALUES (%s, %s, %s, %s, %s)
           ON CONFLICT DO NOTHING""",
        (document["workspace_id"], document["id"], language, sha256, content),
    )
