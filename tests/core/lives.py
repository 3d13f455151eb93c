"""Whole lives of workspaces: people come and go, commands are judged, charges are asked for and answered, time passes.

A life is told once, forward, by one way of hearing its facts; its commands and payments are then fixed (laws 5 and 6),
and everything else about it may be heard in any other way.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Literal

from hypothesis import strategies as st

from billing.core import statement as full
from billing.core.calendar import local_date, midnight, month_date
from billing.core.classification import Policy
from billing.core.commands import COMMANDS, Case, Verdict, judge
from billing.core.course import Course
from billing.core.errors import InvalidError, SekisuError
from billing.core.facts import Fact
from billing.core.incremental import Change, advance
from billing.core.lines import Line
from billing.core.plans import Shape, Terms
from billing.core.settlement import Difference
from billing.core.tax import Tax
from tests.core.histories import MOST_BOARDS, MOST_PEOPLE, Batch, Step, told_fact
from tests.core.memory import Remembered
from tests.core.offers import SHAPES, offered, steep
from tests.core.telling import Plan, Whole, by_key, life_fact, statement
from tests.core.till import Charge, Till

MONTHS = 13
#: Every command that a customer gives; verdicts on old facts and on pinned periods are somebody else's.
ANY = sorted(COMMANDS.keys() - {"late-facts", "rerate"})
_LATE = [0, 0, 0, 0, 60, 12 * 60, 20 * 24 * 60, 35 * 24 * 60, 200 * 24 * 60]
_PROMPT = [0, 0, 0, 1]


@dataclass(frozen=True, slots=True)
class Judged:
    """A command as it was judged: `heard` roster facts and the first `seq` commands and payments were known."""

    command: str
    body: dict[str, object]
    case: Case
    heard: frozenset[str]
    seq: int
    answer: Verdict | SekisuError


@dataclass(slots=True, repr=False)
class Told:
    """A life, up to `end` (UTC): what happened, how it was heard, and what was then kept and asked for."""

    shape: Shape
    facts: tuple[Fact, ...]
    batches: tuple[Batch, ...]
    plan: Plan
    end: datetime
    memory: Remembered
    till: Till = field(default_factory=Till)
    judged: list[Judged] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    name: str = ""

    def __repr__(self) -> str:
        return self.name

    @property
    def start(self) -> datetime:
        """When the first thing was settled (UTC)."""
        return self.batches[0].now

    def owed(self, now: datetime | None = None, whole: Whole = full.statement) -> list[Line]:
        """What the full statement says, of everything that happened."""
        return by_key(statement(self.facts, self.plan, now or self.end, "w1", whole))


def lives(shape: Shape | None = None) -> st.SearchStrategy[Told]:
    """Lives for hypothesis."""
    seeds = st.integers(0, 2**32 - 1)
    shapes = st.just(shape) if shape else st.sampled_from(SHAPES)
    return st.builds(live, shapes, seeds, st.integers(4, 28), st.integers(2, 16), climbs=st.booleans())


def live(
    shape: Shape, seed: int, facts: int = 20, commands: int = 12, step: Step = advance, *, climbs: bool = False
) -> Told:
    """The life that a seed tells: so many roster facts and so many commands, some refused. `climbs`: there is a plan
    above the largest, at the same step of the price, and who takes the largest often takes that at the same instant."""
    told = Living(shape, Random(seed), facts, commands, step, climbs=climbs).told
    told.name = f"live({shape!r}, {seed}, {facts}, {commands}{', climbs=True' if climbs else ''})"
    return told


class Living:
    """A life as it goes on. What a test wants to see of each step, it adds to `watch`."""

    def __init__(
        self, shape: Shape, random: Random, facts: int, commands: int, step: Step = advance, *, climbs: bool = False
    ) -> None:
        self.random, self.climbs = random, climbs
        anchor = random.choice([date(2025, 1, 15), date(2024, 1, 31), date(2018, 10, 20)])
        zone = random.choice(["UTC", "Asia/Tokyo", "America/Sao_Paulo"])
        start = midnight(anchor, zone)
        instants = _instants(random, anchor, zone)
        happened = _happened(random, facts, instants)
        batches = _batches(random, happened, start)
        end = max(batches[-1].now, midnight(month_date(anchor, MONTHS), zone))
        dearer = midnight(month_date(anchor, 5), zone)
        base = Policy(pending_count=random.random() < 0.3, guests_free=random.random() < 0.3)
        prices = offered(random, shape)
        plan = Plan((), steep(prices) if climbs else prices, zone, (), dearer, base)
        memory = Remembered(step=step, posted=self._posted)
        self.told = Told(shape, happened, batches, plan, end, memory)
        self.subscriptions = 0
        self._live(sorted([*batches, *self._moments(instants, commands)], key=lambda moment: moment.now))

    def _moments(self, instants: Sequence[datetime], commands: int) -> list[Batch]:
        told, random = self.told, self.random
        free = [told.start + (told.end - told.start) * random.random() for _ in range(commands)]
        near = [told.start, told.start + timedelta(hours=1), *(at for at in instants if at >= told.start)]
        chosen = [random.choice(near[:2])] + [random.choice(near + free) for _ in range(commands)]
        return [Batch(at.replace(microsecond=0)) for at in chosen]

    def _live(self, moments: Sequence[Batch]) -> None:
        heard: dict[str, Fact] = {}
        for moment in moments:
            heard |= {fact.id: fact for fact in moment.facts}
            self._settle(moment.facts, moment.now)
            if not moment.facts:
                self._command(moment.now, frozenset(heard))
            for _ in range(self.random.randint(0, 2)):
                self._money(moment.now)
        self._settle((), self.told.end)

    # --- one moment -----------------------------------------------------------------------------------------------

    def _settle(self, facts: Sequence[Fact], now: datetime) -> None:
        self.told.memory.settle(facts, self.told.plan, now)

    def _file(self, kind: str, now: datetime, data: dict[str, object]) -> None:
        """An accepted command or an outcome becomes a fact, and is settled."""
        told = self.told
        fact = life_fact(kind, now, len(told.plan.facts) + 1, data)
        told.plan = replace(told.plan, facts=(*told.plan.facts, fact))
        self._settle((), now)

    def _posted(self, memory: Remembered, taken: Sequence[Fact], change: Change) -> None:
        """The money of one step of settlement."""
        told = self.told
        told.seen[memory.course.state] += 1
        told.seen.update(line.kind for line in change.new_lines)
        told.seen["equal steps"] += sum(len(line.facts) > 1 for line in change.new_lines if line.kind == "plan_changed")
        book(told.till, memory, taken, change, told.plan)
        told.till.sound()

    def _money(self, now: datetime) -> None:
        """The endpoint answers some charges; an outcome that matters is a fact (law 6)."""
        told = self.told
        for charge in told.till.move_some(self.random, failing=0.3):
            told.till.sound()
            if charge.status == "failed" or (charge.status == "succeeded" and charge.failed_before):
                self._file(f"payment.{charge.status}", now, outcome(charge))
            if charge.failed_before and self.random.random() < 0.2:  # an old answer once more, or one that cannot be
                attempt = 1 if charge.status != "succeeded" else self.random.choice([1, charge.attempt + 1])
                self._file("payment.failed", now, outcome(charge) | {"attempt": attempt})
        for charge in list(told.till.charges.values()):
            if charge.status == "failed" and self.random.random() < 0.3:
                told.till.retry(charge.obligation[0])

    # --- commands -------------------------------------------------------------------------------------------------

    def _command(self, now: datetime, heard: frozenset[str]) -> None:
        command = self._chosen(self.told.memory.course)
        body = self._body(command)
        accepted = self._give(command, body, now, heard)
        if self.climbs and accepted and command == "plan-change" and self.random.random() < 0.7:
            self._give(command, {"plan": "huge"}, now, heard)

    def _give(self, command: str, body: dict[str, object], now: datetime, heard: frozenset[str]) -> bool:
        """A command, judged on what is now known; accepted, it is settled alone, as it was quoted (laws 5, 9, 11)."""
        told, case = self.told, self._case(now)
        seq = len(told.plan.facts)
        try:
            answer: Verdict | SekisuError = judge(command, body, case)
        except SekisuError as refusal:
            answer = refusal
        told.judged.append(Judged(command, body, case, heard, seq, answer))
        told.seen[f"{command} {'accepted' if isinstance(answer, Verdict) else 'refused'}"] += 1
        if not isinstance(answer, Verdict):
            return False
        self.subscriptions += case.new == answer.data.get("subscription")
        known = [fact for fact in told.facts if fact.id in heard]
        before = dict(told.memory.book)
        assert by_key(before.values()) == by_key(statement(known, told.plan, now, "w1"))
        self._file(answer.kind, now, answer.data)
        quote = by_key(statement(known, told.plan, now, "w1"))
        assert by_key(told.memory.book.values()) == quote
        return True

    def _case(self, now: datetime) -> Case:
        told = self.told
        bills = [one for one in told.till.charges.values() if one.status not in ("succeeded", "cancelled")]
        return Case(
            now=now,
            zone=told.plan.zone,
            course=told.memory.course,
            actor=self.random.choice(["boss", "boss", "boss", "boss", "somebody"]),
            role=self.random.choice(["admin"] * 6 + ["member", None]),
            new=f"sub-{self.subscriptions}",
            offer=lambda plan: offer(told.plan, plan, now),
            occupied=told.memory.position.occupied,
            purchased=told.memory.position.purchased,
            open_bill=bool(bills) and self.random.random() < 0.3,
            target=self.random.choice([None, told.plan.prices["large", "month"]]),
            option=replace(told.plan.prices["large", "month"], plan="check", unit_amount=500, method="seconds"),
        )

    def _chosen(self, life: Course) -> str:
        if self.random.random() < 0.08:
            return self.random.choice(ANY)
        if life.trial is not None:
            return self.random.choice(["registration"] * 4 + ["payment-method"] * 2 + ["cancellation"])
        if not life.running:
            return self.random.choice(["subscription"] * 5 + ["trial"] * 2 + ["registration"])
        ways = ["plan-change"] * 4 + ["interval-change"] * 4 + ["payment-method"] * 3 + ["option"] * 2
        ways += ["licences"] * (12 if life.terms and life.terms.shape == "licences" else 1)
        return self.random.choice([*ways, "refund", "cancellation"])

    def _body(self, command: str) -> dict[str, object]:
        random, told = self.random, self.told
        intervals = sorted({interval for _, interval in told.plan.prices})
        methods = ["card", "card", "bank_transfer", None]
        body: dict[str, object] = {"plan": random.choice(["small"] * 4 + ["large"] * 3 + ["free", "none"])}
        match command:
            case "subscription" | "trial" | "registration":
                if told.memory.course.trial and random.random() < 0.9:
                    body["plan"] = told.memory.course.trial.terms.plan
                pairs = [(method, interval) for method in methods for interval in intervals]
                pairs += 6 * list(next(iter(told.plan.prices.values())).rules.methods)
                body["payment_method"], body["interval"] = random.choice(pairs)
                body |= {"terms_version": random.choice(["v1", "v1", None])}
                if told.shape == "licences" and random.random() < 0.9:
                    body["licences"] = told.memory.position.occupied + random.randint(-1, 6)
                elif told.shape == "auto_seats" and random.random() < 0.2:
                    paid_from = local_date(told.memory.now or told.start, told.plan.zone) - timedelta(days=5)
                    body["opening"] = {"seats": random.randint(0, 4), "paid_from": paid_from}
            case "licences":
                body = {"delta": random.choice([-4, -2, -1, -1, 0, 1, 1, 2, 5])}
            case "interval-change":
                body = {"interval": random.choice(intervals)}
            case "payment-method":
                body = {"payment_method": random.choice(methods), "interval": random.choice([None, *intervals])}
            case "migration":
                body = {"into": "other"}
            case "option":
                body = {"option": random.choice(["check", "sheets"])}
        return body


def book(till: Till, memory: Remembered, taken: Sequence[Fact], change: Change, plan: Plan) -> None:
    """What one step of settlement does to the money; failed charges are tried again when it is time."""
    life = memory.course
    found = till.step(change.old_lines, change.new_lines, tuple(sorted(fact.id for fact in taken)))
    new = {fact.id for fact in taken if fact.kind == "refund.requested"}
    refunding = next((key[0] for key, void in life.voids.items() if void.fact in new), None)
    elsewhere = frozenset(one.key for one in life.stretches if one.elsewhere)
    till.take(found, tax_of(found, life, plan), elsewhere, refunding)
    through = memory.before.through
    again = [due for due in life.dues if due.what == "retry" and (through is None or due.at > through)]
    given = [fact for fact in taken if fact.kind == "payment_method.updated" and fact.data["from"] == "now"]
    if life.subscription and life.failing and (again or given):
        till.retry(life.subscription)


def reheard(
    told: Told, random: Random, stops: Literal["each", "due", "none"] = "each", step: Step = advance
) -> Remembered:
    """The same life with its facts heard in another order, in other batches, doubled, and cut off by deaths."""
    spread = random.choice([0, 24, 24 * 60, 24 * 400])
    facts = [(max(told.start, fact.at) + timedelta(hours=random.random() * spread), fact) for fact in told.facts]
    rest = sorted([*facts, *random.choices(facts, k=len(facts) // 4)], key=lambda one: one[0])
    memory = Remembered(step=step, stops=stops)
    memory.settle((), told.plan, told.start)
    while rest:
        size = random.choice([1, 2, 5, 12])
        new, rest = rest[:size], rest[size:]
        memory.settle([fact for _, fact in new], told.plan, min(new[-1][0], told.end), dies=random.random() < 0.1)
    memory.settle((), told.plan, told.end)
    return memory


def offer(plan: Plan, name: str, now: datetime) -> dict[str, Terms]:
    """The price list of a plan at an instant. Raises InvalidError when there is no such plan."""
    found = plan.offer(name, now)
    if not found:
        raise InvalidError(f"there is no plan {name!r}")
    return found


def outcome(charge: Charge) -> dict[str, object]:
    """What an answer of the payment endpoint says: an obligation and an attempt, never a charge id (law 6)."""
    subscription, n, purpose, nth = charge.obligation
    return {"subscription": subscription, "n": n, "purpose": purpose, "nth": nth, "attempt": charge.attempt}


def tax_of(found: Sequence[Difference], life: Course, plan: Plan) -> Tax:
    """The tax of the charge of a step."""
    rising = [difference.line for difference in found if difference.amount > 0]
    if not rising or rising[-1].kind.startswith("option"):
        return Tax("1/10")
    terms = plan.pins(life)[rising[-1].subscription, rising[-1].n]
    return Tax(terms.tax_rate, terms.tax_behavior, terms.tax_rounding)


def _instants(random: Random, anchor: date, zone: str) -> list[datetime]:
    """Few enough that facts and commands meet at one of them; the borders of months come up often."""
    start, end = midnight(anchor, zone), midnight(month_date(anchor, MONTHS), zone)
    borders = [midnight(month_date(anchor, month), zone) for month in (0, 1, 2, 3, 12)]
    borders += [midnight(month_date(anchor, 1), zone) - timedelta(seconds=1), start - timedelta(days=2)]
    hours = int((end - start).total_seconds() // 3600)
    spans = [hours - 1, hours // 12, hours // 4]
    free = [start + timedelta(hours=random.randint(-72, random.choice(spans))) for _ in range(random.randint(4, 20))]
    return free + borders


def _happened(random: Random, n: int, instants: list[datetime]) -> tuple[Fact, ...]:
    people = [f"p{i}" for i in range(random.randint(1, MOST_PEOPLE))]
    boards = [f"b{i}" for i in range(random.randint(1, MOST_BOARDS))]
    delays = random.choice([_PROMPT, _LATE, _LATE])
    return tuple(told_fact(random, i, instants, people, boards, delays) for i in range(n))


def _batches(random: Random, facts: tuple[Fact, ...], start: datetime) -> tuple[Batch, ...]:
    """The facts as they were heard, cut at random."""
    rest = sorted(facts, key=lambda fact: fact.heard_at)
    batches = [Batch(start, tuple(fact for fact in rest if fact.heard_at <= start))]
    rest = rest[len(batches[0].facts) :]
    while rest:
        size = random.choice([1, 1, 2, 5])
        new, rest = rest[:size], rest[size:]
        batches.append(Batch(new[-1].heard_at, tuple(new)))
    return tuple(batches)
