"""settle(workspace): the only writer of money. Add new facts, compute the statement, subtract the ledger, post the
difference, open at most one charge per due instant; each step is one transaction that first locks the workspace row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from billing.core import calendar
from billing.core.classification import ORDINARY
from billing.core.facts import Fact
from billing.core.incremental import Change, advance, policy_of
from billing.core.lines import Pins
from billing.core.settlement import Decision, Difference, decide, differences, unexplained
from billing.store import catalogue, charges, ledger, roster, rows, subscriptions, workspaces
from billing.store.db import Conn, Database, Row, many
from billing.store.memory import SqlMemory

#: Facts taken into one transaction at most; a step ends on an instant boundary (DESIGN.md section 6, step 6).
FACTS_A_STEP = 20_000
#: What shadow computes is never sent, whatever else holds it; what paused holds is sent once it is lifted.
#: Facts named at most as what made a line vanish.
_CAUSES = 100
_STRICTNESS = ("live", "paused", "shadow")


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of settlement did. `more`: another step is due now. `charge`: the charge it opened, if queued."""

    more: bool = False
    charge: str | None = None
    entries: int = 0


def settle(database: Database, workspace_id: str, collect: str) -> list[str]:
    """Settle a workspace up to its now; answers the ids of charges to send. `collect` is the service's own mode.

    Settling again posts an empty difference. Raises NotFoundError, UnavailableError.
    """
    opened: list[str] = []
    while True:
        with database.transaction() as connection:
            step = settle_step(connection, workspace_id, collect)
        if step.charge:
            opened.append(step.charge)
        if not step.more:
            return opened


def settle_step(connection: Conn, workspace_id: str, collect: str, *, hear: bool = True) -> Step:
    """One step, inside the caller's transaction: up to the next due instant, or to now when none is due.

    `hear` False: no new fact is taken.
    """
    workspace, pins, waiting = _standing(connection, workspace_id, FACTS_A_STEP + 1 if hear else 0)
    plan = _next(waiting, pins, workspace)
    if not plan.facts and not plan.opens and not plan.dirty(workspace):
        return Step()
    if plan.opens:
        pins = _pin(connection, workspace_id, pins, plan.until)
    memory = SqlMemory(connection, workspace_id, [fact.id for fact in plan.facts])
    change = advance(
        memory,
        plan.facts,
        pins,
        plan.until,
        workspace["external_id"],
        workspaces.position(workspace),
        _refolded(connection, workspace, pins, plan),
    )
    # Writes need no answer, so they travel together: one round trip instead of one each.
    with connection.pipeline():
        opened, entries = write(connection, workspace, pins, change, plan, stricter(collect, workspace["collect"]))
    return Step(plan.more, opened, entries)


def settle_fully(connection: Conn, workspace_id: str, collect: str, *, hear: bool = True) -> None:
    """Every step that is due, inside the caller's transaction: for commands, which are judged on settled ground.

    `hear` False: what a command brings about is settled alone; facts filed meanwhile wait (law 11).
    """
    while settle_step(connection, workspace_id, collect, hear=hear).more:
        pass


def stricter(service: str, workspace: str) -> str:
    """The collect mode in force: the stricter of the service's and the workspace's."""
    return max(service, workspace, key=_STRICTNESS.index)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next step takes: facts (all `at` <= `until`), whether a period opens at `until`, what is due after."""

    facts: Sequence[Fact]
    until: datetime
    opens: bool
    more: bool
    due_at: datetime | None

    def dirty(self, workspace: Row) -> bool:
        """Whether the row's due instant is out of date."""
        due: datetime | None = workspace["due_at"]
        return due != self.due_at


def _refolded(connection: Conn, workspace: Row, pins: Pins, plan: Plan) -> frozenset[str]:
    """Everybody, when a start brings another seat policy than the ordinary one they were folded under (B-04)."""
    if not plan.opens or workspace["opened"] or policy_of(pins) == ORDINARY:
        return frozenset()
    found = many(connection, "SELECT member FROM member WHERE workspace_id = %s", (workspace["id"],))
    return frozenset(row["member"] for row in found)


def _standing(connection: Conn, workspace_id: str, most: int) -> tuple[Row, Pins, list[Fact]]:
    """The locked workspace, its pins and `most` facts that wait, asked together; the lock is taken first."""
    with connection.pipeline():
        workspace = workspaces.ask_locked(connection, workspace_id)
        pins = subscriptions.ask_pins(connection, workspace_id)
        waiting = connection.execute(
            # With ties: an instant is settled whole or not at all (law 7).
            """SELECT * FROM fact WHERE workspace_id = %s AND settled_at IS NULL
               ORDER BY at FETCH FIRST %s ROWS WITH TIES""",
            (workspace_id, most),
        )
        row = workspaces.found(workspace, workspace_id)
        return row, subscriptions.pinned(pins), [rows.fact(one_fact) for one_fact in waiting.fetchall()]


def _next(waiting: Sequence[Fact], pins: Pins, workspace: Row) -> Plan:
    """Due instants are settled one by one in time order (law 4): facts before the next one, then the instant itself.

    Due are the opening of a period, and each fact that was known before its time came. Facts already past when heard
    are taken together.
    """
    target, through = workspace["now"], workspace["settled_through"]
    renewal = _renewal(pins, workspace["opened"])
    # Only a clock that stands still makes anybody wait for a fact; the wall's is a sender's clock running ahead.
    ahead = [fact for fact in waiting if workspace["clock_id"] and fact.at > fact.heard_at]
    awaited = {fact.at for fact in ahead if through is None or fact.at > through}
    instants = sorted({*([renewal] if renewal else []), *awaited})
    due = next((at for at in instants if at <= target), None)
    after = [at for at in instants if due is None or at > due]
    if due is None:
        past = [fact for fact in waiting if fact.at <= target]
        taken = _capped(past)
        # More than a step's fill is one instant's, and behind it more may wait.
        cut = len(taken) < len(past) or len(taken) > FACTS_A_STEP
        until = taken[-1].at if cut else target
        return Plan(taken, max(until, through or until), False, cut, instants[0] if instants else None)
    earlier = _capped([fact for fact in waiting if fact.at < due])
    if earlier:
        return Plan(earlier, max(earlier[-1].at, through or earlier[-1].at), False, True, due)
    facts = [fact for fact in waiting if fact.at <= due]
    return Plan(facts, due, due == renewal, True, after[0] if after else None)


def _capped(facts: list[Fact]) -> list[Fact]:
    if len(facts) <= FACTS_A_STEP:
        return facts
    last = facts[-1].at
    return [fact for fact in facts if fact.at < last] or facts


def _renewal(pins: Pins, opened: int) -> datetime | None:
    """The instant at which the next period opens; the start itself before the first."""
    if pins.subscription is None:
        return None
    return pins.subscription.renewal(opened) if opened else pins.subscription.started_at


def _pin(connection: Conn, workspace_id: str, pins: Pins, at: datetime) -> Pins:
    """Pin the terms of the period that opens at `at`: the price valid that day (law 3, XX-10)."""
    subscription = pins.subscription
    assert subscription is not None  # noqa: S101 - only a subscription's periods open
    n = subscription.period_at(at)
    known = dict(pins.terms or {})
    if n not in known:
        before = known[n - 1]
        day = calendar.local_date(at, subscription.zone)
        known[n] = catalogue.price_at(connection, before.plan, before.interval, day)
        subscriptions.pin(connection, workspace_id, subscription, n, known[n])
    return replace(pins, terms=known)


def write(
    connection: Conn, workspace: Row, pins: Pins, change: Change, plan: Plan, collect: str
) -> tuple[str | None, int]:
    """Write one step whole: roster, entries, lines, reductions, at most one charge. Answers the charge to send."""
    workspace_id = workspace["id"]
    book = ledger.Book.of(workspace, plan.until)
    found = differences(change.old_lines, change.new_lines, tuple(sorted(f.id for f in plan.facts)[:_CAUSES]))
    if held := unexplained(change.old_lines, found):
        ledger.hold(connection, workspace_id, held)
        found = [difference for difference in found if difference not in held]
    roster.write(connection, workspace_id, change)
    heard = _heard(plan)
    entry_ids = {difference.line.key: book.post(difference, heard) for difference in found}
    ledger.write_lines(connection, workspace_id, [(d, entry_ids[d.line.key]) for d in found])
    opened, credit = None, workspace["credit"]
    if found:
        decision = _decide(connection, workspace, pins, book, found, entry_ids, collect)
        credit += decision.credit_gained - decision.credit_used
        given_back = charges.reduce(connection, book, decision.reductions, found[0].line.currency)
        credit += given_back
        if decision.total:
            opened = _open(connection, book, pins, decision, entry_ids, collect, plan.until)
    book.flush(connection)
    _mark(connection, workspace_id, plan)
    workspaces.move(connection, workspace_id, change.position, plan.until, plan.due_at, book.chain, credit)
    return opened, len(found)


def _heard(plan: Plan) -> datetime:
    return max((fact.heard_at for fact in plan.facts), default=plan.until)


def _decide(
    connection: Conn,
    workspace: Row,
    pins: Pins,
    book: ledger.Book,
    found: list[Difference],
    entry_ids: dict[str, str],
    collect: str,
) -> Decision:
    """Law 2; seats already paid for elsewhere are posted, taken as collected, and never charged."""
    opening = [d for d in found if _is_opening(d, pins)]
    for difference in opening:
        if difference.amount > 0:
            book.move("opening", entry_ids[difference.line.key], difference.amount, difference.line.currency)
    charged = [d for d in found if not _is_opening(d, pins)]
    falling = [d.line.key for d in charged if d.amount < 0]
    decision = decide(charged, charges.shares(connection, workspace["id"], falling), workspace["credit"])
    if collect == "shadow":  # what nobody will ever be asked for must not use up what was paid
        decision.credit_used = 0
    return decision


def _is_opening(difference: Difference, pins: Pins) -> bool:
    line = difference.line
    paid = pins.subscription is not None and pins.subscription.opening_seats is not None
    return paid and line.n == 0 and line.kind == "period"


def _open(
    connection: Conn,
    book: ledger.Book,
    pins: Pins,
    decision: Decision,
    entry_ids: dict[str, str],
    collect: str,
    at: datetime,
) -> str | None:
    assert pins.subscription is not None  # noqa: S101 - it has lines
    day = calendar.local_date(at, pins.subscription.zone)
    charge_id, status = charges.open_charge(
        connection, book, pins.subscription.payment_method, decision, entry_ids, collect=collect, day=day
    )
    return charge_id if status == "queued" else None


def _mark(connection: Conn, workspace_id: str, plan: Plan) -> None:
    """Mark exactly the facts taken (never a high-water id: ids commit out of order), as they were when taken.

    One that a reader has given an owner meanwhile waits for the next settlement.
    """
    if plan.facts:
        taken = sorted(plan.facts, key=lambda fact: fact.id)  # the order in which readers lock them
        connection.execute(
            """UPDATE fact SET settled_at = now() FROM unnest(%s::text[], %s::text[]) AS taken(id, owner)
               WHERE fact.workspace_id = %s AND fact.id = taken.id AND fact.owner IS NOT DISTINCT FROM taken.owner""",
            ([fact.id for fact in taken], [fact.owner for fact in taken], workspace_id),
        )
