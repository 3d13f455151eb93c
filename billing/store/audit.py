"""Who called what, and what became of it. Rows are only ever added; the owner of the database may drop old ones."""

from dataclasses import dataclass

from billing.store.db import Conn, Row, many
from billing.store.ids import new_id


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a route, or `times` refusals alike. `key_id` None: by nobody we know."""

    request_id: str
    key_id: str | None
    account_id: str | None
    workspace_id: str | None
    method: str
    route: str
    status: int
    code: str | None = None
    rule: str | None = None
    times: int = 1


def insert(connection: Conn, call: Call) -> None:
    """Write a call down. What an admin key does for a workspace is told to the account of that workspace too."""
    connection.execute(
        """INSERT INTO audit (id, request_id, key_id, account_id, workspace_id, method, route, status, code, rule,
               times)
           VALUES (%s, %s, %s, COALESCE(%s, (SELECT account_id FROM workspace WHERE id = %s)), %s, %s, %s, %s, %s, %s,
               %s)""",
        (
            *(new_id("aud"), call.request_id, call.key_id, call.account_id, call.workspace_id, call.workspace_id),
            *(call.method, call.route, call.status, call.code, call.rule, call.times),
        ),
    )


def page(
    connection: Conn, account_id: str | None, workspace_id: str | None, after: str | None, limit: int
) -> list[Row]:
    """Calls of an account (None: of all, and of nobody we know), the newest last, from behind `after` on."""
    query = """SELECT * FROM audit WHERE id > %(after)s AND (%(account)s::text IS NULL OR account_id = %(account)s)
               AND (%(workspace)s::text IS NULL OR workspace_id = %(workspace)s) ORDER BY id LIMIT %(limit)s"""
    asked = {"account": account_id, "workspace": workspace_id, "after": after or "", "limit": limit}
    return many(connection, query, asked)
