"""Reads kept callbacks of the payment endpoint. Early, late, duplicate and unmatched ones are all ordinary."""

import logging

import psycopg

from billing.core.errors import InvalidError
from billing.payments import callback
from billing.payments.callback import Callback
from billing.store import outcomes, refunds
from billing.store.db import Conn, Database, Row, many, one, savepoint
from billing.store.outcomes import Answer

_LOG = logging.getLogger("sekisu.callbacks")
#: An unmatched callback is tried again this often, in seconds, until it is a day old.
RETRY_S = 30
GIVE_UP_AFTER = "1 day"


def read_due(database: Database) -> int:
    """Read every callback that is due; each is its own transaction. Raises UnavailableError."""
    done = 0
    while True:
        with database.transaction("callback.read") as connection:
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
        with savepoint(connection):
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
    if word.subject == "charge":
        _read_charge(connection, row, word)
    else:
        _read_refund(connection, row, word)


def _read_charge(connection: Conn, row: Row, word: Callback) -> None:
    charge = one(connection, "SELECT id, workspace_id, attempt FROM charge WHERE id = %s", (word.id,))
    if charge is None:
        _wait(connection, row, f"there is no charge {word.id}")
    elif word.attempt > charge["attempt"]:
        _wait(connection, row, f"attempt {word.attempt} of charge {word.id} was not made")
    else:
        outcomes.book(connection, charge["workspace_id"], charge["id"], _said(word, word.attempt))
        _close(connection, row, "done", None, charge["id"])


def _read_refund(connection: Conn, row: Row, word: Callback) -> None:
    meant = refunds.named(connection, word.id, word.reference)
    if len(meant) != 1:
        what = f"{word.id} has {len(meant)} refunds" if meant else f"there is no refund {word.id}"
        _wait(connection, row, what)
        return
    refund = meant[0]
    # A refund has one attempt; endpoints may name the one of its charge.
    refunds.book(connection, refund["workspace_id"], refund["id"], _said(word, 1))
    _close(connection, row, "done", None, refund["charge_id"])


def _said(word: Callback, attempt: int) -> Answer:
    status = "succeeded" if word.succeeded else "failed"
    return Answer(status, attempt, word.reference, word.failure_code, None, "callback")


def _wait(connection: Conn, row: Row, reason: str) -> None:
    """An early callback waits for its charge or refund; after a day it stays parked for a person."""
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
