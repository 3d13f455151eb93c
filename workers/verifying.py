"""Verify: recompute every line, balance and chain of a database from its facts, and name what does not come out."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from billing.store import workspaces
from billing.store.db import Conn, Database, many
from billing.store.ids import new_id
from workers.checks import chain, lines, money, roster
from workers.checks.snapshot import Fault, take

#: The kind of the alarm of a difference whose facts did not change (law 3).
UNEXPLAINED = "unexplained"
_ALARM = """
INSERT INTO alarm (id, kind, workspace_id, detail)
SELECT %(id)s, %(kind)s, %(workspace)s, %(detail)s WHERE NOT EXISTS (
    SELECT FROM alarm WHERE kind = %(kind)s AND workspace_id = %(workspace)s AND starts_with(detail, %(subject)s))
"""


@dataclass(slots=True)
class Report:
    """What was verified. `waiting` are workspaces whose lines or roster could not be judged, because a fact of theirs
    is heard and not yet settled: no fault, ask again."""

    workspaces: int = 0
    faults: list[Fault] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything came out as recomputed."""
        return not self.faults

    def json(self) -> dict[str, Any]:
        """The report as a program reads it."""
        faults = [asdict(fault) | {"unexplained": fault.check == "statement"} for fault in self.faults]
        return {"ok": self.ok, "workspaces": self.workspaces, "waiting": self.waiting, "faults": faults}


def verify(database: Database, workspace_id: str | None, progress: Callable[[int, int], None]) -> Report:
    """Verify one workspace, or all of them, each in a snapshot of its own; `progress` hears (done, of how many).

    A difference between statement and ledger is recorded as an alarm of the kind `unexplained`, once for each key.
    Raises NotFoundError, UnavailableError.
    """
    report = Report()
    names = _names(database, workspace_id)
    for done, name in enumerate(names):
        progress(done, len(names))
        with database.snapshot() as connection:
            found, waiting = check(connection, name)
        report.workspaces += 1
        report.faults += found
        report.waiting += [name] if waiting else []
        _raise_alarms(database, [fault for fault in found if fault.check == "statement"])
    progress(len(names), len(names))
    return report


def _names(database: Database, workspace_id: str | None) -> list[str]:
    with database.reading() as connection:
        if workspace_id is not None:
            return [workspaces.get(connection, workspace_id)["id"]]
        return [row["id"] for row in many(connection, "SELECT id FROM workspace ORDER BY id")]


def check(connection: Conn, workspace_id: str) -> tuple[list[Fault], bool]:
    """Every fault of one workspace, and whether some of it could not be judged yet. It only reads."""
    snapshot = take(connection, workspace_id)
    walked = chain.walk(connection, snapshot)
    stored = [*lines.line_faults(snapshot), *walked.faults, *money.faults(connection, snapshot, walked)]
    by_facts = [*lines.statement_faults(snapshot), *roster.faults(connection, snapshot)]
    if snapshot.waiting and by_facts:
        return stored, True
    return [*by_facts, *stored], False


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
