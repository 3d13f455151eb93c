"""Every refusal of a command, word for word: its kind, its rule, and the sentence that a person reads (XX-05)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billing.core.case import Case, one_currency
from billing.core.commands import MOST_LICENCES, judge
from billing.core.course import Course, Failure
from billing.core.errors import ConflictError, InvalidError, RefusedError, SekisuError
from billing.core.plans import Terms
from tests.core.judging import FREE, LARGE, NOW, SMALL, YEARLY, case, running, stretch, terms, trying
from tests.core.telling import when

R, C, V = RefusedError, ConflictError, InvalidError
Told = tuple[str, Mapping[str, Any], Case, type[SekisuError], str | None, str]
BUY: Mapping[str, Any] = {"plan": "small"}
TRIAL = terms(trial_days=30)
PAIRS = (("card", "month"), ("bank_transfer", "year"))
PAIRED, PAIRED_YEAR = terms(methods=PAIRS), terms(interval="year", methods=PAIRS)
SOLD = "small is not sold by cash every month; there is: card by month, bank_transfer by year"
LICENCES = terms(shape="licences", minimum=3, cap_rules={"minimum": "CW-13"})
UNPAID = {("sub", 0, "period", 1): Failure(NOW, "fact-2", ("sub", 0))}
REGISTER: Mapping[str, Any] = {"payment_method": "card", "interval": "month"}
NO_SUBSCRIPTION = "the workspace has no running subscription; its state is free"
ENDS: Mapping[str, Any] = {"cancel_at": when("2025-03-31T15:00")}
CANCELLED = "the subscription is cancelled; it ends with its period"
ANOTHER = "another change comes with the next renewal; ask again after it"
REFUNDS = terms(refund_days=10, refund_rule="TR-26")
NO_CHOICE = "give exactly one of add, remove or delta, and not 0"
ROLE = "only a workspace's admin may do this; boss is member"
GONE = "its trial ended unregistered: the id stays reserved; only support can reopen it"


START = "subscription"


def trial() -> list[Told]:
    free = Course(terms=FREE)
    asked = terms(trial_days=30, terms_required=True)
    ahead = {**BUY, "terms_accepted_at": NOW + timedelta(seconds=1)}
    had = "the workspace has or had a subscription"
    begun = "a trial runs; it cannot change its plan or begin again"
    upgrade = "upgrading from the Free plan has no free period; start a subscription"
    accept = "the terms of service must be accepted: send terms_version"
    later = "terms_accepted_at lies ahead of now"
    return [
        ("trial", BUY, case(trying(), TRIAL), R, "B-20", begun),
        ("trial", BUY, case(Course(stretches=(stretch(),)), TRIAL), C, None, had),
        ("trial", BUY, case(Course(subscription="sub"), TRIAL), C, None, had),
        ("trial", BUY, case(free, TRIAL), R, "BL-14", upgrade),
        ("trial", BUY, case(None, SMALL), R, "B-09", "small has no trial"),
        ("trial", BUY, case(None, terms(shape="flat")), R, "BL-05", "small has no trial"),
        ("trial", BUY, case(None, terms(shape="licences")), R, "B-19", "small has no trial"),
        ("trial", BUY, case(None, asked), R, "BL-25", accept),
        ("trial", BUY, case(None, TRIAL, role="member"), R, "TR-20", ROLE),
        ("trial", ahead, case(None, TRIAL), V, "BL-25", later),
        ("trial", BUY, case(Course(state="expired"), TRIAL), R, "BL-11", GONE),
    ]


def registration() -> list[Told]:
    over = case(Course(state="expired"), role="operator")
    none = "there is no trial to register; the state is free"
    late = "registration must be done within the trial; it is over"
    plan = "plan must be given to reopen an expired space"
    other = "a running trial cannot change its plan"
    method = "registration needs a payment method and a term"
    twelve = {"payment_method": "card", "interval": "month", "months": 12}
    two = "there is no term of 2 months"
    again = trying(registered=SMALL)
    return [
        ("registration", REGISTER, case(), C, None, none),
        ("registration", REGISTER, case(Course(state="expired")), R, "BL-15", late),
        ("registration", REGISTER, over, V, None, plan),
        ("registration", {**REGISTER, "plan": "large"}, case(trying()), R, "B-20", other),
        ("registration", REGISTER, case(trying(), role="member"), R, "TR-20", ROLE),
        ("registration", REGISTER, case(again), C, None, "the trial is registered already"),
        ("registration", {"interval": "month"}, case(trying()), R, "BL-07", method),
        ("registration", {"payment_method": "card"}, case(trying()), R, "BL-07", f"{method}: send interval"),
        ("registration", twelve, case(trying()), R, "BL-19", "12 months are not one month"),
        ("registration", {"payment_method": "card", "months": 2}, case(trying()), R, "BL-19", two),
        ("registration", {**REGISTER, "payment_method": "cash"}, case(trying(PAIRED), PAIRED), R, "BL-19", SOLD),
    ]


def start() -> list[Told]:
    again = "the workspace has a subscription already"
    support = terms(reopen="support")
    closed = "the contract was closed and its data are deleted; only support can help"
    full, both = terms(caps={"users": 5}), terms(caps={"collaborators": 5}, cap_rules={"collaborators": "B-05"})
    missing = "licences must be given: the number is chosen when the contract is made"
    few = "small is sold from 3 licences, not 2"
    used = "4 people use the contract; 3 licences are too few"
    much = f"{MOST_LICENCES + 1} licences are more than {MOST_LICENCES}: a mistake"
    interval = "interval must be one of month, year, not 'week' (TR-21)"
    pairs = "interval must be one of month, not 'week' (BL-19)"
    return [
        (START, {"plan": "gold"}, case(), V, None, "there is no plan 'gold'"),
        (START, BUY, case(None, role="member"), R, "TR-20", ROLE),
        (START, {**BUY, "interval": "week"}, case(), V, "TR-21", interval),
        (START, {**BUY, "interval": "week"}, case(None, PAIRED), V, "BL-19", pairs),
        (START, BUY, case(Course(state="expired")), R, "BL-11", GONE),
        (START, BUY, case(Course(state="migrated")), R, "CW-18", "the contract was moved into another one"),
        (START, BUY, case(running()), C, None, again),
        (START, BUY, case(trying()), C, None, again),
        (START, BUY, case(Course(state="closed"), support), R, "B-23", closed),
        (START, BUY, case(None, full, occupied=6), R, "XX-15", "small holds 5 users, the workspace has 6"),
        (START, BUY, case(None, both, occupied=6), R, "B-05", "small holds 5 collaborators, the workspace has 6"),
        (START, BUY, case(None, PAIRED), R, "BL-07", "a payment method must be chosen"),
        (START, {**BUY, "payment_method": "cash"}, case(None, PAIRED), R, "BL-19", SOLD),
        (START, {**BUY, "licences": 3}, case(), R, "CW-07", "small has no licences"),
        (
            START,
            {"plan": "free", "licences": 3},
            case(None, replace(LICENCES, plan="free", rank=0)),
            R,
            "CW-07",
            "free has no licences",
        ),
        (START, BUY, case(None, LICENCES), V, "CW-07", missing),
        (START, {**BUY, "licences": 2}, case(None, LICENCES), R, "CW-13", few),
        (START, {**BUY, "licences": 2}, case(None, replace(LICENCES, cap_rules={})), R, "XX-15", few),
        (START, {**BUY, "licences": 3}, case(None, LICENCES, occupied=4), R, "CW-07", used),
        (START, {**BUY, "licences": 3}, case(None, LICENCES, users=lambda terms: 4), R, "CW-07", used),
        (START, {**BUY, "licences": MOST_LICENCES + 1}, case(None, LICENCES), V, None, much),
    ]


def licences() -> list[Told]:
    own = case(running(LICENCES), purchased=5, occupied=4)
    stopped = case(running(LICENCES, suspended=True), purchased=5)
    much = f"{MOST_LICENCES + 1} licences are more than {MOST_LICENCES}: a mistake"
    tried = replace(trying(LICENCES), subscription="sub", terms=LICENCES)
    return [
        ("licences", {"delta": 1}, case(), C, None, NO_SUBSCRIPTION),
        ("licences", {"delta": 1}, case(tried), C, None, NO_SUBSCRIPTION.replace("free", "trialing")),
        ("licences", {"delta": 1}, case(running(LICENCES), role="member"), R, "TR-20", ROLE),
        ("licences", {"delta": 1}, case(running()), R, "CW-07", "small has no licences"),
        ("licences", {}, own, V, None, NO_CHOICE),
        ("licences", {"add": 0}, own, V, None, NO_CHOICE),
        ("licences", {"add": 1, "delta": 1}, own, V, None, NO_CHOICE),
        ("licences", {"add": -1}, own, V, None, "add must be a positive number"),
        ("licences", {"remove": -1}, own, V, None, "remove must be a positive number"),
        ("licences", {"add": 1}, stopped, R, "B-16", "the contract is suspended; pay first"),
        ("licences", {"add": MOST_LICENCES - 4}, own, V, None, much),
        ("licences", {"remove": 3}, own, R, "CW-13", "small needs 3 licences; 2 would be left"),
        ("licences", {"remove": 2}, own, R, "A-22", "4 people use the contract; remove users before licences"),
    ]


def plan_change() -> list[Told]:
    up: Mapping[str, Any] = {"plan": "large"}
    waiting = replace(SMALL, unit_amount=2)
    paired = case(running(PAIRED, next_terms=PAIRED_YEAR), PAIRED, PAIRED_YEAR, terms("large", rank=2, methods=PAIRS))
    support = "large counts people otherwise: it goes through support"
    guests, floor = replace(LARGE, guests_free=True), replace(LARGE, minimum=5)
    priced = "large is counted or priced otherwise; cancel, then sign up anew"
    number = "the number of licences is changed by licences, not with the plan"
    no_down = terms("large", rank=2, downgrade="refused", downgrade_rule="TR-24")
    down = "from large to small is impossible: cancel, then sign up anew"
    least = "large is sold from 5; buy more licences first"
    holds = "large holds 5 users, the workspace has 6"
    return [
        ("plan-change", up, case(trying()), R, "B-20", "a running trial cannot change its plan"),
        ("plan-change", up, case(Course(state="expired")), C, None, NO_SUBSCRIPTION.replace("free", "expired")),
        ("plan-change", up, case(running(), role="member"), R, "TR-20", ROLE),
        ("plan-change", BUY, case(running()), V, "TR-20", "the plan is small already"),
        ("plan-change", up, case(running(), replace(LARGE, shape="flat")), R, "XX-01", priced),
        ("plan-change", up, case(running(), replace(LARGE, currency="USD")), R, "XX-01", priced),
        ("plan-change", {**up, "licences": 4}, case(running(), purchased=5), R, "CW-15", number),
        ("plan-change", up, paired, C, None, ANOTHER),
        ("plan-change", BUY, case(running(no_down)), R, "TR-24", down),
        ("plan-change", up, case(running(), guests), R, "B-06", support),
        ("plan-change", up, case(running(failing=UNPAID)), C, None, "something is unpaid; pay it first"),
        ("plan-change", up, case(running(suspended=True)), C, None, "something is unpaid; pay it first"),
        ("plan-change", up, case(running(**ENDS)), C, None, CANCELLED),
        ("plan-change", up, case(running(), floor, purchased=4), R, "XX-15", least),
        (
            "plan-change",
            up,
            case(running(next_terms=waiting), replace(LARGE, caps={"users": 5}), occupied=6),
            R,
            "XX-15",
            holds,
        ),
    ]


def interval_change() -> list[Told]:
    year: Mapping[str, Any] = {"interval": "year"}
    shorter = "by the year cannot become by the month: cancel, wait for the end of the period, then start by the month"
    renewal = terms(to_longer="at_renewal", methods=PAIRS, interval_rule="BL-19")
    paired = (renewal, replace(renewal, interval="year"))
    bill = "a bill is open; pay it before changing the term"
    by_card = "small is not sold by card every year; there is: card by month, bank_transfer by year"
    transfer = {"method": "bank_transfer"}
    return [
        ("interval-change", year, case(), C, None, NO_SUBSCRIPTION),
        (
            "interval-change",
            {"interval": "week"},
            case(running()),
            V,
            "TR-21",
            "interval must be one of month, year, not 'week' (TR-21)",
        ),
        ("interval-change", {"interval": "month"}, case(running()), V, None, "the interval is month already"),
        ("interval-change", year, case(running(**ENDS)), C, None, CANCELLED),
        ("interval-change", {"interval": "month"}, case(running(YEARLY)), R, "TR-25", shorter),
        ("interval-change", year, case(running(renewal), *paired), R, "BL-19", by_card),
        ("interval-change", year, case(running(renewal, next_terms=LARGE, **transfer), *paired), C, None, ANOTHER),
        ("interval-change", year, case(running(renewal, **transfer), *paired, open_bill=True), R, "BL-19", bill),
        ("interval-change", year, case(running(failing=UNPAID)), C, None, "something is unpaid; pay it first"),
    ]


def payment_method() -> list[Told]:
    card: Mapping[str, Any] = {"payment_method": "card"}
    transfer: Mapping[str, Any] = {"payment_method": "bank_transfer", "interval": "year"}
    both = (PAIRED, PAIRED_YEAR)
    bill = "a bill is open; pay it before changing how to pay"
    trial = trying(PAIRED, registered=PAIRED, method="card")
    first = "the trial is registered; how to pay can change once its first period runs"
    return [
        ("payment-method", card, case(), C, None, NO_SUBSCRIPTION),
        ("payment-method", card, case(running(), role="member"), R, "TR-20", ROLE),
        ("payment-method", card, case(trying(), role="member"), R, "TR-20", ROLE),
        ("payment-method", {"payment_method": "cash"}, case(running(PAIRED), *both), R, "BL-19", SOLD),
        ("payment-method", transfer, case(running(PAIRED), *both, open_bill=True), R, "B-21", bill),
        ("payment-method", transfer, case(running(PAIRED, next_terms=LARGE), *both), C, None, ANOTHER),
        ("payment-method", transfer, case(trial, *both), C, None, first),
    ]


def ends() -> list[Told]:
    elsewhere = running(REFUNDS, stretches=(stretch(elsewhere=True),))
    late = case(running(REFUNDS), now=when("2025-03-10T15:00"))
    given = "a refund could be asked for up to 2025-03-10, 10 days"
    there = "what was paid elsewhere is not refunded here"
    people = "2 people use the contract; only one with its sole administrator moves"
    owes = "its own payment failed; nobody who owes or is suspended can be added elsewhere"
    paid = "someone on a paid plan cannot be added to a Free contract"
    into: Mapping[str, Any] = {"into": "ws-2"}
    full = case(running(), target=SMALL, target_full="CW-04")
    return [
        ("cancellation", {}, case(), C, None, NO_SUBSCRIPTION),
        ("cancellation", {}, case(running(**ENDS)), C, None, "it is cancelled already"),
        ("cancellation", {}, case(trying(), role="member"), R, "TR-20", ROLE),
        ("refund", {}, case(), C, None, NO_SUBSCRIPTION),
        ("refund", {}, case(running()), R, "XX-06", "paid time is not given back"),
        ("refund", {}, case(elsewhere), R, "TR-26", there),
        ("refund", {}, late, R, "TR-26", given),
        ("migration", into, case(Course(state="expired")), C, None, "the contract is expired"),
        ("migration", into, case(running(), role="member"), R, "TR-20", ROLE),
        ("migration", into, case(occupied=2), R, "CW-16", people),
        ("migration", into, case(running(failing=UNPAID), target=SMALL), R, "B-15", owes),
        ("migration", into, case(running(suspended=True), target=SMALL), R, "B-15", owes),
        ("migration", into, case(running()), R, "CW-17", paid),
        ("migration", into, case(running(), target=FREE), R, "CW-17", paid),
        ("migration", into, full, R, "CW-04", "the contract to move into takes nobody more"),
    ]


def operators() -> list[Told]:
    option = replace(SMALL, plan="check", unit_amount=500)
    two = {"facts": ["f-2", "f-1", "f-3"]}
    unknown = "not waiting for a verdict: f-2, f-3"
    none = "no period 1 of sub was billed"
    away = running(stretches=(stretch(elsewhere=True),))
    paid = "that period was paid elsewhere, at the price agreed there"
    dollars, flat = (replace(SMALL, **{name: word}) for name, word in (("currency", "USD"), ("shape", "flat")))  # type: ignore[arg-type]
    kept = "the catalogue now counts or prices that plan otherwise; a period keeps its shape"
    unpriced = "no price of small by the month is known for 2025-03-01"
    return [
        ("option", {"option": "check"}, case(running(), option=option, role="member"), R, "TR-20", ROLE),
        ("option", {"option": "check"}, case(trying(), option=option, role="member"), R, "TR-20", ROLE),
        ("late-facts", {"facts": []}, case(running(), role="member"), R, "TR-20", ROLE),
        ("late-facts", two, case(late=frozenset({"f-1"})), V, None, unknown),
        ("rerate", {"n": 0}, case(), C, None, NO_SUBSCRIPTION),
        ("rerate", {"n": 1}, case(running()), V, None, none),
        ("rerate", {"n": 0, "subscription": "old"}, case(running()), V, None, "no period 0 of old was billed"),
        ("rerate", {"n": 0}, case(away), C, None, paid),
        ("rerate", {"n": 0}, case(running(), priced=lambda *_: dollars), C, None, kept),
        ("rerate", {"n": 0}, case(running(), priced=lambda *_: flat), C, None, kept),
        ("rerate", {"n": 0}, case(running()), V, None, unpriced),
    ]


ALL = [*trial(), *registration(), *start(), *licences(), *plan_change(), *interval_change(), *payment_method()]
ALL += [*ends(), *operators()]


@pytest.mark.parametrize(("command", "body", "asked", "kind", "rule", "words"), ALL)
def test_a_refusal_names_its_rule_and_says_why(
    command: str, body: Mapping[str, Any], asked: Case, kind: type[SekisuError], rule: str | None, words: str
) -> None:
    with pytest.raises(SekisuError) as refusal:
        judge(command, body, asked)
    assert (type(refusal.value), refusal.value.rule, str(refusal.value)) == (kind, rule, words)


@pytest.mark.parametrize(
    ("own", "asked", "words"),
    [
        (SMALL, {"role": None}, "only a workspace's admin may do this; boss is nobody known"),
        (
            terms(roles=("space_admin", "owner")),
            {},
            "only a workspace's space admin or owner may do this; boss is admin",
        ),
    ],
)
def test_xx_05_a_refusal_of_a_role_says_who_may_and_that_it_is_about_who_asked(
    own: Terms, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(RefusedError) as refusal:
        judge("cancellation", {}, case(running(own), **asked))
    assert (str(refusal.value), refusal.value.actor) == (words, True)
    named = replace(own, rules=replace(own.rules, role_rules={"cancellation": "BL-17"}))
    with pytest.raises(RefusedError) as other:
        judge("cancellation", {}, case(running(named), **asked))
    assert other.value.rule == "BL-17"


ASKED: Mapping[str, Mapping[str, Any]] = {
    "trial": BUY,
    "subscription": BUY,
    "registration": REGISTER,
    "plan-change": {"plan": "large"},
    "interval-change": {"interval": "year"},
    "payment-method": {"payment_method": "card"},
    "licences": {"add": 1},
    "option": {"option": "check"},
    "late-facts": {"facts": []},
    "migration": {"into": "w2"},
    "rerate": {"n": 0},
    "cancellation": {},
    "refund": {},
}


@pytest.mark.parametrize("command", ASKED)
@pytest.mark.parametrize("trying_out", [False, True])
def test_tr_20_a_plan_may_name_another_rule_for_the_role_of_each_command(command: str, trying_out: bool) -> None:
    own = terms(trial_days=30, role_rules={command: "BL-17"})
    course = running(own)
    if command in ("trial", "subscription"):
        course = Course()
    elif command == "registration" or (trying_out and command in ("payment-method", "cancellation", "option")):
        course = trying(own)
    sold = own if command in ("trial", "subscription", "registration") else SMALL
    with pytest.raises(RefusedError) as refusal:
        judge(command, ASKED[command], case(course, sold, YEARLY, LARGE, role="member", option=SMALL))
    assert refusal.value.rule == "BL-17"


def test_xx_01_a_workspace_is_billed_in_one_currency() -> None:
    dollars = replace(SMALL, currency="USD")
    words = "small is priced in JPY, the workspace is billed in USD"
    body = {"plan": "small", **REGISTER}
    for command, asked in (
        ("subscription", case(currency="USD")),
        ("trial", case(None, TRIAL, currency="USD")),
        ("registration", case(trying(), currency="USD")),
        ("registration", case(trying(dollars))),
    ):
        with pytest.raises(RefusedError) as refusal:
            judge(command, body, asked)
        assert (refusal.value.rule, str(refusal.value)) == ("XX-01", words)
    one_currency(SMALL, case(running(dollars), currency="JPY"))
    one_currency(replace(SMALL, unit_amount=0), case(running(dollars)))
    one_currency(SMALL, case(running(replace(dollars, rank=0))))
    with pytest.raises(RefusedError):
        one_currency(SMALL, case(running(dollars)))
