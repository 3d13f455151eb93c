"""The inbox: every genuine delivery and callback, raw, once, before the sender gets its answer."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg.rows import DictRow, dict_row

from billing import crash
from billing.store.db import APP_ROLE, Conn, many, one
from billing.store.ids import new_id

#: What became of a delivery: kept now, had before, or quarantined because its id was used for another event.
Outcome = Literal["kept", "known", "impostor"]

# Several processes insert the same keys at once: rows go in the order of their keys, or two batches could deadlock.
# Binary parameters: escaping arrays of text takes half of the committer's time.
_INSERT = b"""
WITH sent AS (
    SELECT * FROM unnest(
        %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bytea[])
        AS s (id, connection_id, delivery_id, dedupe_key, fingerprint, sha256, headers, body)
), fresh AS (
    INSERT INTO delivery (id, connection_id, delivery_id, dedupe_key, fingerprint, sha256, state, reason)
    SELECT id, connection_id, delivery_id, dedupe_key, fingerprint, sha256, %s, %s FROM sent
    ON CONFLICT (connection_id, dedupe_key) DO NOTHING
    RETURNING id
), bodies AS (
    INSERT INTO delivery_body (id, headers, body) SELECT id, headers::jsonb, body FROM sent JOIN fresh USING (id)
)
SELECT count(*) AS n FROM fresh"""

_KNOWN = """
SELECT id, connection_id, dedupe_key, fingerprint FROM delivery
WHERE (connection_id, dedupe_key) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"""

_REUSED = "its id was used before for another event"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One genuine request of a tool, as it came. `headers` is a JSON object; `sha256` is the hex digest of `body`."""

    id: str
    connection_id: str
    delivery_id: str
    fingerprint: str
    sha256: str
    headers: str
    body: bytes

    @property
    def key(self) -> tuple[str, str]:
        """What the inbox holds once."""
        return self.connection_id, self.delivery_id


def connect(database_url: str) -> Conn:
    """A connection of its own for the committer: each statement is its own transaction, without a round trip more.

    Raises psycopg.OperationalError when the database does not answer within 2 s.
    """
    connection = psycopg.connect(
        database_url,
        autocommit=True,
        connect_timeout=2,
        row_factory=dict_row,
        application_name=f"sekisu committer {os.getpid()}",
        options="-c timezone=UTC -c statement_timeout=10000",
    )
    row = one(connection, "SELECT FROM pg_roles WHERE rolname = %s AND pg_has_role(oid, 'MEMBER')", (APP_ROLE,))
    if row is not None:
        connection.execute(f"SET ROLE {APP_ROLE}")
    return connection


def keep(connection: Conn, deliveries: Sequence[Delivery]) -> list[Outcome]:
    """Keep all of them and answer, in their order, what became of each; committed when this returns.

    Keeping one twice is the same as keeping it once. Raises psycopg.Error; then any part may have been kept.
    """
    ordered = sorted(deliveries, key=lambda delivery: (delivery.key, delivery.fingerprint))
    with crash.around("inbox.keep"):
        kept = _insert(connection, ordered, [delivery.delivery_id for delivery in ordered], "kept", None)
    if kept == len(ordered):
        return ["kept"] * len(ordered)
    known = _known(connection, {delivery.key for delivery in ordered})
    outcomes = {delivery.id: _outcome(delivery, *known[delivery.key]) for delivery in ordered}
    impostors = [delivery for delivery in ordered if outcomes[delivery.id] == "impostor"]
    if impostors:
        with crash.around("inbox.impostor"), connection.transaction():
            _quarantine(connection, impostors)
    return [outcomes[delivery.id] for delivery in deliveries]


def _insert(
    connection: Conn, deliveries: Sequence[Delivery], dedupe_keys: list[str], state: str, reason: str | None
) -> int:
    """Insert what is not there yet; answers how many were not."""
    columns: tuple[list[Any], ...] = (
        [delivery.id for delivery in deliveries],
        [delivery.connection_id for delivery in deliveries],
        [delivery.delivery_id for delivery in deliveries],
        dedupe_keys,
        [delivery.fingerprint for delivery in deliveries],
        [delivery.sha256 for delivery in deliveries],
        [delivery.headers for delivery in deliveries],
        [delivery.body for delivery in deliveries],
    )
    row = connection.execute(_INSERT, (*columns, state, reason), prepare=True).fetchone()
    return int(row["n"]) if row else 0


def _known(connection: Conn, keys: set[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """The id and the fingerprint of the row that stands at each key."""
    rows = many(connection, _KNOWN, ([key[0] for key in keys], [key[1] for key in keys]))
    return {(row["connection_id"], row["dedupe_key"]): (row["id"], row["fingerprint"]) for row in rows}


def _outcome(delivery: Delivery, standing_id: str, fingerprint: str) -> Outcome:
    if standing_id == delivery.id:
        return "kept"
    return "known" if fingerprint == delivery.fingerprint else "impostor"


def _quarantine(connection: Conn, impostors: Sequence[Delivery]) -> None:
    """Keep deliveries whose id was used for another event, each event once, with an alarm for each."""
    keys = [f"{delivery.delivery_id}~{delivery.fingerprint}" for delivery in impostors]
    _insert(connection, impostors, keys, "quarantined", _REUSED)
    standing = _known(connection, {(d.connection_id, key) for d, key in zip(impostors, keys, strict=True)})
    mine = {found for found, _ in standing.values()} & {delivery.id for delivery in impostors}
    for delivery_id in sorted(mine):
        alarm(connection, "delivery_id_reused", f"delivery {delivery_id} bears the id of another one")


def alarm(connection: Conn, kind: str, detail: str) -> None:
    """Write down something a person must look at."""
    connection.execute(
        b"INSERT INTO alarm (id, kind, detail) VALUES (%s, %s, %s)", (new_id("al"), kind, detail.replace("\0", ""))
    )


def live_connection(connection: Conn, connection_id: str) -> DictRow | None:
    """`tool`, `callback_url` and encrypted `secrets` of a connection; None when there is none or it was removed."""
    return one(
        connection,
        "SELECT tool, callback_url, secrets FROM connection WHERE id = %s AND removed_at IS NULL",
        (connection_id,),
    )


def keep_callback(
    connection: Conn, gateway: str, callback_id: str, body: bytes, sha256: str, fault: str | None
) -> bool:
    """Keep a genuine callback once per (gateway, id); False when it was kept before. One with a `fault` is quarantined.

    Another body under a known id is not kept, because the first is what was acted on; it raises an alarm.
    """
    row = one(
        connection,
        """INSERT INTO callback (gateway, id, sha256, body, state, reason, due_at)
        VALUES (%s, %s, %s, %s, %s, %s, CASE WHEN %s::text IS NULL THEN now() END)
        ON CONFLICT (gateway, id) DO NOTHING RETURNING id""",
        (gateway, callback_id, sha256, body, "quarantined" if fault else "kept", fault, fault),
    )
    if row is not None:
        return True
    first = one(connection, "SELECT sha256 FROM callback WHERE gateway = %s AND id = %s", (gateway, callback_id))
    if first is not None and first["sha256"] != sha256:
        alarm(connection, "callback_id_reused", f"callback {callback_id} of {gateway} came again with another body")
    return False
