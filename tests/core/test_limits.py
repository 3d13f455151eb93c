"""What exceeds a plan, word for word; and what else the core says to people when a value cannot be."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from billing.core import calendar, errors
from billing.core.classification import Standing
from billing.core.errors import InvalidError, RefusedError
from billing.core.limits import Counts, Flag, access, flags, manageable, may_everywhere
from billing.core.proration import Period, share_left
from billing.core.registration import check_digit, checked
from tests.core.judging import FREE, terms

CAPS = {"users": 5, "collaborators": 7, "open_boards": 9}
CAPPED = terms(caps=CAPS, cap_rules={"collaborators": "B-05"})
SOLD_BY_LICENCE = terms(shape="licences")


def test_each_cap_is_flagged_by_its_rule_when_it_is_exceeded_and_not_when_it_is_met() -> None:
    assert flags(CAPPED, Counts(5, 7, 9), 0) == []
    assert flags(CAPPED, Counts(6, 8, 10), 0) == [
        Flag("XX-15", "6 users, small holds 5: a larger plan is needed"),
        Flag("B-05", "8 collaborators, small holds 7: a larger plan is needed"),
        Flag("XX-15", "10 open boards, small holds 9: a larger plan is needed"),
    ]
    assert flags(terms(), Counts(6, 8, 10), 0) == []
    assert flags(None, Counts(6, 8, 10), 0, 1) == []


def test_cw_08_users_without_a_licence_are_flagged_with_how_many_to_buy() -> None:
    assert flags(SOLD_BY_LICENCE, Counts(7, 9, 0), 5) == [Flag("CW-08", "7 users on 5 licences: buy 2 more")]
    assert flags(SOLD_BY_LICENCE, Counts(5, 9, 0), 5) == []
    assert flags(replace(SOLD_BY_LICENCE, rank=0), Counts(7, 9, 0), 5) == []
    assert flags(terms(), Counts(7, 9, 0), 5) == []


def test_tr_12_charges_that_wait_for_a_payment_method_are_flagged() -> None:
    held = "2 charges are held: no payment method is on file"
    assert flags(terms(), Counts(1, 1, 1), 1, 2) == [Flag("TR-12", held)]
    assert flags(terms(), Counts(1, 1, 1), 1) == []


@pytest.mark.parametrize(
    ("state", "collaborators", "word"),
    [
        ("active", 7, "full"),
        ("free", 8, "view_only"),
        *[(state, 0, "locked") for state in ("suspended", "expired", "closed", "migrated")],
    ],
)
def test_what_people_may_still_do(state: str, collaborators: int, word: str) -> None:
    assert access(state, CAPPED, Counts(0, collaborators, 0)) == word


def test_without_terms_or_a_cap_everything_may_be_done() -> None:
    assert access("free", None, Counts(99, 99, 99)) == "full"
    assert access("free", FREE, Counts(99, 99, 99)) == "full"


@pytest.mark.parametrize(
    ("standing", "allowed"),
    [
        (Standing(boards=1), False),
        (Standing(boards=2), True),
        (Standing("member", boards=1), True),
        (Standing("pending", boards=1), True),
        (Standing(closed_boards=1), True),
    ],
)
def test_tr_17_only_a_single_board_guest_is_not_managed_everywhere(standing: Standing, allowed: bool) -> None:
    assert manageable(standing) is allowed


def test_what_cannot_be_is_said_with_the_way_out() -> None:
    def said(call: Callable[[], object], kind: type[Exception] = InvalidError) -> str:
        with pytest.raises(kind) as fault:
            call()
        return str(fault.value)

    write = "write it like 2025-01-15T00:00:00.000Z"
    assert said(lambda: calendar.read("yesterday")) == f"'yesterday' is not an instant; {write}"
    assert said(lambda: calendar.read("2025-01-15")) == f"'2025-01-15' names no time zone; {write}"
    assert said(lambda: checked("T1")) == "a registration number is T followed by 13 digits (B-32)"
    guest = RefusedError("TR-17", "not available for a single-board guest")
    with pytest.raises(RefusedError) as refusal:
        may_everywhere(Standing(boards=1))
    assert (refusal.value.rule, str(refusal.value), refusal.value.actor) == (guest.rule, str(guest), False)
    month = Period(date(2025, 1, 15), 1, 0, "UTC")
    outside = "2025-02-15 is not a day of the period 2025-01-15 to 2025-02-15"
    assert said(lambda: share_left("seconds", month, datetime(2025, 2, 15, tzinfo=UTC)), ValueError) == outside


def test_b_32_a_doubtful_number_is_said_to_be_doubtful_in_one_sentence() -> None:
    doubt = "The check digit is not that of a company's number; look it up, unless the issuer is a sole trader."
    assert checked("T8120001168421") == [doubt]
    assert check_digit("000000000000") == 9
    assert check_digit("000000000001") == 8
    assert check_digit("000000000010") == 7
    assert check_digit("000000000009") == 9


def test_a_fault_carries_its_message_its_rule_and_whether_it_is_about_who_asked() -> None:
    plain, named = InvalidError(), InvalidError("wrong", rule="XX-01")
    assert (str(plain), plain.rule, str(named), named.rule) == ("", None, "wrong", "XX-01")
    one, other = RefusedError("TR-20", "no"), RefusedError("TR-20", "no", actor=True)
    assert (one.actor, other.actor, str(one), one.rule) == (False, True, "no", "TR-20")
    assert (errors.UnavailableError.retry, errors.ConflictError.retry) == (True, False)
