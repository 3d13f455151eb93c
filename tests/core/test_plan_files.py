"""Plan files: what may stand in one, and that a bad one is refused whole, with file, line and reason."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from billing.core import classification
from billing.core import plans as plans_of
from billing.core.plans import Dunning, Rules, Terms
from billing.store import catalogue, planfile
from billing.store.planfile import Plan
from billing.store.planschema import STANDINGS, DunningBlock, PlanBlock, PriceBlock, RulesBlock
from billing.store.planyaml import PlanFileError
from tests.house.source import ROOT

GOOD = """\
shared:
  rules: &rules
    roles: [owner]
    trial_days: 7
plans:
  - plan: kumo-team
    rank: 1
    shape: auto_seats
    currency: EUR
    proration: actual_days
    rounding: half_up
    tax_rate: 0.2
    caps: {users: 50}
    rules:
      <<: *rules
      dunning: {retry_days: [1, 2], grace_days: 9}
    prices:
      - {interval: month, valid_from: 2025-01-01, unit_amount: 700, grade: OWN, source: list}
      - interval: year
        valid_from: 2025-01-01
        unit_amount: 7000
        grade: OWN
        source: list
"""


def terms_of(plans: list[Plan]) -> Iterator[Terms]:
    """The terms as they would be stored."""
    for row in catalogue._price_rows(plans):
        yield plans_of.read(row["terms"])


def test_a_plan_file_says_every_field_that_a_plan_has() -> None:
    own = {"price_id", "interval", "unit_amount", "method", "catalogue_version", "rule_version"}
    assert set(PlanBlock().fields) - {"proration", "prices"} == {one.name for one in fields(Terms)} - own
    assert set(RulesBlock().fields) == {one.name for one in fields(Rules)}
    assert set(DunningBlock().fields) == {one.name for one in fields(Dunning)}
    assert set(STANDINGS) == set(classification._RULES)


def test_what_a_file_says_is_what_its_terms_have_and_what_it_leaves_out_is_ordinary() -> None:
    month, year = terms_of(list(planfile.read(GOOD, "kumo.yaml").plans))
    assert (month.interval, month.unit_amount, month.currency, month.method) == ("month", 700, "EUR", "actual_days")
    assert (year.interval, year.unit_amount, year.tax_rate, dict(year.caps)) == ("year", 7000, "1/5", {"users": 50})
    assert (month.rules.roles, month.rules.trial_days, month.rules.intervals) == (("owner",), 7, ("month", "year"))
    assert month.rules.dunning == Dunning(retry_days=(1, 2), grace_days=9)
    assert (month.minimum, month.tax_behavior, month.rules.refund_days) == (0, "exclusive", 0)


#: What is wrong; what of the good file it stands for; the line it is on; words of the reason.
BAD = {
    "an unknown field": ("rank: 1", "rank: 1\n    ranck: 2", 8, "ranck: Unknown field"),
    "an unknown field of a shared block": ("trial_days: 7", "trail_days: 7", 4, "trail_days: Unknown field"),
    "an unknown field of the dunning": ("grace_days: 9", "grace: 9", 16, "dunning.grace: Unknown field"),
    "a missing field": ("    currency: EUR\n", "", 6, "currency: Missing data"),
    "an unknown interval": ("interval: year", "interval: decade", 19, "interval: Must be one of"),
    "a day that is none": ("        valid_from: 2025-01-01", "        valid_from: 2025-02-30", 20, "Not a valid date"),
    "an amount below zero": ("unit_amount: 7000", "unit_amount: -1", 21, "greater than or equal to 0"),
    "an amount that is a fraction": ("unit_amount: 7000", "unit_amount: 70.5", 21, "Must be a whole number"),
    "an amount that is a word": ("unit_amount: 7000", "unit_amount: true", 21, "Must be a whole number"),
    "two prices of one day": ("interval: year", "interval: month", 20, "another price by the month from 2025-01-01"),
    "a currency of four letters": ("EUR", "EURO", 9, "three capital letters"),
    "an unknown shape": ("auto_seats", "autoseats", 8, "shape: Must be one of"),
    "a rate that is no fraction": ("tax_rate: 0.2", "tax_rate: 20%", 12, "tax_rate: Must be a fraction"),
    "an unknown cap": ("users: 50", "usrs: 50", 13, "usrs"),
    "days out of order": ("[1, 2]", "[2, 1]", 16, "Must rise"),
    "a free plan that costs": ("rank: 1", "rank: 0", 18, "rank 0 is free"),
    "lead days where the quantity depends on people": (
        "trial_days: 7",
        "lead_days: {card: 1}",
        4,
        "Only a flat plan can be billed ahead",
    ),
    "a pair without a price": ("trial_days: 7", "methods: {card: [3-months]}", 4, "no price by the 3-months"),
    "a key that stands twice": ("    rank: 1\n", "    rank: 1\n    rank: 2\n", 8, "rank is written twice"),
    "a broken bracket": ("[owner]", "[owner", 4, "expected"),
    "a tag that runs code": ("EUR", "!!python/name:os.system x", 9, "could not determine a constructor"),
    "a tab": ("    rank: 1", "\trank: 1", 7, "cannot start any token"),
    "a control character": ("source: list}", "source: a\x07}", 18, "character"),
    "automatic purchase of what is no licence": (
        "rank: 1",
        "rank: 1\n    auto_purchase: true",
        8,
        "shape must be licences",
    ),
    "a flat plan of two": ("auto_seats", "flat\n    minimum: 2", 9, "billed once"),
    "closed before the grace is over": (
        "grace_days: 9",
        "grace_days: 9, close_days: 8",
        16,
        "not be before grace_days",
    ),
    "no source": (", source: list}", "}", 18, "source: Missing data"),
    "one plan twice": ("plans:\n", "plans:\n  - *again\n", 6, "again"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused_whole_with_its_name_line_and_reason(what: str) -> None:
    old, new, line, reason = BAD[what]
    assert old in GOOD
    with pytest.raises(PlanFileError) as refused:
        planfile.read(GOOD.replace(old, new, 1), "kumo.yaml")
    assert any(fault.startswith(f"kumo.yaml:{line}: ") and reason in fault for fault in refused.value.faults), (
        refused.value.faults
    )


def test_of_a_field_that_a_shared_block_has_too_the_plans_own_line_is_told() -> None:
    text = GOOD.replace("    rules:\n", "    rules:\n      trial_days: soon\n")
    with pytest.raises(PlanFileError, match=r"^k:15: plans\.rules\.trial_days: Must be a whole number\.$"):
        planfile.read(text, "k")


@pytest.mark.parametrize(("days", "line"), [(27, None), (28, 15)])
def test_a_flat_plan_is_billed_ahead_by_less_than_its_shortest_interval(days: int, line: int | None) -> None:
    text = GOOD.replace("auto_seats", "flat").replace(
        "    rules:\n", f"    rules:\n      lead_days: {{card: {days}}}\n"
    )
    if line is None:
        assert next(terms_of(list(planfile.read(text, "k").plans))).rules.lead_days == {"card": days}
    else:
        with pytest.raises(PlanFileError, match=f"^k:{line}: plans.rules.lead_days.card: Must be shorter"):
            planfile.read(text, "k")


def test_every_fault_of_a_file_is_told_at_once_in_the_order_of_its_lines() -> None:
    text = GOOD.replace("EUR", "euro").replace("7000", "lots").replace("auto_seats", "round")
    with pytest.raises(PlanFileError) as refused:
        planfile.read(text, "k")
    assert [int(fault.split(":")[1]) for fault in refused.value.faults] == [8, 9, 21]


@pytest.mark.parametrize(("text", "reason"), [("", "empty"), ("plans: []", "neither"), ("- 1", "Invalid input")])
def test_a_file_without_a_plan_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PlanFileError, match=f"k:1: .*{reason}"):
        planfile.read(text, "k")


def test_a_file_that_is_no_text_or_too_long_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"plans:\n  - plan: \xff\n")
    (tmp_path / "b.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(PlanFileError) as refused:
        planfile.own(tmp_path)
    assert [fault.removeprefix(str(tmp_path)) for fault in refused.value.faults] == [
        "/a.yaml:2: not UTF-8 text",
        "/b.yaml:1: longer than 1,000,000 bytes",
    ]


def test_one_bad_file_and_nothing_of_the_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yml").write_text(GOOD.replace("kumo-team", "Kumo Team"))
    (tmp_path / "worse.yaml").write_text("plans: {")
    with pytest.raises(PlanFileError) as refused:
        planfile.wanted(tmp_path)
    assert [Path(fault.split(":")[0]).name for fault in refused.value.faults] == ["bad.yml", "worse.yaml"]


def test_a_directory_that_is_not_there_leaves_the_shipped_plans_alone(tmp_path: Path) -> None:
    assert planfile.wanted(tmp_path / "plans") == planfile.wanted(None) == planfile.shipped()


def test_a_shipped_plan_cannot_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("kumo-team", "trello-premium"))
    with pytest.raises(PlanFileError, match=r"mine\.yaml:6: plan: trello-premium is defined in trello/plans\.yaml:"):
        planfile.wanted(tmp_path)


def test_one_plan_in_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(f"# again\n{GOOD}")
    with pytest.raises(PlanFileError, match=r"b\.yaml:7: plan: kumo-team is defined in .*a\.yaml:6"):
        planfile.wanted(tmp_path)


def test_one_plan_twice_in_a_file_is_refused_at_the_second() -> None:
    head, _, block = GOOD.partition("plans:\n")
    with pytest.raises(PlanFileError, match=r"k:24: plans\.plan: kumo-team is written twice"):
        planfile.read(f"{head}plans:\n{block}{block}", "k")


def test_a_yearly_price_that_saves_nothing_is_warned_of_and_not_refused() -> None:
    found = planfile.read(GOOD.replace("7000", "8400"), "k")
    assert planfile.warnings(found.plans) == ["k:6: kumo-team: twelve months are 8400, a year is 8400 (TR-23)"]
    assert planfile.warnings(planfile.read(GOOD, "k").plans) == []


def test_the_example_of_the_documentation_loads(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "plans.md").read_text(encoding="utf-8")
    (tmp_path / "hanabi.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    plans = {plan["plan"]: plan for plan in planfile.wanted(tmp_path)}
    team = next(terms_of([plans["hanabi-team"]]))
    assert (team.unit_amount, team.minimum, team.rules.trial_days, team.tax_rate) == (900, 3, 21, "1/10")
    assert team.rules.methods == (("card", "month"), ("card", "year"), ("bank_transfer", "year"))
    assert not [told for told in planfile.warnings(plans.values()) if "hanabi" in told]
    option = next(terms_of([plans["option:custom-checklist"]]))
    assert (option.unit_amount, option.tax_rate, option.line_rules) == (50_000, "1/10", {"option": ("BL-28",)})


def test_the_documentation_names_every_field() -> None:
    text = (ROOT / "docs" / "plans.md").read_text(encoding="utf-8")
    names = [*PlanBlock().fields, *RulesBlock().fields, *PriceBlock().fields, *DunningBlock().fields]
    assert [name for name in names if f"`{name}`" not in text] == []
