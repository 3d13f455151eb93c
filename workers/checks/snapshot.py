"""What the checks look at, read in one snapshot, and how they say what is wrong."""

from dataclasses import dataclass

from billing.core.classification import Policy
from billing.core.course import Course
from billing.core.facts import Fact
from billing.core.life import course
from billing.core.lines import Line, Pins
from billing.core.statement import statement
from billing.store import rows, subscriptions, workspaces
from billing.store.db import Conn, Row, many, one
from billing.tools import room as rooms


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not come out as recomputed. `subject` is the key, id or instant it is about.

    `check` is fact, chain, statement, line, roster, charge, books, document or shuffle. A fault of `statement` is law
    3's *unexplained* difference: what the facts and pins say now is not what was posted, though no fact is new.
    `table` and `row` (its id) name the row where there is one; `says` is what it says, `should` what it should say.
    """

    workspace_id: str
    check: str
    subject: str
    detail: str
    table: str = ""
    row: str = ""
    says: str = ""
    should: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One workspace: its row, its course, pins, settled facts, what they say is owed, its `line` and `entry` rows.

    `owed` is the full statement, or None with `unpinned` saying why there is none. `waiting` counts facts heard and
    not yet settled that lie at or before `settled_through`: what they change is not posted yet.
    """

    workspace: Row
    course: Course
    pins: Pins
    facts: list[Fact]
    owed: tuple[Line, ...] | None
    unpinned: str
    lines: dict[str, Row]
    entries: dict[str, list[Row]]
    waiting: int

    def elsewhere(self, entry: Row) -> bool:
        """Whether an entry is of seats that were paid for elsewhere: posted, taken as collected, never charged."""
        paid = {stretch.key for stretch in self.course.stretches if stretch.elsewhere}
        return (entry["subscription_id"], entry["n"]) in paid and entry["kind"] == "period"

    @property
    def base(self) -> Policy:
        """Who takes a seat of the tool before a plan says so."""
        return _base(self.workspace)

    @property
    def id(self) -> str:
        """The workspace's id."""
        return str(self.workspace["id"])

    def fault(self, check: str, subject: str, detail: str, *row: str) -> Fault:
        """A fault of this workspace; `row` is its table, its id, what it says and what it should say."""
        return Fault(self.id, check, subject, detail, *row)


def _base(workspace: Row) -> Policy:
    return rooms.seats(workspace["tool"])


_FACTS = "SELECT * FROM fact WHERE workspace_id = %s AND settled_at IS NOT NULL AND at <= %s"
_WAITING = "SELECT count(*)::int AS n FROM fact WHERE workspace_id = %s AND settled_at IS NULL AND at <= %s"


def take(connection: Conn, workspace_id: str) -> Snapshot:
    """Read a workspace and compute its full statement. Raises NotFoundError."""
    workspace = workspaces.get(connection, workspace_id)
    through = workspace["settled_through"]
    pins = subscriptions.pins(connection, workspace_id)
    facts = [rows.fact(row) for row in many(connection, _FACTS, (workspace_id, through))]
    life = course(facts, through, workspace["time_zone"]) if through else Course()
    owed, unpinned = _owed(facts, pins, workspace)
    waiting = one(connection, _WAITING, (workspace_id, through))
    lines = many(connection, "SELECT * FROM line WHERE workspace_id = %s", (workspace_id,))
    entries: dict[str, list[Row]] = {}
    for row in many(connection, "SELECT * FROM entry WHERE workspace_id = %s ORDER BY seq", (workspace_id,)):
        entries.setdefault(row["key"], []).append(row)
    by_key = {row["key"]: row for row in lines}
    return Snapshot(workspace, life, pins, facts, owed, unpinned, by_key, entries, waiting["n"] if waiting else 0)


def _owed(facts: list[Fact], pins: Pins, workspace: Row) -> tuple[tuple[Line, ...] | None, str]:
    through = workspace["settled_through"]
    if through is None:
        return (), ""
    try:
        return statement(facts, pins, through, workspace["external_id"], workspace["time_zone"], _base(workspace)), ""
    except KeyError as missing:
        return None, f"period {missing} has opened and pinned no terms"
