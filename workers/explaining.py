"""Why was this asked for? An entry of the ledger, or every entry that a charge asks for, explained."""

from typing import Any

from billing.core.errors import NotFoundError
from billing.core.explanation import explain
from billing.store import books
from billing.store.db import Conn


def explained(connection: Conn, wanted: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The charge of that id (None when it is an entry's) and the explanation of each entry behind it.

    Raises NotFoundError when there is neither.
    """
    try:
        return None, [explain(*books.entry(connection, None, wanted))]
    except NotFoundError:
        pass
    try:
        charge = books.charge(connection, None, wanted)
    except NotFoundError:
        raise NotFoundError(f"there is no ledger entry and no charge {wanted}") from None
    entries = [books.entry(connection, None, line["entry_id"]) for line in charge["lines"]]
    return charge, [explain(*entry) for entry in entries]
