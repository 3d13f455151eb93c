"""Reads kept deliveries by their room and files what they say; poison is quarantined, its neighbours are served."""

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count

import psycopg

from billing.core.errors import SekisuError, UnavailableError
from billing.store import connections, intake
from billing.store.db import Conn, Database, Row, many, one
from billing.store.ids import new_id
from billing.tools import room as rooms
from billing.tools.room import Reading

_LOG = logging.getLogger("sekisu.reading")
#: What one delivery's content can bring about. Anything else is ours to mend, and the deliveries wait for it.
_POISON = (psycopg.DataError, psycopg.IntegrityError, ArithmeticError, LookupError, TypeError, ValueError)
#: Deliveries read in one transaction.
BATCH = 250
#: Batches read, or workspaces touched, before these are settled: a flood must not keep its own, or others', money
#: waiting, and what one worker read and left lying others would settle too.
ROUND = 8
TOUCHED = 64


def read(database: Database, connection_id: str) -> set[str]:
    """Read every kept delivery of a connection; answers the workspaces that have something to settle.

    Reading again what was read changes nothing. Raises UnavailableError.
    """
    return set().union(*rounds(database, connection_id))


def rounds(database: Database, connection_id: str) -> Iterator[set[str]]:
    """As `read`, a few batches at a time: the workspaces of each round, until nothing is kept any more."""
    touched: set[str] = set()
    for turn in count(1):
        try:
            with database.transaction("read") as connection:
                found, workspaces = read_batch(connection, connection_id)
        except _POISON:
            _LOG.exception("a batch of %s cannot be filed; its deliveries are read one by one", connection_id)
            found, workspaces = _one_by_one(database, connection_id)
        touched |= workspaces
        if found < BATCH:
            break
        if turn % ROUND == 0 or len(touched) >= TOUCHED:
            yield touched
            touched = set()
    yield touched


def _one_by_one(database: Database, connection_id: str) -> tuple[int, set[str]]:
    """Read a batch each alone, and quarantine those that cannot be filed: their neighbours are served."""
    touched: set[str] = set()
    with database.reading() as connection:
        found = many(connection, f"SELECT d.id {_KEPT} ORDER BY d.id LIMIT %s", (connection_id, BATCH))
    for row in found:
        try:
            with database.transaction("read.alone") as connection:
                touched |= read_batch(connection, connection_id, row["id"])[1]
        except _POISON as fault:
            with database.transaction("read.quarantine") as connection:
                _quarantine(connection, row["id"], f"it cannot be filed: {type(fault).__name__}: {fault}")
    return len(found), touched


_KEPT = "FROM delivery d WHERE d.connection_id = %s AND d.state = 'kept' AND d.due_at <= now()"


def read_batch(connection: Conn, connection_id: str, only: str | None = None) -> tuple[int, set[str]]:
    """Read one batch inside the caller's transaction, or `only` one delivery; rows another reader holds are skipped."""
    found = many(
        connection,
        # In the order of the index that knows them: a flood must not be sorted for each of its batches.
        f"""WITH found AS MATERIALIZED (
                SELECT d.* {_KEPT} AND (%s::text IS NULL OR d.id = %s) ORDER BY d.due_at LIMIT %s FOR UPDATE SKIP LOCKED
            ) SELECT found.*, b.headers, b.body FROM found JOIN delivery_body b USING (id, received_at) ORDER BY id""",  # noqa: S608 - constants of this file
        (connection_id, only, only, BATCH),
    )
    if not found:
        return 0, set()
    owner = one(connection, "SELECT account_id, tool FROM connection WHERE id = %s", (connection_id,))
    assert owner is not None  # noqa: S101 - connections are marked removed, never deleted
    room = _room(owner["tool"])
    source = intake.Source(owner["account_id"], owner["tool"], room.SHARED_BOARDS, connection_id)
    readings = [(row, _reading(room, row)) for row in found]
    heard = {row["id"]: _heard(row, reading) for row, reading in readings}
    filed = intake.file(connection, source, [one_heard for some in heard.values() for one_heard in some])
    if any(reading.reread for _, reading in readings):
        connections.hint(connection, connection_id)
    _close(connection, [_outcome(row, reading, heard[row["id"]]) for row, reading in readings])
    return len(found), filed.workspaces


def _room(tool: str) -> rooms.Room:
    """The room of a tool. Raises NotFoundError, and UnavailableError when it is broken: its deliveries wait."""
    try:
        return rooms.load(tool)
    except SekisuError:
        raise
    except Exception as fault:
        raise UnavailableError(f"the room of {tool} cannot be loaded: {type(fault).__name__}: {fault}") from fault


def _reading(room: rooms.Room, row: Row) -> Reading:
    try:
        return room.read(row["headers"], bytes(row["body"]))
    except Exception as fault:  # noqa: BLE001 - a room's own fault must not stop its neighbours
        return Reading(quarantined=True, reason=f"the room failed: {type(fault).__name__}: {fault}"[:500])


def _heard(row: Row, reading: Reading) -> list[intake.Heard]:
    at: datetime = row["heard_at"] or row["received_at"]
    return [intake.Heard(event, at, row["id"]) for event in reading.events]


def _outcome(row: Row, reading: Reading, heard: Sequence[intake.Heard]) -> dict[str, object]:
    """The state a delivery ends in."""
    quarantined = next((h.quarantined for h in heard if h.quarantined), None)
    waits = next((h.waits_for for h in heard if h.waits_for), None)
    ids = [h.id for h in heard if not h.quarantined and (h.workspace_id or not h.waits_for)]
    if reading.quarantined or quarantined:
        state, reason = "quarantined", reading.reason or quarantined
    elif waits:
        state, reason = "parked", f"not known yet: {waits.split('/', 2)[2]}"
    elif heard:
        state, reason = "done", None
    else:
        state, reason = "ignored", reading.reason
    return {
        "id": row["id"],
        "state": state,
        "reason": reason,
        "waits_for": waits if state == "parked" else None,
        "action": _plain(reading.action),
        "known": reading.known,
        "facts": ids,
        "heard_at": row["heard_at"] or row["received_at"],
    }


def _plain(action: str) -> str:
    return action[:100].encode("utf-8", "replace").decode().replace("\x00", "")


def _close(connection: Conn, outcomes: Sequence[dict[str, object]]) -> None:
    connection.execute(
        """UPDATE delivery SET state = o.state, reason = o.reason, waits_for = o.waits_for, action = o.action,
               heard_at = o.heard_at, tries = delivery.tries + 1,
               facts = ARRAY(SELECT jsonb_array_elements_text(o.facts))
           FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::jsonb[])
               AS o(id, state, reason, waits_for, action, heard_at, facts)
           WHERE delivery.id = o.id""",
        (
            [o["id"] for o in outcomes],
            [o["state"] for o in outcomes],
            [_reason(o["reason"]) for o in outcomes],
            [o["waits_for"] for o in outcomes],
            [o["action"] if o["known"] else f"unknown:{o['action']}" for o in outcomes],
            [o["heard_at"] for o in outcomes],
            [json.dumps(o["facts"]) for o in outcomes],
        ),
    )
    for outcome in outcomes:
        if outcome["state"] == "quarantined":
            _alarm(connection, str(outcome["id"]), outcome["reason"])


def _quarantine(connection: Conn, delivery_id: str, reason: str) -> None:
    connection.execute(
        """UPDATE delivery SET state = 'quarantined', reason = %s, tries = tries + 1,
               heard_at = COALESCE(heard_at, received_at)
           WHERE id = %s AND state = 'kept'""",
        (_reason(reason), delivery_id),
    )
    _alarm(connection, delivery_id, reason)


def _alarm(connection: Conn, delivery_id: str, reason: object) -> None:
    connection.execute(
        "INSERT INTO alarm (id, kind, detail) VALUES (%s, 'delivery_quarantined', %s)",
        (new_id("al"), f"delivery {delivery_id}: {_reason(reason)}"),
    )


def _reason(reason: object) -> str | None:
    return None if reason is None else str(reason)[:1000].encode("utf-8", "replace").decode().replace("\x00", "")


def due(database: Database, older_than_s: float = 0.0, limit: int = 100) -> list[str]:
    """Connections with kept deliveries that are due since `older_than_s` seconds."""
    with database.reading() as connection:
        found = many(
            connection,
            # At random: those whose deliveries nobody can read must not stand before the others for ever.
            """SELECT connection_id FROM (
                   SELECT DISTINCT connection_id FROM delivery
                   WHERE state = 'kept' AND due_at <= now() - make_interval(secs => %s)
               ) AS found ORDER BY random() LIMIT %s""",
            (older_than_s, limit),
        )
    return [row["connection_id"] for row in found]
