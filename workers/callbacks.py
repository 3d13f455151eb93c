"""Reads kept callbacks of the payment endpoint. Early, late, duplicate and unmatched ones are all ordinary."""

import logging

import psycopg

from billing.core.errors import InvalidError
from billing.payments import callback
from billing.store import outcomes
from billing.store.db import Conn, Database, Row, many, one
from billing.store.outcomes import Answer

_LOG = logging.getLogger("sekisu.callbacks")
#: An unmatched callback is tried again this often, in seconds, until it is a day old.
RETRY_S = 30
GIVE_UP_AFTER = "1 day"


def read_due(database: Database) -> int:
    """Read every callback that is due; each is its own transaction. Raises UnavailableError."""
    done = 0
    while True:
        with database.transaction() as connection:
            found = many(
                connection,
                "SELECT * FROM callback WHERE due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED",
            )
            for row in found:
                _read_alone(connection, row)
        if not found:
            return done
        done += 1


def _read_alone(connection: Conn, row: Row) -> None:
    """Read one; a fault of its own makes it wait, so that those behind it are read."""
    try:
        with connection.transaction():
            _read(connection, row)
    except psycopg.OperationalError:
        raise
    except Exception as fault:  # noqa: BLE001 - whatever it is, it is this callback's alone
        _LOG.exception("callback %s of %s failed; it is tried again", row["id"], row["gateway"])
        _wait(connection, row, f"reading it failed: {type(fault).__name__}")


def _read(connection: Conn, row: Row) -> None:
    try:
        word = callback.read(bytes(row["body"]))
    except InvalidError as fault:
        _close(connection, row, "quarantined", str(fault))
        return
    charge = one(connection, "SELECT id, workspace_id, attempt FROM charge WHERE id = %s", (word.id,))
    if word.subject != "charge":
        _close(connection, row, "parked", "refunds are not sent yet")
    elif charge is None:
        _wait(connection, row, f"there is no charge {word.id}")
    elif word.attempt > charge["attempt"]:
        _wait(connection, row, f"attempt {word.attempt} of charge {word.id} was not made")
    else:
        status = "succeeded" if word.succeeded else "failed"
        answer = Answer(status, word.attempt, word.reference, word.failure_code, None, "callback")
        outcomes.book(connection, charge["workspace_id"], charge["id"], answer)
        _close(connection, row, "done", None, charge["id"])


def _wait(connection: Conn, row: Row, reason: str) -> None:
    """An early callback waits for its charge; after a day it stays parked for a person."""
    connection.execute(
        f"""UPDATE callback SET state = 'parked', reason = %s,
                due_at = CASE WHEN received_at > now() - interval '{GIVE_UP_AFTER}'
                              THEN now() + make_interval(secs => %s) END
            WHERE gateway = %s AND id = %s""",  # noqa: S608 - a constant of this file
        (reason, RETRY_S, row["gateway"], row["id"]),
    )


def _close(connection: Conn, row: Row, state: str, reason: str | None, charge_id: str | None = None) -> None:
    connection.execute(
        "UPDATE callback SET state = %s, reason = %s, charge_id = %s, due_at = NULL WHERE gateway = %s AND id = %s",
        (state, reason, charge_id, row["gateway"], row["id"]),
    )
