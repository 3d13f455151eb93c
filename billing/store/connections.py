"""Connections: a tool's webhook registrations. Secrets come and go encrypted; nothing here can read them.

Every function takes the account it may look into; None is the admin's, who may look into all.
"""

from collections.abc import Callable, Sequence

from billing.core.errors import NotFoundError
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id

_MINE = "removed_at IS NULL AND (%(account)s::text IS NULL OR account_id = %(account)s)"


def insert(
    connection: Conn,
    account_id: str,
    tool: str,
    callback_url: str | None,
    sealed_secrets: Sequence[bytes],
    api_url: str | None = None,
    credential: bytes | None = None,
) -> Row:
    """Make a connection with its encrypted secrets and, for pulls, the tool's address and encrypted credential."""
    row = one(
        connection,
        """INSERT INTO connection (id, account_id, tool, callback_url, secrets, api_url, credential)
           VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING *""",
        (new_id("con"), account_id, tool, callback_url, list(sealed_secrets), api_url, credential),
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
    api_url: str | None = None,
    credential: bytes | None = None,
) -> Row:
    """Write addresses and encrypted credential and, unless None, the encrypted secrets. Raises NotFoundError."""
    query = f"""UPDATE connection SET callback_url = %(callback_url)s, secrets = COALESCE(%(secrets)s, secrets),
                    api_url = %(api_url)s, credential = %(credential)s
                WHERE id = %(id)s AND {_MINE} RETURNING *"""  # noqa: S608 - a constant of this file
    values = {
        "id": connection_id,
        "account": account_id,
        "callback_url": callback_url,
        "secrets": None if sealed_secrets is None else list(sealed_secrets),
        "api_url": api_url,
        "credential": credential,
    }
    return _found(one(connection, query, values), connection_id)


def remove(connection: Conn, account_id: str | None, connection_id: str) -> None:
    """End a connection and forget its secrets; what it delivered stays. Raises NotFoundError."""
    query = f"""UPDATE connection SET removed_at = now(), secrets = '{{}}', credential = NULL
                WHERE id = %(id)s AND {_MINE} RETURNING id"""  # noqa: S608 - a constant of this file
    _found(one(connection, query, {"id": connection_id, "account": account_id}), connection_id)


def hint(connection: Conn, connection_id: str) -> None:
    """A delivery of this connection says that lists may have changed: have its workspaces reconciled soon.

    The connection is marked and no workspace: a settlement holds that row, and may wait for what the reader holds.
    """
    query = "UPDATE connection SET reread_at = now() WHERE id = %s AND credential IS NOT NULL"
    connection.execute(query, (connection_id,))


def serving(connection: Conn, account_id: str, tool: str) -> list[str]:
    """The ids of the living connections that serve an account's workspaces of a tool."""
    query = "SELECT id FROM connection WHERE account_id = %s AND tool = %s AND removed_at IS NULL ORDER BY id"
    return [row["id"] for row in many(connection, query, (account_id, tool))]


def reseal(connection: Conn, rotate: Callable[[bytes], bytes]) -> int:
    """Write every encrypted secret and credential as `rotate` gives it; how many connections have any."""
    rows = many(
        connection,
        """SELECT id, secrets, credential FROM connection
           WHERE secrets <> '{}' OR credential IS NOT NULL ORDER BY id FOR UPDATE""",
    )
    for row in rows:
        anew = [rotate(bytes(one)) for one in row["secrets"]]
        credential = None if row["credential"] is None else rotate(bytes(row["credential"]))
        values = (anew, credential, row["id"])
        connection.execute("UPDATE connection SET secrets = %s, credential = %s WHERE id = %s", values)
    return len(rows)


def _found(row: Row | None, connection_id: str) -> Row:
    if row is None:
        raise NotFoundError(f"there is no connection {connection_id}")
    return row
