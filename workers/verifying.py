"""Verify: recompute every line, balance and chain of a database from its facts, and name what does not come out."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from billing.store import workspaces
from billing.store.db import Conn, Database, many, one
from billing.store.ids import new_id
from workers.checks import chain, facts, lines, money, papers, roster
from workers.checks.snapshot import Fault, Snapshot, take

#: The kind of the alarm of a difference whose facts did not change (law 3).
UNEXPLAINED = "unexplained"
_ALARM = """
INSERT INTO alarm (id, kind, workspace_id, detail)
SELECT %(id)s, %(kind)s, %(workspace)s, %(detail)s WHERE NOT EXISTS (
    SELECT FROM alarm WHERE kind = %(kind)s AND workspace_id = %(workspace)s AND starts_with(detail, %(subject)s))
"""


#: Where a head that somebody reads from paper stood: on a document of that number, or anywhere in a workspace.
_STOOD = """
SELECT workspace_id, id, content->>'chain_head' AS head FROM document WHERE number = %(name)s
UNION ALL SELECT id, id, NULL FROM workspace WHERE id = %(name)s
"""
_COUNTS = """
SELECT (SELECT count(*)::int FROM member WHERE workspace_id = %(workspace)s) AS people,
       (SELECT count(*)::int FROM charge WHERE workspace_id = %(workspace)s) AS charges,
       (SELECT count(*)::int FROM document WHERE workspace_id = %(workspace)s) AS documents
"""


@dataclass(frozen=True, slots=True)
class Paper:
    """A head of the chain as it is printed: on a document of that number (or of a workspace of that id), and its first
    hexadecimal digits."""

    name: str
    head: str


@dataclass(slots=True)
class Report:
    """What was verified, `counts` by what it is. `waiting` are workspaces whose lines or roster could not be judged,
    because a fact of theirs is heard and not yet settled: no fault, ask again."""

    workspaces: int = 0
    faults: list[Fault] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether everything came out as recomputed."""
        return not self.faults

    @property
    def first(self) -> Fault | None:
        """The first wrong row; where the facts say what an edited entry should say, in their words."""
        first = next((fault for fault in self.faults if fault.table), None)
        same = (fault for fault in self.faults if first and (fault.table, fault.row) == (first.table, first.row))
        return next((fault for fault in same if fault.check == "statement"), first)

    def json(self) -> dict[str, Any]:
        """The report as a program reads it."""
        faults = [asdict(fault) | {"unexplained": fault.check == "statement"} for fault in self.faults]
        told = {"ok": self.ok, "workspaces": self.workspaces, "waiting": self.waiting, "checked": dict(self.counts)}
        return told | {"first": self.first and asdict(self.first), "faults": faults}


def verify(
    database: Database,
    workspace_id: str | None,
    progress: Callable[[int, int], None],
    shown: Sequence[Paper] = (),
    *,
    render: bool = False,
) -> Report:
    """Verify one workspace, or all of them, each in a snapshot of its own; `progress` hears (done, of how many).

    `shown` are heads of the chain read from paper; each must be one of its workspace's. `render`: documents are
    rendered again and compared with the bytes that were kept. A difference between
    statement and ledger is recorded as an alarm of the kind `unexplained`, once for each key.
    Raises NotFoundError, UnavailableError.
    """
    report = Report()
    with database.reading() as connection:
        heads, wrong = _homes(connection, shown)
        names = _names(connection, workspace_id, heads)
        report.faults += wrong
    for done, name in enumerate(names):
        progress(done, len(names))
        with database.snapshot() as connection:
            found, waiting = check(connection, name, heads.get(name, ()), report.counts)
            found += papers.rendered(connection, take(connection, name)) if render else ()
        report.workspaces += 1
        report.faults += found
        report.waiting += [name] if waiting else []
        _raise_alarms(database, [fault for fault in found if fault.check == "statement"])
    with database.snapshot() as connection:
        report.faults += facts.missing(connection, workspace_id)
    progress(len(names), len(names))
    return report


def _names(connection: Conn, workspace_id: str | None, heads: Iterable[str]) -> list[str]:
    if workspace_id is not None:
        return sorted({workspaces.get(connection, workspace_id)["id"], *heads})
    return [row["id"] for row in many(connection, "SELECT id FROM workspace ORDER BY id")]


def _homes(connection: Conn, shown: Sequence[Paper]) -> tuple[dict[str, list[chain.Head]], list[Fault]]:
    """The heads by workspace; and what of the papers is wrong before any chain is walked."""
    heads: dict[str, list[chain.Head]] = {}
    wrong: list[Fault] = []
    for paper in shown:
        stood = many(connection, _STOOD, {"name": paper.name})
        if not stood:
            told = f"there is no document of that number and no workspace of that id; the paper shows {paper.head}"
            wrong.append(Fault("", "chain", paper.name, told, "document", paper.name, "missing", paper.head))
        for row in stood:
            heads.setdefault(row["workspace_id"], []).append(chain.Head("paper", paper.name, paper.name, paper.head))
            if row["head"] is not None and not row["head"].startswith(paper.head):
                told = f"the document now shows the head {row['head']}, the paper {paper.head}"
                named = ("document", row["id"], row["head"], paper.head)
                wrong.append(Fault(row["workspace_id"], "document", paper.name, told, *named))
    return heads, wrong


def check(
    connection: Conn, workspace_id: str, heads: Sequence[chain.Head] = (), counts: Counter[str] | None = None
) -> tuple[list[Fault], bool]:
    """Every fault of one workspace, and whether some of it could not be judged yet. It only reads.

    Those of the ledger come first, in its order. `counts` is added to.
    """
    snapshot = take(connection, workspace_id)
    walked = chain.walk(connection, snapshot, heads)
    wrong_facts, wrong_papers = list(facts.faults(connection, snapshot)), list(papers.faults(connection, snapshot))
    stored = [
        *lines.heard_faults(snapshot),
        *lines.line_faults(snapshot),
        *money.faults(connection, snapshot, walked),
        *wrong_papers,
    ]
    by_facts = [*lines.statement_faults(snapshot), *roster.faults(connection, snapshot)]
    if counts is not None:
        counts.update(_counted(connection, snapshot, walked))
    if snapshot.waiting and by_facts:
        return [*wrong_facts, *walked.faults, *stored], True
    return [*wrong_facts, *walked.faults, *by_facts, *stored], False


def _counted(connection: Conn, snapshot: Snapshot, walked: chain.Walked) -> dict[str, int]:
    row = one(connection, _COUNTS, {"workspace": snapshot.id}) or {}
    entries = sum(len(some) for some in snapshot.entries.values())
    told = {"facts": len(snapshot.facts), "lines": len(snapshot.lines), "entries": entries}
    return told | {"ledger rows": walked.rows, "heads": walked.heads} | row


def _raise_alarms(database: Database, found: Sequence[Fault]) -> None:
    if not found:
        return
    with database.transaction("verify.alarm") as connection:
        for fault in found:
            parameters = {
                "id": new_id("al"),
                "kind": UNEXPLAINED,
                "workspace": fault.workspace_id,
                "subject": f"{fault.subject}: ",
                "detail": f"{fault.subject}: {fault.detail}",
            }
            connection.execute(_ALARM, parameters)
