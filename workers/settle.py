"""settle(workspace): the only writer of money. Add new facts, compute the statement, subtract the ledger, post the
difference, open at most one charge per due instant; each step is one transaction that first locks the workspace row.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import count

from billing.core import calendar
from billing.core.classification import Policy
from billing.core.course import Course, Stretch
from billing.core.errors import UnavailableError
from billing.core.facts import Fact
from billing.core.incremental import Change, Ground, advance
from billing.core.life import course
from billing.core.lines import Pins
from billing.core.plans import Terms
from billing.core.roster import MemberHead
from billing.core.settlement import differences, unexplained
from billing.core.statement import accepted
from billing.store import catalogue, charges, ledger, roster, rows, subscriptions, workspaces
from billing.store.db import Conn, Database, Row, many, one
from billing.store.memory import SqlMemory
from billing.tools import room as rooms
from workers import notices
from workers.money import Money, refunding
from workers.sending import Outbox, Parcel

#: Facts taken into one transaction at most; a step ends on an instant boundary (DESIGN.md section 6, step 6).
FACTS_A_STEP = 20_000
#: Facts named at most as what made a line vanish.
_CAUSES = 100
#: Steps that somebody who waits for an answer waits for.
PATIENT_STEPS = 200
#: What shadow computes is never sent, whatever else holds it; what paused holds is sent once it is lifted.
_STRICTNESS = ("live", "paused", "shadow")


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of settlement did. `more`: another step is due now. `charge`: the charge it opened, if it is to be
    sent."""

    more: bool = False
    charge: str | None = None
    entries: int = 0


def settle(
    database: Database, workspace_id: str, collect: str, *, patient: bool = False, outbox: Outbox | None = None
) -> list[str]:
    """Settle a workspace up to its now; answers the ids of charges to send. `collect` is the service's own mode.

    With an `outbox` they are on their way already, as far as it had room.

    Settling again posts an empty difference. `patient`: a workspace whose clock travels waits at each due instant for
    the first answer to what it asked for there, so that one long advance ends as many short ones do (law 4); it is
    settled on when the answer is booked. Raises NotFoundError, UnavailableError.
    """
    opened: list[str] = []
    while True:
        parcel = outbox.parcel() if outbox else None
        with database.transaction("settle") as connection:
            step = settle_step(connection, workspace_id, collect, patient=patient, parcel=parcel)
        if step.charge:
            opened.append(step.charge)
        if parcel and outbox:
            outbox.send(parcel.charges)
        if not step.more:
            return opened


def settle_together(database: Database, workspace_ids: Collection[str], collect: str, outbox: Outbox) -> list[str]:
    """One step of each of several workspaces, as a worker does it, in one transaction; answers those in which another
    is due: they are settled alone. One's fault undoes all. Raises NotFoundError, UnavailableError."""
    ids, parcel = sorted(set(workspace_ids)), outbox.parcel()
    with database.transaction("settle.together") as connection:
        steps = _settle_steps(connection, ids, collect, most=FACTS_A_STEP // len(ids), patient=True, parcel=parcel)
    outbox.send(parcel.charges)
    return [workspace_id for workspace_id, step in zip(ids, steps, strict=True) if step.more]


@dataclass(frozen=True, slots=True)
class Standing:
    """A locked workspace, the facts its life is read from, the terms it pinned, the facts that wait, and the heads of
    the members that they name."""

    workspace: Row
    life: Sequence[Fact]
    pins: Pins
    waiting: Sequence[Fact]
    heads: Mapping[str, MemberHead]
    _courses: dict[datetime, Course] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def base(self) -> Policy:
        """Who takes a seat of the tool before a plan says so."""
        return rooms.seats(self.workspace["tool"])

    def course(self, now: datetime) -> Course:
        """The course of its life up to `now` (UTC); most steps ask for one instant twice."""
        if now not in self._courses:
            self._courses[now] = course(self.life, now, self.workspace["time_zone"])
        return self._courses[now]


def settle_step(
    connection: Conn,
    workspace_id: str,
    collect: str,
    *,
    hear: bool = True,
    patient: bool = False,
    parcel: Parcel | None = None,
) -> Step:
    """One step, inside the caller's transaction: up to the next due instant, or to now when none is due.

    `hear` False: no new fact is taken but commands and payments. Raises NotFoundError.
    """
    (step,) = _settle_steps(connection, [workspace_id], collect, hear=hear, patient=patient, parcel=parcel)
    return step


def _settle_steps(
    connection: Conn,
    workspace_ids: Sequence[str],
    collect: str,
    *,
    most: int = FACTS_A_STEP,
    hear: bool = True,
    patient: bool = False,
    parcel: Parcel | None = None,
) -> list[Step]:
    """One step of each workspace; none of one in which more than `most` facts wait, if a step could take them."""
    written = []
    for standing in _stand_all(connection, workspace_ids, hear=hear, most=most):
        if most < FACTS_A_STEP and len(standing.waiting) > most:
            written.append(_Written(Step(more=True)))
        else:
            written.append(_step(connection, standing, collect, patient=patient, parcel=parcel))
    ledger.flush(connection, [each.book for each in written if each.book])
    for each in written:
        each.follow_up()
    return [each.step for each in written]


@dataclass(frozen=True, slots=True)
class _Written:
    """A step, the book that is to be flushed, and what is to be done then."""

    step: Step
    book: ledger.Book | None = None
    follow_up: Callable[[], None] = lambda: None


def _step(connection: Conn, standing: Standing, collect: str, *, patient: bool, parcel: Parcel | None) -> _Written:
    workspace, workspace_id = standing.workspace, standing.workspace["id"]
    plan = _next(standing)
    if not plan.facts and not plan.due and not plan.dirty(workspace):
        return _Written(Step())
    if patient and plan.due and workspace["clock_id"] and _unanswered(connection, workspace_id):
        return _Written(Step())
    ground = _ground(connection, standing, plan)
    memory = SqlMemory(connection, workspace_id, [fact.id for fact in plan.facts], standing.heads)
    refold = refolded(connection, workspace_id, ground, plan.until, plan.facts)
    change = advance(memory, plan.facts, ground, plan.until, workspaces.position(workspace), refold)
    return _write(connection, standing, ground, change, plan, stricter(collect, workspace["collect"]), parcel)


def settle_fully(connection: Conn, workspace_id: str, collect: str, *, hear: bool = True, most: int = 0) -> None:
    """Every step that is due, inside the caller's transaction: for commands, which are judged on settled ground.

    `hear` False: what a command brings about is settled alone; facts filed meanwhile wait (law 11). Raises
    UnavailableError when more than `most` steps are due (0: however many): the workers are on their way there.
    """
    steps = count(1)
    while settle_step(connection, workspace_id, collect, hear=hear).more:
        if next(steps) == most:
            raise UnavailableError("the workspace is still being settled up to its now; ask again")


def stricter(service: str, workspace: str) -> str:
    """The collect mode in force: the stricter of the service's and the workspace's."""
    return max(service, workspace, key=_STRICTNESS.index)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next step takes: facts (all `at` <= `until`), whether time is due at `until`, what is due after."""

    facts: Sequence[Fact]
    until: datetime
    due: bool
    more: bool
    due_at: datetime | None

    def dirty(self, workspace: Row) -> bool:
        """Whether the row's due instant is out of date."""
        due: datetime | None = workspace["due_at"]
        return due != self.due_at


def stand(connection: Conn, workspace_id: str, *, hear: bool = True) -> Standing:
    """Lock a workspace and read, after the lock, what it is settled from. Raises NotFoundError."""
    (standing,) = _stand_all(connection, [workspace_id], hear=hear, most=FACTS_A_STEP)
    return standing


def _stand_all(connection: Conn, workspace_ids: Sequence[str], *, hear: bool, most: int) -> list[Standing]:
    """As `stand`, for several in the order of their ids, which is how everybody locks them."""
    found = many(
        connection, "SELECT standing(id, %s, %s) AS told FROM unnest(%s::text[]) AS id", (hear, most + 1, workspace_ids)
    )
    return [_standing(row["told"], workspace_id) for row, workspace_id in zip(found, workspace_ids, strict=True)]


def _standing(told: Row, workspace_id: str) -> Standing:
    return Standing(
        workspaces.read(told["workspace"], workspace_id),
        [rows.fact_read(fact) for fact in told["life"] or ()],
        subscriptions.pins_read(told["pins"] or ()),
        [rows.fact_read(fact) for fact in told["waiting"] or ()],
        {head["member"]: rows.member_read(head) for head in told["members"] or ()},
    )


def _next(standing: Standing) -> Plan:
    """Due instants are settled one by one in time order (law 4): facts before the next one, then the instant itself.

    Due is what time does (a period is billed, a trial ends, a grace is over), and each fact that was known before its
    time came. Facts already past when heard are taken together.
    """
    workspace, waiting = standing.workspace, standing.waiting
    target, through = workspace["now"], workspace["settled_through"]
    life = standing.course(target)
    turns = {one.billed_at for one in life.stretches[workspace["opened"] :]}
    turns |= {due.at for due in life.dues if through is None or due.at > through}
    # Only a clock that stands still makes anybody wait for a fact; the wall's is a sender's clock running ahead.
    ahead = [fact for fact in waiting if workspace["clock_id"] and fact.at > fact.heard_at]
    awaited = {fact.at for fact in ahead if through is None or fact.at > through}
    instants = sorted({*turns, *awaited, *([life.next_due] if life.next_due else [])})
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
    return Plan(facts, max(due, through or due), due in turns, True, after[0] if after else None)


def _capped(facts: list[Fact]) -> list[Fact]:
    if len(facts) <= FACTS_A_STEP:
        return facts
    last = facts[-1].at
    return [fact for fact in facts if fact.at < last] or facts


def _unanswered(connection: Conn, workspace_id: str) -> bool:
    """Whether something was asked of the payment endpoint and no answer came yet."""
    query = """SELECT 1 AS found FROM charge c WHERE c.workspace_id = %s AND c.due_at IS NOT NULL
                 AND c.status IN ('queued', 'sending')
                 AND NOT EXISTS (SELECT FROM attempt a WHERE a.charge_id = c.id AND a.n = c.attempt) LIMIT 1"""
    return one(connection, query, (workspace_id,)) is not None


def _ground(connection: Conn, standing: Standing, plan: Plan) -> Ground:
    """What the step is computed on; periods billed in it pin their terms (law 3)."""
    life = standing.course(plan.until)
    pins, new = pins_of(connection, standing, life)
    if new:
        subscriptions.pin(connection, standing.workspace["id"], new, pins)
    return Ground(standing.workspace["external_id"], life, pins, accepted(standing.life), standing.base)


def pins_of(connection: Conn, standing: Standing, life: Course) -> tuple[dict[tuple[str, int], Terms], list[Stretch]]:
    """The terms of every billed period, and the periods not pinned yet: those take the price of their first day
    (XX-10), and the account's tax rate."""
    new = [one for one in life.stretches if one.key not in standing.pins]
    pins = dict(standing.pins)
    begun = {fact.id: fact.data for fact in standing.life}
    for stretch in new:
        day = calendar.local_date(stretch.opens, stretch.period.zone)
        terms = _opening_terms(begun.get(stretch.fact, {}), stretch.n) or catalogue.price_at(
            connection, stretch.plan, stretch.interval, day
        )
        if standing.workspace["tax_rate"] is not None:
            terms = replace(terms, tax_rate=standing.workspace["tax_rate"])
        pins[stretch.key] = replace(terms, auto_purchase=terms.auto_purchase or life.auto_purchase)
    return pins, new


def _opening_terms(data: Mapping[str, object], n: int) -> Terms | None:
    """The price agreed elsewhere, for the period that was paid there."""
    if n or not data.get("elsewhere") or not isinstance(told := data.get("terms"), Mapping):
        return None
    return rows.terms(told)


def refolded(
    connection: Conn, workspace_id: str, ground: Ground, until: datetime, facts: Sequence[Fact]
) -> frozenset[str]:
    """Everybody, where the seat policy turns; and whom old facts name that a person lets count (law 10)."""
    if any(at == until for at, _ in ground.turns):
        found = many(connection, "SELECT member FROM member WHERE workspace_id = %s", (workspace_id,))
        return frozenset(row["member"] for row in found)
    told = [fact for fact in facts if fact.kind == "late.accepted"]
    terms = ground.course.terms
    if terms is not None and terms.rules.observed == "start":
        # A genuine fact lies behind the observed one whose place it takes, so nothing of it looks late.
        query = "SELECT DISTINCT member FROM fact WHERE workspace_id = %s AND member = ANY(%s) AND data ? 'observed'"
        found = many(connection, query, (workspace_id, sorted({fact.member for fact in facts if fact.member})))
        return frozenset(row["member"] for row in found)
    if not told:
        return frozenset()
    found = many(
        connection,
        """SELECT DISTINCT COALESCE(f.member, s.member) AS member FROM fact f LEFT JOIN seat s
           ON s.workspace_id = f.workspace_id AND f.member IS NULL AND s.board = f.board
           WHERE f.workspace_id = %s AND f.id = ANY(%s)""",
        (workspace_id, sorted(accepted(told))),
    )
    return frozenset(row["member"] for row in found if row["member"])


def _write(
    connection: Conn,
    standing: Standing,
    ground: Ground,
    change: Change,
    plan: Plan,
    collect: str,
    parcel: Parcel | None,
) -> _Written:
    """What one step writes: roster, entries, lines, reductions, at most one charge."""
    workspace, workspace_id = standing.workspace, standing.workspace["id"]
    book = ledger.Book.of(workspace, plan.until)
    found = differences(change.old_lines, change.new_lines, tuple(sorted(f.id for f in plan.facts)[:_CAUSES]))
    rerated = any(fact.kind == "period.rerated" for fact in plan.facts)  # changed rules, by a person's word
    if not rerated and (held := unexplained(change.old_lines, found)):
        ledger.hold(connection, workspace_id, held)
        found = [difference for difference in found if difference not in held]
    roster.tell(book, change)
    heard = max((fact.heard_at for fact in plan.facts), default=plan.until)
    entry_ids = {difference.line.key: book.post(difference, heard) for difference in found}
    opened, credit = None, workspace["credit"]
    if found:
        money = Money(connection, workspace, ground, book, collect)
        opened, credit = money.settle(found, entry_ids, plan.until, refunding(ground.course, plan.facts))
    if plan.facts:
        book.parts["taken"] = [{"id": fact.id, "owner": fact.owner} for fact in plan.facts]
    state = {"settled_through": plan.until, "due_at": plan.due_at, "state": ground.course.state}
    if opened and parcel:
        parcel.take(book, workspace)
    book.parts["position"] = [workspaces.written(change.position) | state | book.chain(credit)]
    step = Step(plan.more, opened, len(found))
    return _Written(step, book, partial(_follow_up, connection, ground.course, plan, workspace, collect))


def _follow_up(connection: Conn, life: Course, plan: Plan, workspace: Row, collect: str) -> None:
    """What else a step sets going: failed charges are tried again, when it is time or another card is given."""
    given = [fact for fact in plan.facts if fact.kind == "payment_method.updated" and fact.data.get("from") == "now"]
    if given and life.method:
        charges.give_method(connection, workspace["id"], life.method, collect)
    through = workspace["settled_through"]
    dues = [due for due in life.dues if due.at <= plan.until and (not through or due.at > through)]
    notices.tell(connection, workspace, plan.facts, dues, life, plan.until)
    retries = [due for due in dues if due.what == "retry"]
    if (retries or given) and life.failing and life.subscription and collect == "live":
        charges.retry(connection, workspace["id"], life.subscription)
