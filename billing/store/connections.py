"""Connections: a tool's webhook registrations. Secrets come and go encrypted; nothing here can read them.

Every function takes the account it may look into; None is the admin's, who may look into all.
"""

from collections.abc import Sequence

from billing.core.errors import NotFoundError
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id

_MINE = "removed_at IS NULL AND (%(account)s::text IS NULL OR account_id = %(account)s)"


def insert(
    connection: Conn, account_id: str, tool: str, callback_url: str | None, sealed_secrets: Sequence[bytes]
) -> Row:
    """Make a connection with its encrypted secrets."""
    row = one(
        connection,
        """INSERT INTO connection (id, account_id, tool, callback_url, secrets) VALUES (%s, %s, %s, %s, %s)
           RETURNING *""",
        (new_id("con"), account_id, tool, callback_url, list(sealed_secrets)),
    )
    return row or {}


def get(connection: Conn, account_id: str | None, connection_id: str) -> Row:
    """A living connection. Raises NotFoundError."""
    query = f"SELECT * FROM connection WHERE id = %(id)s AND {_MINE}"  # noqa: S608 - a constant of this file
    return _found(one(connection, query, {"id": connection_id, "account": account_id}), connection_id)


def page(connection: Conn, account_id: str | None, after: str | None, limit: int) -> list[Row]:
    """Living connections in order of their ids, from behind `after` on."""
    query = f"SELECT * FROM connection WHERE id > %(after)s AND {_MINE} ORDER BY id LIMIT %(limit)s"  # noqa: S608
    return many(connection, query, {"account": account_id, "after": after or "", "limit": limit})


def change(
    connection: Conn,
    account_id: str | None,
    connection_id: str,
    callback_url: str | None,
    sealed_secrets: Sequence[bytes] | None,
) -> Row:
    """Write the callback URL and, unless None, the encrypted secrets. Raises NotFoundError."""
    query = f"""UPDATE connection SET callback_url = %(callback_url)s, secrets = COALESCE(%(secrets)s, secrets)
                WHERE id = %(id)s AND {_MINE} RETURNING *"""  # noqa: S608 - a constant of this file
    secrets = None if sealed_secrets is None else list(sealed_secrets)
    values = {"id": connection_id, "account": account_id, "callback_url": callback_url, "secrets": secrets}
    return _found(one(connection, query, values), connection_id)


def remove(connection: Conn, account_id: str | None, connection_id: str) -> None:
    """End a connection and forget its secrets; what it delivered stays. Raises NotFoundError."""
    query = f"""UPDATE connection SET removed_at = now(), secrets = '{{}}'
                WHERE id = %(id)s AND {_MINE} RETURNING id"""  # noqa: S608 - a constant of this file
    _found(one(connection, query, {"id": connection_id, "account": account_id}), connection_id)


def serving(connection: Conn, account_id: str, tool: str) -> list[str]:
    """The ids of the living connections that serve an account's workspaces of a tool."""
    query = "SELECT id FROM connection WHERE account_id = %s AND tool = %s AND removed_at IS NULL ORDER BY id"
    return [row["id"] for row in many(connection, query, (account_id, tool))]


def _found(row: Row | None, connection_id: str) -> Row:
    if row is None:
        raise NotFoundError(f"there is no connection {connection_id}")
    return row
