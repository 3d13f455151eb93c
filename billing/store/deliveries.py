"""Deliveries as people look at them, and the one thing they may do with one: have it read again.

Every function takes the account it may look into; None is the admin's, who may look into all.
"""

from billing.core.errors import ConflictError, NotFoundError
from billing.store.db import Conn, Row, many, one

_MINE = "(%(account)s::text IS NULL OR c.account_id = %(account)s)"
_SELECT = f"""
SELECT d.id, d.connection_id, d.delivery_id, d.state, d.reason, d.action, d.received_at, d.sha256, d.facts
FROM delivery d JOIN connection c ON c.id = d.connection_id
WHERE {_MINE}
"""  # noqa: S608 - a constant of this file


def page(
    connection: Conn, account_id: str | None, connection_id: str | None, after: str | None, limit: int
) -> list[Row]:
    """Deliveries, the newest last, of one connection or of all, from behind `after` on."""
    query = f"""{_SELECT} AND d.id > %(after)s AND (%(connection)s::text IS NULL OR d.connection_id = %(connection)s)
                ORDER BY d.id LIMIT %(limit)s"""
    values = {"account": account_id, "connection": connection_id, "after": after or "", "limit": limit}
    return many(connection, query, values)


def replay(connection: Conn, account_id: str | None, delivery_id: str) -> Row:
    """Have a delivery read again now; facts already known stay single.

    Raises NotFoundError, and ConflictError when its raw body was dropped.
    """
    values = {"account": account_id, "id": delivery_id}
    row = one(connection, f"{_SELECT} AND d.id = %(id)s FOR UPDATE OF d", values)
    if row is None:
        raise NotFoundError(f"there is no delivery {delivery_id}")
    if one(connection, "SELECT id FROM delivery_body WHERE id = %s", (delivery_id,)) is None:
        raise ConflictError(f"the raw body of delivery {delivery_id} was dropped, so it cannot be read again")
    connection.execute(
        """UPDATE delivery SET state = 'kept', reason = NULL, waits_for = NULL, due_at = clock_timestamp(), tries = 0
           WHERE id = %s""",
        (delivery_id,),
    )
    return row | {"state": "kept", "reason": None}
