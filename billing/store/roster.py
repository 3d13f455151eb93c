"""Writes what a settlement changed of the roster: set-based, one statement per table."""

from collections.abc import Iterable
from datetime import datetime

from billing.core.incremental import Change
from billing.core.roster import Flip, Span
from billing.store.db import Conn


def write(connection: Conn, workspace_id: str, change: Change) -> None:
    """Store heads, seats, spans and steps of one change."""
    _members(connection, workspace_id, change)
    _boards(connection, workspace_id, change)
    _seats(connection, workspace_id, change)
    _spans(connection, workspace_id, change)
    if change.steps:
        connection.execute(
            """INSERT INTO step (workspace_id, at, delta)
               SELECT %s, * FROM unnest(%s::timestamptz[], %s::int[])
               ON CONFLICT (workspace_id, at) DO UPDATE SET delta = step.delta + EXCLUDED.delta""",
            (workspace_id, list(change.steps.keys()), list(change.steps.values())),
        )


def _members(connection: Conn, workspace_id: str, change: Change) -> None:
    if not change.members:
        return
    heads = list(change.members.values())
    connection.execute(
        """INSERT INTO member (workspace_id, member, membership, deactivated, on_boards, open_boards, shut_boards,
                               billable, rule, since, fact_id, last_at, name, role)
           SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::bool[], %s::int[], %s::int[], %s::int[],
                                    %s::bool[], %s::text[], %s::timestamptz[], %s::text[], %s::timestamptz[],
                                    %s::text[], %s::text[])
           ON CONFLICT (workspace_id, member) DO UPDATE SET
               membership = EXCLUDED.membership, deactivated = EXCLUDED.deactivated, on_boards = EXCLUDED.on_boards,
               open_boards = EXCLUDED.open_boards, shut_boards = EXCLUDED.shut_boards, billable = EXCLUDED.billable,
               rule = EXCLUDED.rule, since = EXCLUDED.since, fact_id = EXCLUDED.fact_id, last_at = EXCLUDED.last_at,
               name = EXCLUDED.name, role = EXCLUDED.role""",
        (
            workspace_id,
            list(change.members),
            [head.membership for head in heads],
            [head.deactivated for head in heads],
            [head.on for head in heads],
            [head.open for head in heads],
            [head.shut for head in heads],
            [head.billable for head in heads],
            [head.rule for head in heads],
            [head.since for head in heads],
            [head.fact_id for head in heads],
            [head.last_at for head in heads],
            [head.name for head in heads],
            [head.role for head in heads],
        ),
    )


def _boards(connection: Conn, workspace_id: str, change: Change) -> None:
    if not change.boards:
        return
    heads = list(change.boards.values())
    connection.execute(
        """INSERT INTO board_head (workspace_id, board, owner, closed, initial, hint_at, explicit_at, last_at)
           SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::bool[], %s::text[], %s::timestamptz[],
                                    %s::timestamptz[], %s::timestamptz[])
           ON CONFLICT (workspace_id, board) DO UPDATE SET
               owner = EXCLUDED.owner, closed = EXCLUDED.closed, initial = EXCLUDED.initial,
               hint_at = EXCLUDED.hint_at, explicit_at = EXCLUDED.explicit_at, last_at = EXCLUDED.last_at""",
        (
            workspace_id,
            list(change.boards),
            [head.owner for head in heads],
            [head.closed for head in heads],
            [head.initial for head in heads],
            [head.hint_at for head in heads],
            [head.explicit_at for head in heads],
            [head.last_at for head in heads],
        ),
    )


def _seats(connection: Conn, workspace_id: str, change: Change) -> None:
    if change.seats:
        connection.execute(
            """INSERT INTO seat (workspace_id, board, member, present)
               SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::bool[])
               ON CONFLICT (workspace_id, board, member) DO UPDATE SET present = EXCLUDED.present""",
            (workspace_id, [b for b, _ in change.seats], [m for _, m in change.seats], list(change.seats.values())),
        )


def _spans(connection: Conn, workspace_id: str, change: Change) -> None:
    if change.rewritten:
        connection.execute(
            "DELETE FROM span WHERE workspace_id = %s AND member = ANY(%s)", (workspace_id, list(change.rewritten))
        )
    closed, opened = _net(change.flips)
    if closed:
        connection.execute(
            """UPDATE span SET end_at = ended.at FROM unnest(%s::text[], %s::timestamptz[]) AS ended(member, at)
               WHERE span.workspace_id = %s AND span.member = ended.member AND span.end_at IS NULL""",
            ([member for member, _ in closed], [at for _, at in closed], workspace_id),
        )
    spans = [*change.spans, *opened]
    if spans:
        connection.execute(
            """INSERT INTO span (workspace_id, member, start_at, end_at, fact_id)
               SELECT %s, * FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[])""",
            (
                workspace_id,
                [span.member for span in spans],
                [span.start for span in spans],
                [span.end for span in spans],
                [span.fact_id for span in spans],
            ),
        )


def _net(flips: Iterable[Flip]) -> tuple[list[tuple[str, datetime]], list[Span]]:
    """What flips mean for stored spans: which open one ends when, and which spans are new."""
    ended: list[tuple[str, datetime]] = []
    opened: list[Span] = []
    running: dict[str, Span] = {}
    for flip in flips:
        if flip.billable:
            running[flip.member] = Span(flip.member, flip.at, flip.fact_id)
        elif flip.member in running:
            begun = running.pop(flip.member)
            opened.append(Span(flip.member, begun.start, begun.fact_id, flip.at))
        else:
            ended.append((flip.member, flip.at))
    return ended, opened + list(running.values())
