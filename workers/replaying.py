"""Deliveries read again because a person says so: after a room was mended, or a workspace was made by hand."""

from collections.abc import Sequence

from billing.core.errors import InvalidError
from billing.store import deliveries
from billing.store.db import Conn, Row, many

#: Deliveries that bear the id of another event are never replayed in bulk: each must be named.
_WAITING = """
SELECT d.id, b.id IS NOT NULL AS readable FROM delivery d LEFT JOIN delivery_body b ON b.id = d.id
WHERE d.state = %s AND d.dedupe_key = d.delivery_id ORDER BY d.id
"""


def replay(connection: Conn, ids: Sequence[str]) -> list[Row]:
    """Have deliveries read again, all or none; answers their rows. Facts already known stay single.

    Raises NotFoundError, and ConflictError when the raw body of one was dropped.
    """
    if not ids:
        raise InvalidError("name the deliveries to read again, or a state")
    return [deliveries.replay(connection, None, delivery_id) for delivery_id in dict.fromkeys(ids)]


def waiting(connection: Conn, state: str) -> tuple[list[str], list[str]]:
    """The ids of the deliveries in a state: those that can be read again, and those whose raw body was dropped."""
    found = many(connection, _WAITING, (state,))
    return [row["id"] for row in found if row["readable"]], [row["id"] for row in found if not row["readable"]]
