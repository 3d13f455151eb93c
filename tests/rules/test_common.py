"""XX-01 to XX-15: what holds for every tool, by the rulebook's own numbers."""

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from itertools import permutations
from typing import Any

import psycopg
import pytest
from psycopg.errors import RestrictViolation

from billing.core.calendar import period_start
from billing.core.documents import kind_for
from billing.core.errors import RefusedError
from billing.core.limits import Counts, flags
from billing.core.money import CurrencyMismatchError, Money, rounded
from billing.core.plans import Rules, Terms
from billing.core.proration import Period, share_left
from billing.core.tax import Tax
from billing.store import views
from billing.tools import backlog, chatwork, trello
from tests.core.telling import people
from tests.papers.desk import Desk
from tests.rules.tale import BANK, CARD, JAPAN, Tale, sold
from tests.workers.world import World, at
from workers import commands

PREMIUM, BUSINESS, STANDARD = "trello-premium", "chatwork-business", "backlog-standard"
TODAY = date(2026, 11, 2)


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url, at("2025-01-15"))
    yield made
    made.database.close()


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    made = Desk(database_url)
    yield made
    made.database.close()


def test_xx_01_money_is_whole_minor_units_rounded_once_and_of_one_currency() -> None:
    assert rounded(Fraction("8999.25"), "half_up") == 8999
    assert rounded(Fraction("460.645"), "floor") == 460
    assert (str(Money(8999, "USD")), str(Money(460, "JPY"))) == ("$89.99", "¥460")
    with pytest.raises(TypeError):
        Money(89.99, "USD")  # type: ignore[arg-type]
    with pytest.raises(CurrencyMismatchError):
        Money(8999, "USD") + Money(460, "JPY")


def test_xx_02_how_a_remainder_is_counted_belongs_to_the_price_and_the_joining_day_is_charged() -> None:
    for joined, fraction, amount in (("04-15", Fraction(9, 12), 8999), ("04-16", Fraction(8 * 30 + 29, 360), 8966)):
        tale = Tale()
        tale.join("2025-01-15", "aoi")
        tale.start("2025-01-15", PREMIUM, "year")
        tale.join(f"2025-{joined}", "ben")
        [_, line] = tale.owed("2025-06-01")
        assert (line.method, line.fraction, line.amount) == ("months_days", fraction, amount)
    year = Period(date(2026, 4, 1), 12, 0, JAPAN)
    assert sold(BUSINESS, TODAY)["year"].method == "actual_days"
    assert share_left("actual_days", year, year.end.replace(day=30)) == Fraction(1, 365)  # its last day, 31 March
    with pytest.raises(ValueError, match="is not a day of the period"):
        share_left("actual_days", year, year.end)
    anchored = [period_start(date(2026, 1, 31), 1, n) for n in range(3)]
    assert anchored == [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)]


def test_xx_03_tax_is_rounded_once_for_three_lines_of_105() -> None:
    outside, inside = Tax("1/10", "exclusive", "floor"), Tax("1/10", "inclusive", "floor")
    assert (outside.part(3 * 105), 3 * outside.part(105)) == (31, 30)
    assert (outside.gross(420_000), inside.gross(17_600)) == (462_000, 17_600)


@pytest.mark.parametrize(("gross", "net", "tax"), [(17_600, 16_000, 1_600), (2_970, 2_700, 270)])
def test_xx_04_the_tax_of_a_price_that_has_it_is_10_of_110_parts(gross: int, net: int, tax: int) -> None:
    terms = sold(STANDARD if gross == 17_600 else "backlog-starter", TODAY)["month"]
    shown = Tax(terms.tax_rate, terms.tax_behavior, terms.tax_rounding)
    assert (terms.unit_amount, shown.part(gross), shown.gross(gross) - shown.part(gross)) == (gross, tax, net)


def test_xx_05_who_may_not_act_is_refused_by_the_vendors_rule_and_leaves_no_trace_but_the_audit(world: World) -> None:
    body: dict[str, Any] = {"interval": "month", "payment_method": CARD}
    asked = [
        ("subscription", {**body, "plan": PREMIUM}, "normal", "TR-20"),
        ("subscription", {**body, "plan": BUSINESS, "licences": 5}, "user_admin", "XX-05"),
        ("subscription", {**body, "plan": STANDARD}, "admin", "BL-17"),
    ]
    for number, (command, given, role, rule) in enumerate(asked):
        workspace, actor = world.workspace(f"w{number}"), {"id": "yuki", "role": role}
        with pytest.raises(RefusedError) as refusal, world.database.transaction("test") as connection:
            commands.give(connection, "live", workspace, command, given, actor)
        with world.database.transaction("test") as connection:
            commands.refused(connection, workspace, command, given, actor, refusal.value)
        assert refusal.value.rule == rule
    audited = world.rows("SELECT verdict, rule, actor->>'role' AS role FROM command ORDER BY id")
    assert audited == [{"verdict": "refused", "rule": rule, "role": role} for _, _, role, rule in asked]
    for table in ("fact", "entry", "charge"):
        assert world.row(f"SELECT count(*) AS n FROM {table}") == {"n": 0}  # noqa: S608 - a table named here


def test_xx_06_paid_time_is_given_back_by_a_rule_or_not_at_all() -> None:
    plain = Terms("own", "own-plan", "month", "JPY", 1_000, rules=Rules(roles=("admin",)))
    own = Tale(JAPAN, plain)
    own.join("2026-04-01", "aoi", "ben")
    own.start("2026-04-01", "own-plan", "month")
    assert own.refuses("refund", "2026-04-01") == "XX-06"
    own.leave("2026-04-02", "ben")
    own.give("cancellation", "2026-04-03")
    assert own.amounts("2026-06-01") == [2_000]
    trello_, chat = Tale(), Tale(JAPAN)
    trello_.join("2026-04-01", *people(6))
    trello_.start("2026-04-01", PREMIUM, "year")
    trello_.leave("2026-05-01", "person-000")
    assert trello_.amounts("2026-06-01") == [72_000]  # TR-06
    chat.start("2026-04-01", BUSINESS, "year", licences=10)
    chat.give("licences", "2026-10-01", remove=5)
    assert chat.refuses("refund", "2026-10-01") == "CW-28"
    assert chat.amounts("2026-12-01") == [84_000]


def test_xx_07_of_ten_bought_and_seven_used_trello_renews_seven_and_chatwork_ten(world: World) -> None:
    asked: tuple[tuple[str, str, dict[str, int]], ...] = (("w1", PREMIUM, {}), ("w2", BUSINESS, {"licences": 10}))
    workspaces = [world.workspace(name) for name, *_ in asked]
    for name, _, _ in asked:
        for person in people(10):
            world.tell("member.joined", name, person, at("2025-01-10"))
    world.read_and_settle()
    for workspace, (_, plan, more) in zip(workspaces, asked, strict=True):
        world.start(workspace, plan, "year", **more)
    world.advance(at("2025-02-01"), *workspaces)
    for name, _, _ in asked:
        for person in people(3):
            world.tell("member.left", name, person, at("2025-02-01"))
    world.read_and_settle()
    with world.database.transaction("test") as connection:
        shown = [views.seats(connection, views.require(connection, None, one)) for one in workspaces]
    assert [(told["purchased"], told["occupied"], told["next_renewal"]["seats"]) for told in shown] == [
        (10, 7, 7),
        (10, 7, 10),
    ]
    world.advance(at("2026-01-15"), *workspaces)
    query = "SELECT seats FROM line WHERE workspace_id = %s ORDER BY instant DESC LIMIT 1"
    assert [world.row(query, one)["seats"] for one in workspaces] == [7, 10]


def test_xx_08_one_event_told_five_times_is_charged_once_and_a_late_one_is_posted_as_a_difference(world: World) -> None:
    workspace = world.workspace("w1")
    for person in ("aoi", "cy"):
        world.tell("member.joined", "w1", person, at("2025-01-10"))
    world.read_and_settle()
    world.start(workspace)
    world.advance(at("2025-06-01"), workspace)
    first = world.tell("member.joined", "w1", "ben", at("2025-04-15"))
    with world.database.transaction("test") as connection:
        for n in range(4):  # the same event under another delivery's name
            connection.execute(
                """INSERT INTO delivery (id, connection_id, delivery_id, dedupe_key, fingerprint, sha256, state)
                   SELECT id || %(n)s, connection_id, delivery_id || %(n)s, dedupe_key || %(n)s, '', '', 'kept'
                   FROM delivery WHERE id = %(id)s""",
                {"n": f"-{n}", "id": first},
            )
            query = "INSERT INTO delivery_body SELECT id || %s, headers, body FROM delivery_body WHERE id = %s"
            connection.execute(query, (f"-{n}", first))
    world.read_and_settle()
    assert world.charges(workspace) == [23_998, 8_999]
    assert world.row("SELECT count(*) AS n FROM fact WHERE member = 'ben'") == {"n": 1}
    before = world.rows("SELECT * FROM entry ORDER BY seq")
    world.tell("member.left", "w1", "cy", at("2025-01-12"))
    world.read_and_settle()
    after = world.rows("SELECT * FROM entry ORDER BY seq")
    assert after[:2] == before
    assert [row["amount"] for row in after] == [11_999 * 2, 8_999, -11_999]
    last = after[2]
    assert (last["instant"], last["posted_at"]) == (at("2025-01-15"), at("2025-06-01"))
    assert last["heard_at"] > last["instant"]


def test_xx_09_a_swap_at_one_instant_needs_no_seat_in_whatever_order_it_is_told() -> None:
    for order in permutations(range(3)):
        tale = Tale()
        tale.join("2026-04-01", *people(5))
        tale.start("2026-04-01", PREMIUM, "year")
        told = [("member.left", "person-000"), ("member.joined", "new"), ("member.deactivated", "person-001")]
        for which in order:
            kind, member = told[which]
            tale.tell(kind, "2026-05-01T10:00", member)
        assert tale.amounts("2026-06-01") == [60_000]


def test_xx_10_a_renewal_costs_the_price_of_its_day_and_an_added_seat_that_of_its_period(world: World) -> None:
    workspace = world.workspace("w1")
    world.advance(at("2025-06-01"))
    world.tell("member.joined", "w1", "aoi", at("2025-06-01"))
    world.read_and_settle()
    world.start(workspace)
    world.advance(at("2026-02-01"), workspace)
    for person in people(10):
        world.tell("member.joined", "w1", person, at("2026-02-01"))
    world.read_and_settle()
    world.advance(at("2026-06-01"), workspace)
    assert world.charges(workspace) == [11_999, 39_997, 11 * 12_000]  # 10 x 119.99 x 4/12 = 399.9667


def test_xx_11_a_trial_ends_as_its_vendor_says() -> None:
    free, paid, space = Tale(), Tale(), Tale(JAPAN)
    for one, method in ((free, None), (paid, CARD)):
        one.join("2026-04-01", *people(5))
        one.give("trial", "2026-04-01", plan=PREMIUM, payment_method=method)
    space.give("trial", "2026-04-01", plan=STANDARD, terms_version="v12", payment_method=CARD)
    assert [(tale.state("2026-05-01"), tale.amounts("2026-05-01")) for tale in (free, paid, space)] == [
        ("free", []),
        ("active", [6_250]),
        ("expired", []),
    ]
    assert (free.state("2026-04-14"), space.state("2026-04-30")) == ("trialing", "trialing")


def test_xx_12_of_the_five_ways_to_pay_two_get_a_receipt_and_three_an_invoice() -> None:
    pairs = sold(STANDARD, TODAY)["month"].rules.methods
    assert [(method, kind_for(method)) for method, _ in pairs] == [(CARD, "receipt")] * 2 + [(BANK, "invoice")] * 3


def test_xx_13_invoice_7_is_corrected_by_a_return_of_100_and_never_changed(desk: Desk) -> None:
    charges = [desk.charge(17_600) for _ in range(7)]
    seventh = desk.issue()[-1]
    assert seventh["number"].endswith("-000007")
    desk.take_back(charges[-1], 100)
    [correction] = desk.issue()
    assert (correction["kind"], correction["amount"]) == ("return_invoice", -100)
    assert correction["original_id"] == seventh["id"]
    assert seventh in desk.documents()
    with psycopg.connect(desk.database.url) as owner, pytest.raises(RestrictViolation):
        owner.execute("UPDATE document SET amount = 17500")


def test_xx_14_the_first_of_april_begins_in_tokyo_at_1500_utc_of_the_31st_of_march() -> None:
    assert (trello.ZONE, chatwork.ZONE, backlog.ZONE) == ("UTC", JAPAN, JAPAN)
    renewed = []
    for minute in ("2026-03-31T23:59", "2026-04-01T00:00"):
        tale = Tale(JAPAN)
        tale.start("2025-04-01", BUSINESS, "year", licences=50)
        tale.give("licences", minute, remove=5)
        renewed.append(tale.owed("2026-04-02")[-1])
    assert [line.amount for line in renewed] == [378_000, 420_000]
    assert renewed[0].instant.isoformat() == "2026-03-31T15:00:00+00:00"


def test_xx_15_minimums_and_caps_hold_at_the_start_when_somebody_comes_and_when_licences_go() -> None:
    tale = Tale(JAPAN)
    assert (
        tale.refuses("subscription", "2026-04-01", plan="chatwork-enterprise", interval="year", licences=4) == "CW-14"
    )
    tale.start("2026-04-01", "chatwork-enterprise", "year", licences=5)
    assert tale.refuses("licences", "2026-04-02", remove=1) == "CW-14"
    small = Tale(JAPAN)
    small.join("2026-04-01", *people(11))
    assert small.refuses("subscription", "2026-04-01", plan="backlog-free", interval="month") == "XX-15"
    small.start("2026-04-01", "backlog-starter", "month")
    for plan, cap, rule in (
        ("trello-free", 10, "B-05"),
        ("chatwork-free", 100, "CW-04"),
        ("backlog-free", 10, "XX-15"),
        ("backlog-starter", 30, "XX-15"),
    ):
        terms = sold(plan, TODAY)["month"]
        assert flags(terms, Counts(cap, cap, 0), cap) == []
        assert [flag.rule for flag in flags(terms, Counts(cap + 1, cap + 1, 0), cap)] == [rule]
