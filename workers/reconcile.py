"""Compares a tool's full lists with the roster and files the difference: what webhooks lost, and what they never tell.

A pull runs outside any transaction; its snapshot is applied in one, whole or not at all.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from billing.core import calendar
from billing.core.facts import BOARD_KINDS, Fact
from billing.settings import Settings
from billing.store import subscriptions, workspaces
from billing.store.db import Conn, Database, Row, many, one, wall_clock
from billing.store.ids import new_id
from billing.tools import room as rooms
from billing.tools.room import Api, Event, Room, Scope, Snapshot
from workers import drift, pulling, roster_import
from workers.pulling import PullError
from workers.roster_import import Observation

#: How far before the last comparison events are asked for again: a tool's own lists may be behind its webhooks.
MARGIN = timedelta(minutes=10)
#: Differences kept with a report; their number and the money are told in full.
MOST_KEPT = 1000


@dataclass(slots=True)
class Report:
    """What reconciling one workspace came to. `fault`: why it could not be done, and then nothing was done.

    `differences` are what lists told beyond the webhooks; `facts` of them were filed (with `dry_run` none). `touched`
    are the workspaces that have something to settle. Money is in minor units, before tax.
    """

    workspace_id: str
    at: datetime | None = None
    since: datetime | None = None
    fault: str | None = None
    differences: list[drift.Difference] = field(default_factory=list)
    facts: int = 0
    largest_hidden: int | None = 0
    currency: str | None = None
    dry_run: bool = False
    touched: frozenset[str] = frozenset()

    def json(self) -> dict[str, Any]:
        """The report as a program reads it."""
        return {
            "workspace_id": self.workspace_id,
            "at": self.at and calendar.written(self.at),
            "since": self.since and calendar.written(self.since),
            "fault": self.fault,
            "differences": [difference.json() for difference in self.differences],
            "facts": self.facts,
            "largest_hidden": self.largest_hidden,
            "currency": self.currency,
            "dry_run": self.dry_run,
        }


@dataclass(frozen=True, slots=True)
class _Look:
    """A workspace as it stood before its tool was asked, at the wall time `began`. `since`: when its lists were last
    known (its own time, UTC)."""

    workspace: Row
    room: Room
    api: Api
    connection: Row
    since: datetime | None
    began: datetime


def reconcile(
    database: Database,
    settings: Settings,
    workspace_id: str,
    *,
    dry_run: bool = False,
    pause: Callable[[float], object] = time.sleep,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Pull a workspace's full lists and file what they tell beyond what is known; with `dry_run` only say it.

    A tool that cannot be reached or refuses is told in `fault`. Raises NotFoundError for no such workspace,
    UnavailableError.
    """
    try:
        with database.reading() as connection:
            look = _look(connection, workspace_id)
        scope = Scope(look.workspace["external_id"], look.since and look.since - MARGIN)
        line = _line(settings, look, pause)
        try:
            snapshot = pulling.pull(look.room, scope, line, progress)
        finally:
            line.close()
        with database.transaction("reconcile.apply") as connection:
            report = _apply(connection, look, snapshot)
            report.dry_run = dry_run
            if dry_run:
                connection.rollback()
    except PullError as fault:
        report = Report(workspace_id, fault=str(fault), dry_run=dry_run, largest_hidden=None)
        if not dry_run:
            with database.transaction("reconcile.fail") as connection:
                _failed(connection, report)
    return replace(report, facts=0, touched=frozenset()) if dry_run else report


def _look(connection: Conn, workspace_id: str) -> _Look:
    workspace = workspaces.get(connection, workspace_id)
    room = rooms.load(workspace["tool"])
    if room.API is None:
        raise PullError(f"{workspace['tool']} has no lists to ask for; import a roster", retry=False)
    row = _connection(connection, workspace, room)
    first = one(connection, "SELECT min(at) AS at FROM fact WHERE workspace_id = %s", (workspace_id,))
    since: datetime | None = workspace["reconciled_at"] or (first["at"] if first else None)
    return _Look(workspace, room, room.API, row, since, wall_clock(connection))


def _connection(connection: Conn, workspace: Row, room: Room) -> Row:
    """The connection whose credential sees this workspace, and no other that could be taken for it."""
    whose = (workspace["account_id"], workspace["tool"])
    query = """SELECT * FROM connection WHERE account_id = %s AND tool = %s AND removed_at IS NULL
               AND credential IS NOT NULL"""
    found = [row for row in many(connection, query, whose) if workspace["connection_id"] in (None, row["id"])]
    if not found:
        raise PullError("its connection has no credential for the tool's API", retry=False)
    served = many(
        connection,
        """SELECT id FROM workspace WHERE account_id = %s AND tool = %s
           AND (connection_id IS NULL OR connection_id = %s)""",
        (*whose, found[0]["id"]),
    )
    # What is asked of such a tool does not name the workspace: its lists would be taken for another's.
    if len(found) > 1 or (len(served) > 1 and not room.SHARED_BOARDS):
        raise PullError("several workspaces or connections may be meant; give each workspace its own", retry=False)
    return found[0]


def _line(settings: Settings, look: _Look, pause: Callable[[float], object]) -> pulling.Line:
    sealed = settings.vault.decrypt(bytes(look.connection["credential"])).decode()
    credential = pulling.read_credential(sealed)
    return pulling.Line(look.api, look.connection["api_url"] or "", credential, settings.api_addresses, pause)


def _apply(connection: Conn, look: _Look, snapshot: Snapshot) -> Report:
    """File what the snapshot tells, all of it, in the caller's transaction."""
    workspace = workspaces.locked(connection, look.workspace["id"])
    recovered = _unknown(connection, workspace, [_placed(event, workspace, look.room) for event in snapshot.events])
    touched = roster_import.file(connection, workspace, recovered, source=None).workspaces
    known = roster_import.known(connection, workspace, workspace["now"], snapshot)
    watched = Observation(look.since or workspace["now"], _at_start(connection, workspace))
    events = roster_import.difference(workspace, workspace["now"], snapshot, known, watched)
    events = _at_rest(events, known, look.workspace["now"])
    touched |= roster_import.file(connection, workspace, events).workspaces
    proposed = drift.as_facts(workspace, events, "roster")
    facts = [*drift.as_facts(workspace, recovered, workspace["tool"]), *proposed]
    report = Report(workspace["id"], workspace["now"], look.since, facts=len(facts), touched=frozenset(touched))
    report.differences = drift.explained(connection, workspace, look.api, facts, look.since)
    report.largest_hidden, report.currency = drift.largest_hidden(connection, workspace, known, proposed)
    _keep(connection, report)
    connection.execute(
        """UPDATE workspace SET reconciled_at = %s, pulled_at = %s, pull_after = NULL, pull_fault = NULL
           WHERE id = %s""",
        (look.workspace["now"], look.began, workspace["id"]),
    )
    return report


def _placed(event: Event, workspace: Row, room: Room) -> Event:
    """An event of a tool whose events do not name the workspace: the one that was asked for."""
    if room.SHARED_BOARDS:
        return event
    name = workspace["external_id"]
    return replace(event, workspace=event.workspace or name, owner=(event.owner or name) if event.board else None)


def _unknown(connection: Conn, workspace: Row, events: Sequence[Event]) -> list[Event]:
    """The events that nobody has told yet."""
    ids = [fact.id for fact in drift.as_facts(workspace, events, workspace["tool"])]
    query = """SELECT id FROM fact WHERE workspace_id = %s AND id = ANY(%s)
               UNION SELECT id FROM board_fact WHERE account_id = %s AND tool = %s AND id = ANY(%s)"""
    values = (workspace["id"], ids, workspace["account_id"], workspace["tool"], ids)
    told = {row["id"] for row in many(connection, query, values)}
    return [event for event, name in zip(events, ids, strict=True) if name not in told]


def _at_start(connection: Conn, workspace: Row) -> bool:
    """Whether the plan bills what was observed from the start of its interval."""
    pinned = subscriptions.pins(connection, workspace["id"])
    return any(getattr(terms.rules, "observed", "end") == "start" for terms in pinned.values())


def _at_rest(events: Sequence[Event], known: Sequence[Fact], asked: datetime) -> list[Event]:
    """Without what moved since the tool was asked (UTC): there the list may be older than the webhook."""
    moved = [fact for fact in known if fact.at > asked]
    people = {fact.member for fact in moved if fact.member}
    boards = {fact.board for fact in moved if fact.kind in BOARD_KINDS}
    return [event for event in events if event.member not in people and event.board not in boards]


def _keep(connection: Conn, report: Report) -> None:
    if not report.differences and report.fault is None:
        return
    kept = [difference.json() for difference in report.differences[:MOST_KEPT]]
    connection.execute(
        """INSERT INTO drift (workspace_id, id, at, since, fault, differences, facts, largest_hidden, currency)
           VALUES (%s, %s, COALESCE(%s, now()), %s, %s, %s, %s, %s, %s)""",
        (
            report.workspace_id,
            new_id("dr"),
            report.at,
            report.since,
            report.fault,
            json.dumps(kept),
            report.facts,
            report.largest_hidden,
            report.currency,
        ),
    )


def _failed(connection: Conn, report: Report) -> None:
    workspace = workspaces.get(connection, report.workspace_id)
    report.at = workspace["now"]
    if workspace["pull_fault"] != report.fault:  # a tool that stays away for a week is one row, not hundreds
        _keep(connection, report)
    connection.execute("UPDATE workspace SET pull_fault = %s WHERE id = %s", (report.fault, report.workspace_id))
