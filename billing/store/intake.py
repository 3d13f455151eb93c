"""Files what rooms read: facts of a workspace go to it, facts of a shared board to the board and to each of its homes.

A home of a board is every workspace that any attach or shown owner ever named; each gets a copy of all the board's
facts, so that a workspace's statement depends on its own rows alone and no settlement reads another workspace.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from billing.core.facts import fact_id
from billing.store.db import Conn, Row, many, one
from billing.store.workspaces import by_external_ids
from billing.tools.room import Event

#: How far ahead of the moment we hear of it a fact may lie (law 4).
AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Source:
    """Whose facts these are: the account, the tool, whether the tool's boards are shared between workspaces, and the
    connection they came by, where the tool's deliveries do not say which workspace they are of."""

    account_id: str
    tool: str
    shared_boards: bool
    connection_id: str | None = None


@dataclass(slots=True)
class Heard:
    """One event and how we heard of it; `filed` fills in what became of it."""

    event: Event
    heard_at: datetime
    delivery_id: str | None = None
    source: str | None = None
    workspace_id: str | None = None
    waits_for: str | None = None
    quarantined: str | None = None
    id: str = ""


@dataclass(slots=True)
class Filed:
    """The workspaces that have something new to settle."""

    workspaces: set[str] = field(default_factory=set)


def file(connection: Conn, source: Source, heard: Sequence[Heard]) -> Filed:
    """File events as facts; the same event again changes nothing. Marks on each what it waits for, if anything."""
    # A workspace is created under the exclusive form of this lock: it sees all facts filed before, or they see it.
    connection.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 7))", (source.account_id,))
    for one_heard in heard:
        event = one_heard.event
        one_heard.id = fact_id(source.account_id, one_heard.source or source.tool, event.source_id, event.ordinal)
    on_boards = [one_heard for one_heard in heard if _on_shared_board(source, one_heard.event)]
    direct = [one_heard for one_heard in heard if not _on_shared_board(source, one_heard.event)]
    nameless = [one_heard for one_heard in direct if _names_only_a_board(one_heard.event)]
    homeless = [h for h in direct if not source.shared_boards and h.event.workspace is None and h.event.owner is None]
    if homeless and source.connection_id:
        _take_home(connection, source, homeless)
    _take_turns(connection, source, [*on_boards, *nameless])
    filed = Filed()
    known = by_external_ids(connection, source.account_id, source.tool, _named(heard))
    _judge(connection, source, on_boards, known)
    _file_boards(connection, source, [h for h in on_boards if not h.quarantined], filed)
    if nameless:  # after the boards: what this very batch says of a board's owner counts
        _name_workspaces(connection, source, nameless)
        known |= by_external_ids(connection, source.account_id, source.tool, _named(nameless))
    _judge(connection, source, direct, known)
    for one_heard in direct:
        if one_heard.event.kind.startswith("member."):  # the owner of a board is told by what is filed under the board
            one_heard.event = replace(one_heard.event, owner=None)
    _file_direct(connection, _once(h for h in direct if h.workspace_id and not h.quarantined), source.tool, filed)
    return filed


def _once(heard: Iterable[Heard]) -> list[Heard]:
    """Each fact once, though a batch may carry it in several wrappings: the one that shows the greatest owner.

    In whatever order wrappings come, by batches or one by one, the same owner stays (law 1).
    """
    unique: dict[str, Heard] = {}
    for one_heard in heard:
        known = unique.get(one_heard.id)
        if known is None or _shown(known.event) < _shown(one_heard.event):
            unique[one_heard.id] = one_heard
    return list(unique.values())


def _shown(event: Event) -> tuple[bool, str]:
    return event.owner is not None, event.owner or ""


def _take_turns(connection: Conn, source: Source, heard: Iterable[Heard]) -> None:
    """One reader at a time for each board, in one order, so that no copy is missed and nobody deadlocks."""
    boards = sorted({h.event.board for h in heard if h.event.board})
    if boards:
        connection.execute(
            """INSERT INTO board (account_id, tool, board)
               SELECT %s, %s, b FROM unnest(%s::text[]) AS b
               ON CONFLICT (account_id, tool, board) DO UPDATE SET board = EXCLUDED.board""",
            (source.account_id, source.tool, boards),
        )


def _on_shared_board(source: Source, event: Event) -> bool:
    return source.shared_boards and event.board is not None and event.kind.startswith("board.")


def _names_only_a_board(event: Event) -> bool:
    return event.workspace is None and event.board is not None and event.kind.startswith("member.")


def _name_workspaces(connection: Conn, source: Source, heard: Iterable[Heard]) -> None:
    """A fact of a person that names only a board belongs to the workspace that shows as, or last became, its owner."""
    for one_heard in heard:
        event = one_heard.event
        owner = event.owner or _last_owner(connection, source, event.board or "")
        if owner:
            one_heard.event = replace(event, workspace=owner)


def _take_home(connection: Conn, source: Source, heard: Iterable[Heard]) -> None:
    """What names no workspace is of the one that its connection serves; with none, or several, it waits for that."""
    query = "SELECT external_id FROM workspace WHERE connection_id = %s LIMIT 2"
    served = many(connection, query, (source.connection_id,))
    if len(served) == 1:
        name = served[0]["external_id"]
        for one_heard in heard:
            one_heard.event = replace(one_heard.event, workspace=name, owner=name)


def _last_owner(connection: Conn, source: Source, board: str) -> str | None:
    row = one(
        connection,
        """SELECT COALESCE(workspace, owner) AS owner FROM board_fact
           WHERE account_id = %s AND tool = %s AND board = %s AND COALESCE(workspace, owner) <> ''
           ORDER BY (kind = 'board.attached') DESC, at DESC LIMIT 1""",
        (source.account_id, source.tool, board),
    )
    return str(row["owner"]) if row else None


def _named(heard: Iterable[Heard]) -> set[str]:
    return {name for h in heard for name in (h.event.workspace, h.event.owner) if name}


def _judge(connection: Conn, source: Source, heard: Iterable[Heard], known: dict[str, Row]) -> None:
    """Find each event's workspace and its time; say what it waits for, or why it is quarantined.

    What waits for its workspace is judged when that is known: its clock may stand far ahead of the wall's.
    """
    for one_heard in heard:
        event = one_heard.event
        workspace = known.get(event.workspace or event.owner or "")
        if workspace and workspace["now"] is not None:
            one_heard.heard_at = workspace["now"]
        shared = _on_shared_board(source, event)
        if event.at > one_heard.heard_at + AHEAD and (
            workspace or (shared and not _clocked_until(connection, source, event.at))
        ):
            one_heard.quarantined = "dated more than 5 minutes ahead of the moment it was heard (law 4)"
        if workspace and not shared:
            one_heard.workspace_id = workspace["id"]
        elif workspace is None and (not shared or (event.kind == "board.attached" and event.workspace)):
            one_heard.waits_for = waits_for(source.account_id, source.tool, event.workspace, event.board)
            if not shared and event.workspace is None and not source.shared_boards and source.connection_id:
                one_heard.waits_for = by_connection(source.account_id, source.tool, source.connection_id)


def _clocked_until(connection: Conn, source: Source, at: datetime) -> bool:
    """Whether a clock of the account has come to that instant: a board's own workspace may not be known yet."""
    row = one(
        connection,
        """SELECT EXISTS (SELECT FROM workspace w JOIN clock c ON c.id = w.clock_id
                          WHERE w.account_id = %s AND w.tool = %s AND c.now >= %s) AS found""",
        (source.account_id, source.tool, at - AHEAD),
    )
    return bool(row and row["found"])


def waits_for(account_id: str, tool: str, workspace: str | None, board: str | None = None) -> str:
    """What a parked delivery waits for: a workspace to become known, or a board to get an owner."""
    return f"{account_id}/{tool}/{workspace}" if workspace else f"{account_id}/{tool}/board:{board}"


def by_connection(account_id: str, tool: str, connection_id: str) -> str:
    """What a parked delivery waits for that names no workspace: the one its connection serves."""
    return f"{account_id}/{tool}/connection:{connection_id}"


_COLUMNS = (
    "id, kind, at, heard_at, source, source_id, ordinal, member, board, workspace, owner, source_seq, data, delivery_id"
)
#: The same columns of a board's fact `b`, heard by workspace `w` whose clock is `c`.
_COPIED = (
    "b.id, b.kind, b.at, COALESCE(c.now, b.heard_at), b.source, b.source_id, b.ordinal, b.member, b.board, "
    "b.workspace, b.owner, b.source_seq, b.data, b.delivery_id"
)
_UNNEST = """unnest(%(ids)s::text[], %(kinds)s::text[], %(ats)s::timestamptz[], %(heards)s::timestamptz[],
    %(sources)s::text[], %(source_ids)s::text[], %(ordinals)s::int[], %(members)s::text[], %(boards)s::text[],
    %(workspaces)s::text[], %(owners)s::text[], %(seqs)s::bigint[], %(datas)s::jsonb[], %(deliveries)s::text[])"""


def _arrays(tool: str, heard: Sequence[Heard]) -> dict[str, object]:
    events = [h.event for h in heard]
    return {
        "ids": [h.id for h in heard],
        "kinds": [e.kind for e in events],
        "ats": [e.at for e in events],
        "heards": [h.heard_at for h in heard],
        "sources": [h.source or tool for h in heard],
        "source_ids": [e.source_id for e in events],
        "ordinals": [e.ordinal for e in events],
        "members": [e.member for e in events],
        "boards": [e.board for e in events],
        "workspaces": [e.workspace for e in events],
        "owners": [e.owner for e in events],
        "seqs": [e.seq for e in events],
        "datas": [json.dumps(dict(e.data) | ({"name": e.name} if e.name else {})) for e in events],
        "deliveries": [h.delivery_id for h in heard],
    }


def _file_direct(connection: Conn, heard: Sequence[Heard], tool: str, filed: Filed) -> None:
    if not heard:
        return
    # In one order: two connections may bring the same events, and their readers must not wait for each other.
    heard = sorted(heard, key=lambda one_heard: (one_heard.workspace_id or "", one_heard.id))
    found = many(
        connection,
        f"""INSERT INTO fact (workspace_id, {_COLUMNS})
            SELECT * FROM {_UNNEST.replace("unnest(", "unnest(%(homes)s::text[], ")}
            ON CONFLICT (workspace_id, id) DO NOTHING RETURNING workspace_id""",  # noqa: S608 - constants of this file
        _arrays(tool, heard) | {"homes": [h.workspace_id for h in heard]},
    )
    filed.workspaces.update(row["workspace_id"] for row in found)


def _file_boards(connection: Conn, source: Source, heard: Sequence[Heard], filed: Filed) -> None:
    if not heard:
        return
    base = {"account": source.account_id, "tool": source.tool}
    once = _once(heard)
    kept = many(
        connection,
        f"""INSERT INTO board_fact (account_id, tool, {_COLUMNS})
            SELECT %(account)s, %(tool)s, * FROM {_UNNEST}
            ON CONFLICT (account_id, tool, board, id) DO UPDATE SET owner = EXCLUDED.owner
            WHERE EXCLUDED.owner IS NOT NULL  -- the greater owner stays; see `_once`
              AND (board_fact.owner IS NULL OR board_fact.owner COLLATE "C" < EXCLUDED.owner COLLATE "C")
            RETURNING id, xmax::text <> '0' AS known""",  # noqa: S608 - constants of this file
        base | _arrays(source.tool, once),
    )
    named = sorted({(name, h.event.board or "") for h in heard for name in (h.event.workspace, h.event.owner) if name})
    found = many(
        connection,
        """INSERT INTO board_home (account_id, tool, external_id, board)
           SELECT %(account)s, %(tool)s, * FROM unnest(%(names)s::text[], %(boards)s::text[])
           ON CONFLICT DO NOTHING RETURNING external_id, board""",
        base | {"names": [name for name, _ in named], "boards": [board for _, board in named]},
    )
    new = [(row["external_id"], row["board"]) for row in found]
    boards = sorted({h.event.board for h in once if h.event.board})
    filed.workspaces |= copy_home(connection, source, boards, [h.id for h in once], new)
    filed.workspaces |= _show_owners(connection, source, [row["id"] for row in kept if row["known"]])
    unpark(connection, [waits_for(source.account_id, source.tool, None, board) for _, board in new])


def _show_owners(connection: Conn, source: Source, ids: Sequence[str]) -> set[str]:
    """Give the copies of board facts the owner that another wrapping has shown; they are settled anew."""
    if not ids:
        return set()
    found = many(
        connection,
        """WITH shown AS (
               SELECT f.workspace_id, f.id, b.owner FROM board_fact b
               JOIN board_home h ON (h.account_id, h.tool, h.board) = (b.account_id, b.tool, b.board)
               JOIN workspace w ON (w.account_id, w.tool, w.external_id) = (h.account_id, h.tool, h.external_id)
               JOIN fact f ON f.workspace_id = w.id AND f.id = b.id
               WHERE b.account_id = %s AND b.tool = %s AND b.id = ANY(%s) AND f.owner IS DISTINCT FROM b.owner
               ORDER BY f.id FOR UPDATE OF f
           )
           UPDATE fact SET owner = shown.owner, settled_at = NULL FROM shown
           WHERE fact.workspace_id = shown.workspace_id AND fact.id = shown.id RETURNING fact.workspace_id""",
        (source.account_id, source.tool, list(ids)),
    )
    return {row["workspace_id"] for row in found}


def copy_home(
    connection: Conn, source: Source, boards: Sequence[str], ids: Sequence[str], homes: Sequence[tuple[str, str]]
) -> set[str]:
    """Copy board facts to the boards' homes: the facts `ids`, and everything of each board to a home just named.

    Answers the workspaces that got something new. A clocked workspace hears at its clock's now. A row that is there is
    not even locked: a settlement that marks it would wait for us, and we for it.
    """
    base = {"account": source.account_id, "tool": source.tool, "boards": list(boards), "ids": list(ids)}
    found = many(connection, _COPY.format("b.id = ANY(%(ids)s)"), base) if ids else []
    if homes:  # apart, because the whole history of a board is read here
        named = {"names": [name for name, _ in homes], "home_boards": [board for _, board in homes]}
        these = "(h.external_id, h.board) IN (SELECT * FROM unnest(%(names)s::text[], %(home_boards)s::text[]))"
        found += many(connection, _COPY.format(these), base | named)
    return {row["workspace_id"] for row in found}


_COPY = f"""INSERT INTO fact (workspace_id, {_COLUMNS})
SELECT w.id, {_COPIED}
FROM board_fact b
JOIN board_home h ON (h.account_id, h.tool, h.board) = (b.account_id, b.tool, b.board)
JOIN workspace w ON (w.account_id, w.tool, w.external_id) = (h.account_id, h.tool, h.external_id)
LEFT JOIN clock c ON c.id = w.clock_id
WHERE b.account_id = %(account)s AND b.tool = %(tool)s AND b.board = ANY(%(boards)s) AND {{}}
  AND NOT EXISTS (SELECT FROM fact f WHERE f.workspace_id = w.id AND f.id = b.id)
ON CONFLICT (workspace_id, id) DO NOTHING
RETURNING workspace_id"""  # noqa: S608 - constants of this file


def unpark(connection: Conn, keys: Sequence[str]) -> None:
    """Read again, with their first `heard_at`, the deliveries that waited for one of `keys` and have their bodies."""
    connection.execute(
        """UPDATE delivery SET state = 'kept', reason = NULL, waits_for = NULL, due_at = now()
           WHERE state = 'parked' AND waits_for = ANY(%s)
             AND EXISTS (SELECT FROM delivery_body b WHERE b.id = delivery.id)""",
        (list(keys),),
    )


def adopt(connection: Conn, workspace_id: str) -> None:
    """A workspace became known: give it the facts of its boards and read again what waited for it.

    Call in the transaction that creates it, before the insert or after.
    """
    row = one(connection, "SELECT * FROM workspace WHERE id = %s", (workspace_id,))
    assert row is not None  # noqa: S101 - the caller has just made it
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", (row["account_id"],))
    boards = many(
        connection,
        "SELECT board FROM board_home WHERE account_id = %s AND tool = %s AND external_id = %s",
        (row["account_id"], row["tool"], row["external_id"]),
    )
    names = [board["board"] for board in boards]
    source = Source(row["account_id"], row["tool"], shared_boards=True)
    copy_home(connection, source, names, [], [(row["external_id"], board) for board in names])
    keys = [waits_for(row["account_id"], row["tool"], row["external_id"])]
    if row["connection_id"]:
        keys.append(by_connection(row["account_id"], row["tool"], row["connection_id"]))
    unpark(connection, keys)
