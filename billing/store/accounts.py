"""Accounts: who pays."""

import json
from collections.abc import Mapping
from typing import Any

from billing.core.errors import NotFoundError
from billing.store.db import Conn, Row, many, one
from billing.store.ids import new_id

#: The account that `migrate` makes; the admin key means it where it names none.
DEFAULT = "default"


def insert(connection: Conn, name: str, payment_reference: str | None) -> Row:
    """Make an account; `payment_reference` is what the payment endpoint knows it by."""
    row = one(
        connection,
        "INSERT INTO account (id, name, payment_reference) VALUES (%s, %s, %s) RETURNING *",
        (new_id("acc"), name, payment_reference),
    )
    return row or {}


def require(connection: Conn, account_id: str) -> str:
    """The id again, when there is such an account. Raises NotFoundError."""
    if one(connection, "SELECT id FROM account WHERE id = %s", (account_id,)) is None:
        raise NotFoundError(f"there is no account {account_id}")
    return account_id


def get(connection: Conn, account_id: str) -> Row:
    """An account, with who issues (`issuer`) and who receives (`recipient`) its documents. Raises NotFoundError."""
    row = one(connection, "SELECT * FROM account WHERE id = %s", (account_id,))
    if row is None:
        raise NotFoundError(f"there is no account {account_id}")
    return row


def change(connection: Conn, account_id: str, values: Mapping[str, Any]) -> None:
    """Write who issues and receives the documents of an account, and its tax rate (an exact fraction as text).

    Documents issued before keep what they say (XX-13).
    """
    connection.execute(
        "UPDATE account SET issuer = %s, recipient = %s, tax_rate = %s WHERE id = %s",
        (json.dumps(values["issuer"]), json.dumps(values["recipient"]), values["tax_rate"], account_id),
    )


def page(connection: Conn, after: str | None, limit: int) -> list[Row]:
    """Accounts in order of their ids, from behind `after` on."""
    return many(connection, "SELECT * FROM account WHERE id > %s ORDER BY id LIMIT %s", (after or "", limit))
