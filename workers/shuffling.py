"""Law 1 on the user's own data: this database's deliveries and roster facts again, in random orders, into a scratch
schema, settled there and compared with what stands. Charges are opened as always; nothing is sent anywhere.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from billing.core.errors import ConflictError
from billing.core.plans import RERATING_DAYS
from billing.store import intake
from billing.store.db import Conn, Row, many, one
from billing.tools import room as rooms
from billing.tools.room import Event
from workers import reading
from workers.checks.snapshot import Fault
from workers.checks.standing import State, compare, state
from workers.scratch import Scratch, scratch
from workers.settle import settle_fully

#: The share of batches done twice, because the first time died before its commit.
_DIES = 0.1
#: The share of batches whose workspaces are settled only with a later one.
_UNSETTLED = 0.2
#: What law 1 is of; and how far two stops of the clocks lie apart at most, so that each fact has one within it.
_WINDOW, _APART = timedelta(days=RERATING_DAYS), timedelta(days=180)
#: Stays from round to round; everything else begins empty.
_KEPT = ("account", "connection", "delivery", "delivery_body", "period", "catalogue", "price")


@dataclass(slots=True)
class Shuffled:
    """What shuffling found. `skipped` says why workspaces could not be compared now; that is no fault."""

    rounds: int
    seed: int
    workspaces: int = 0
    deliveries: int = 0
    facts: int = 0
    faults: list[Fault] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """The counts as a program reads them; the faults are told with those of `verify`."""
        return {name: value for name, value in asdict(self).items() if name != "faults"}


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing to happen in a scratch schema, not before the clocks stand at `at`: a delivery is heard, a fact that
    has no delivery any more is filed, or a workspace becomes known (`row`)."""

    kind: str
    id: str
    at: datetime | None = None
    row: Row | None = None
    first: datetime | None = None
    heard: datetime | None = None

    @property
    def old(self) -> bool:
        """Whether it was heard when it was too old to move money from its own instant on (law 10)."""
        return self.first is not None and self.heard is not None and self.heard - self.first > _WINDOW

    def may_be_heard(self, stop: datetime) -> bool:
        """Whether it may be heard when the clocks stand at `stop`."""
        if self.old:
            return stop == self.heard
        after = self.at is None or stop >= self.at
        return after and (self.first is None or stop - self.first < _WINDOW)


@dataclass(slots=True)
class _Group:
    """All workspaces of one account and tool: they share connections and boards, so they are shuffled together."""

    source: intake.Source
    workspaces: list[Row]
    items: list[_Item] = field(default_factory=list)
    commands: list[Row] = field(default_factory=list)
    states: dict[str, State] = field(default_factory=dict)


def shuffle(
    database_url: str, workspace_id: str | None, rounds: int, seed: int, progress: Callable[[int, int], None]
) -> Shuffled:
    """Shuffle all workspaces, or the one and those it shares boards with, `rounds` times; the same seed, the same
    orders. `progress` hears (done, of how many). Raises UnavailableError.
    """
    found = Shuffled(rounds, seed)
    with scratch(database_url) as room:
        with room.looking_at_live() as connection:
            groups = many(connection, _GROUPS, {"workspace": workspace_id})
        for number, row in enumerate(groups):
            progress(number * rounds, len(groups) * rounds)
            try:
                group = _copied(room, row, workspace_id)
            except ConflictError as busy:
                room.connection.rollback()
                found.skipped.append(str(busy))
                continue
            found.workspaces += len(group.states)
            found.deliveries += sum(item.kind == "delivery" for item in group.items)
            found.facts += sum(item.kind == "fact" for item in group.items) + len(group.commands)
            for turn in range(rounds):
                _Round(room, group, Random(f"{seed}/{turn}")).play()  # noqa: S311 - an order, not a secret
                found.faults += _compared(room, group, turn)
                progress(number * rounds + turn + 1, len(groups) * rounds)
    return found


def _compared(room: Scratch, group: _Group, turn: int) -> list[Fault]:
    faults = [
        Fault(workspace, "shuffle", subject, f"round {turn + 1}: {detail}")
        for workspace, before in group.states.items()
        for subject, detail in compare(before, state(room.connection, workspace))
    ]
    room.connection.commit()
    return faults


def _copied(room: Scratch, row: Row, workspace_id: str | None) -> _Group:
    """Copy what a group was told into the scratch schema; note how it stands. Raises ConflictError when work waits."""
    base: dict[str, Any] = {"account": row["account_id"], "tool": row["tool"]}
    with room.looking_at_live() as connection:
        group = _Group(
            intake.Source(row["account_id"], row["tool"], rooms.load(row["tool"]).SHARED_BOARDS),
            many(connection, _WORKSPACES, base),
        )
        _must_rest(connection, group)
        room.empty()
        base["ids"] = [workspace["id"] for workspace in group.workspaces]
        base["connections"] = [found["id"] for found in many(connection, _CONNECTIONS, base)]
        room.copy("account", "id = %(account)s", base)
        room.copy("connection", "id = ANY(%(connections)s)", base)
        room.copy("delivery", _HEARD, base)
        room.copy("delivery_body", "id IN (SELECT id FROM pg_temp.delivery)", base)
        room.copy("period", "workspace_id = ANY(%(ids)s)", base)
        room.copy("catalogue", "true", base)
        room.copy("price", "true", base)
        group.items = list(_items(connection, group, base))
        group.commands = many(connection, _COMMANDS, base)
        wanted = [workspace_id] if workspace_id else base["ids"]
        group.states = {name: state(connection, name) for name in wanted}
        # Waits for nothing: what is heard when is the round's to say.
        connection.execute("UPDATE pg_temp.delivery SET state = 'parked', waits_for = NULL, facts = '{}'")
    return group


def _must_rest(connection: Conn, group: _Group) -> None:
    """Law 1 speaks of quiescence: nothing may wait to be read or settled. Raises ConflictError naming what does."""
    base = {"account": group.source.account_id, "tool": group.source.tool}
    ids, nows = [row["id"] for row in group.workspaces], [row["now"] for row in group.workspaces]
    counts = one(connection, _BUSY, base | {"ids": ids, "nows": nows}) or {}
    counts["due workspaces"] = sum(bool(row["due_at"] and row["due_at"] <= row["now"]) for row in group.workspaces)
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    if told:
        raise ConflictError(f"{base['tool']} workspaces of account {base['account']} wait for {told}; try again later")


def _items(connection: Conn, group: _Group, base: dict[str, Any]) -> Iterator[_Item]:
    for row in many(connection, _DELIVERIES, base):
        yield _Item("delivery", row["id"], row["at"], None, row["first"], row["heard"])
    for row in many(connection, _FACTS, base):
        yield _Item("fact", row["id"], row["at"], row, row["at"], row["heard_at"])
    for row in group.workspaces:
        yield _Item("workspace", row["id"], None, row)


class _Round:
    """One random order, with copies, batches, deaths and clocks that move while it is heard."""

    def __init__(self, room: Scratch, group: _Group, random: Random) -> None:
        self.room = room
        self.connection = room.connection
        self.group = group
        self.random = random
        self.unsettled: set[str] = set()
        self.known: set[str] = set()

    def play(self) -> None:
        """From nothing to quiescence at the `now` of each workspace."""
        self.room.empty(keep=_KEPT)
        self.connection.execute("UPDATE delivery SET state = 'parked', waits_for = NULL")
        self._commands()
        self.connection.commit()
        stops = self._stops()
        queues = self._queues(stops)
        for stop, queue, later in zip(stops, queues, [*queues[1:], queues[-1]], strict=True):
            self._advance(stop)
            while queue:
                size = min(len(queue), self.random.choice((1, 1, 2, 5, 20, 1 + len(queue) // 10)))
                missed = self._survive([queue.pop() for _ in range(size)])
                # What waits for a workspace comes again behind it: in this queue, or in the next.
                later[:0] = missed
        self._settle(self.known)
        self.connection.commit()

    def _survive(self, batch: list[_Item]) -> list[_Item]:
        """Hear a batch; now and then it dies before its commit and is heard again."""
        if self.random.random() < _DIES:
            before = set(self.unsettled), set(self.known)
            self._hear(batch)
            self.connection.rollback()
            self.unsettled, self.known = before
        missed = self._hear(batch)
        self.connection.commit()
        return missed

    def _stops(self) -> list[datetime]:
        """Where the clocks stand in turn; the last is the latest now.

        Law 1 is of facts heard within the re-rating window: so there is a stop within the window of each, and facts
        that were really heard later are heard at that very instant again (law 10).
        """
        last: datetime = max(row["now"] for row in self.group.workspaces)
        first = min((item.first for item in self.group.items if item.first), default=last)
        within = max(0.0, (last - first).total_seconds())
        some = [first + timedelta(seconds=within * self.random.random()) for _ in range(self.random.randrange(4))]
        steps = int(within // _APART.total_seconds())
        some += [first + n * _APART for n in range(1, steps + 1)]
        some += [item.heard for item in self.group.items if item.heard and item.old]
        return [*sorted({stop for stop in some if stop < last}), last]

    def _queues(self, stops: list[datetime]) -> list[list[_Item]]:
        """Which item is heard at which stop: never before it happened, and some of them twice."""
        queues: list[list[_Item]] = [[] for _ in stops]
        copies = [item for item in self.group.items if item.kind != "workspace" and self.random.random() < 0.2]
        long = stops[-1] - stops[0] > _APART
        for item in [*self.group.items, *copies]:
            open_to = [n for n, stop in enumerate(stops) if item.may_be_heard(stop)] or [len(stops) - 1]
            known = item.kind == "workspace" and (long or self.random.random() < 0.7)
            queues[0 if known else self.random.choice(open_to)].append(item)
        for queue in queues:
            self.random.shuffle(queue)
        if long:  # what waited for its workspace would be heard too late; the end of a queue comes first
            queues[0].sort(key=lambda item: item.kind == "workspace")
        return queues

    def _advance(self, stop: datetime) -> None:
        rows = [(min(stop, row["now"]), f"shuffle-{row['id']}") for row in self.group.workspaces]
        self.connection.cursor().executemany(
            """INSERT INTO clock (now, id, account_id) VALUES (%s, %s, '')
               ON CONFLICT (id) DO UPDATE SET now = EXCLUDED.now""",
            rows,
        )
        if self.random.random() < 0.5:
            self._settle(self.known)
        self.connection.commit()

    def _hear(self, batch: list[_Item]) -> list[_Item]:
        """Hear a batch in one transaction; answers facts whose workspace is not known yet."""
        for item in batch:
            if item.kind == "workspace" and item.row:
                self._adopt(item.row)
        deliveries = [item.id for item in batch if item.kind == "delivery"]
        self.connection.execute("UPDATE delivery SET state = 'kept' WHERE id = ANY(%s)", (deliveries,))
        missed = self._file([item for item in batch if item.kind == "fact"])
        for row in many(self.connection, "SELECT DISTINCT connection_id AS id FROM delivery WHERE state = 'kept'"):
            self._read(row["id"])
        if self.random.random() >= _UNSETTLED:
            self._settle(self.unsettled)
            self.unsettled = set()
        return missed

    def _read(self, connection_id: str) -> None:
        count = reading.BATCH
        while count == reading.BATCH:
            count, touched = reading.read_batch(self.connection, connection_id)
            self.unsettled |= touched

    def _file(self, items: list[_Item]) -> list[_Item]:
        """File facts as they are, where what told them is gone: a roster import, a delivery whose body was dropped."""
        pairs = [(item, _heard(item.row)) for item in items if item.row]
        filed = intake.file(self.connection, self.group.source, [heard for _, heard in pairs])
        self.unsettled |= filed.workspaces
        return [item for item, heard in pairs if heard.waits_for and not self._kept_by_board(heard.event)]

    def _kept_by_board(self, event: Event) -> bool:
        return self.group.source.shared_boards and event.kind.startswith("board.")

    def _adopt(self, row: Row) -> None:
        self.connection.execute(_BORN, row | {"clock": f"shuffle-{row['id']}"})
        intake.adopt(self.connection, row["id"])
        self.known.add(row["id"])
        self.unsettled.add(row["id"])

    def _commands(self) -> None:
        """Accepted commands and payments are fixed (laws 5 and 6): filed from the beginning, they come in time."""
        for row in self.group.commands:
            columns = {name: value for name, value in row.items() if name not in ("seq", "settled_at")}
            columns |= {"data": Jsonb(row["data"])}
            values = ", ".join(f"%({name})s" for name in columns)
            self.connection.execute(f"INSERT INTO fact ({', '.join(columns)}) VALUES ({values})", columns)  # noqa: S608

    def _settle(self, workspace_ids: set[str]) -> None:
        for workspace_id in sorted(workspace_ids):
            settle_fully(self.connection, workspace_id, "live")


def _heard(row: Row) -> intake.Heard:
    """A fact's row as it was heard."""
    event = Event(
        kind=row["kind"],
        at=row["at"],
        source_id=row["source_id"],
        ordinal=row["ordinal"],
        workspace=row["workspace"],
        board=row["board"],
        owner=row["owner"],
        member=row["member"],
        seq=row["source_seq"],
        data=row["data"],
    )
    return intake.Heard(event, row["heard_at"], row["delivery_id"], row["source"])


_GROUPS = """
SELECT DISTINCT account_id, tool FROM workspace WHERE %(workspace)s::text IS NULL OR id = %(workspace)s ORDER BY 1, 2
"""
_WORKSPACES = """
SELECT w.*, GREATEST(COALESCE(c.now, clock_timestamp()), w.settled_through) AS now
FROM workspace w LEFT JOIN clock c ON c.id = w.clock_id
WHERE w.account_id = %(account)s AND w.tool = %(tool)s ORDER BY w.id
"""
_CONNECTIONS = "SELECT id FROM connection WHERE account_id = %(account)s AND tool = %(tool)s"
_BUSY = """
SELECT (SELECT count(*) FROM delivery d JOIN connection k ON k.id = d.connection_id
        WHERE k.account_id = %(account)s AND k.tool = %(tool)s AND d.state = 'kept') AS "kept deliveries",
       (SELECT count(*) FROM fact f JOIN unnest(%(ids)s::text[], %(nows)s::timestamptz[]) AS w(id, now)
        ON f.workspace_id = w.id WHERE f.settled_at IS NULL AND f.at <= w.now) AS "unsettled facts"
"""
#: Read and understood, and no impostor of another delivery. What was quarantined is outside law 1.
_HEARD: LiteralString = """connection_id = ANY(%(connections)s) AND dedupe_key = delivery_id
AND state IN ('done', 'ignored', 'parked') AND id IN (SELECT id FROM delivery_body)"""
#: When the latest event of each copied delivery happened; null: it made no fact.
_DELIVERIES = """
SELECT d.id, max(f.at) AS at, min(f.at) AS first, max(f.heard_at) AS heard FROM pg_temp.delivery d
LEFT JOIN LATERAL unnest(d.facts) AS told(id) ON true
LEFT JOIN (SELECT id, at, heard_at FROM fact WHERE workspace_id = ANY(%(ids)s)
           UNION ALL SELECT id, at, NULL FROM board_fact WHERE account_id = %(account)s AND tool = %(tool)s) f
ON f.id = told.id GROUP BY d.id ORDER BY d.id
"""
#: Facts that no copied delivery will tell again, commands apart.
_FACTS = """
SELECT DISTINCT ON (id) * FROM (
    SELECT id, kind, at, heard_at, source, source_id, ordinal, member, board, workspace, owner, source_seq, data,
           delivery_id FROM board_fact WHERE account_id = %(account)s AND tool = %(tool)s
    UNION ALL
    SELECT id, kind, at, heard_at, source, source_id, ordinal, member, board, workspace, owner, source_seq, data,
           delivery_id FROM fact WHERE workspace_id = ANY(%(ids)s) AND source NOT IN ('command', 'payment')
) f WHERE NOT EXISTS (SELECT FROM pg_temp.delivery d WHERE d.id = f.delivery_id) ORDER BY id
"""
_COMMANDS = "SELECT * FROM fact WHERE workspace_id = ANY(%(ids)s) AND source IN ('command', 'payment') ORDER BY seq"
_BORN = """
INSERT INTO workspace (id, account_id, tool, external_id, name, connection_id, time_zone, clock_id, collect)
VALUES (%(id)s, %(account_id)s, %(tool)s, %(external_id)s, %(name)s, %(connection_id)s, %(time_zone)s, %(clock)s,
        %(collect)s)
"""
