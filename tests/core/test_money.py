"""Money: whole minor units of one currency, one rounding, nothing lost in sharing (XX-01, law 8)."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.core.money import CurrencyMismatchError, Money, Rounding, in_units, rounded, shared, written
from tests.core.histories import LAW

MODES: list[Rounding] = ["half_up", "half_even", "floor", "ceil"]
exact_amounts = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**6)


@pytest.mark.parametrize(
    ("exact", "half_up", "half_even", "floor", "ceil"),
    [
        ("5/2", 3, 2, 2, 3),
        ("7/2", 4, 4, 3, 4),
        ("249/100", 2, 2, 2, 3),
        ("251/100", 3, 3, 2, 3),
        ("1/1000000", 0, 0, 0, 1),
        ("4", 4, 4, 4, 4),
        ("0", 0, 0, 0, 0),
        ("35997/4", 8999, 8999, 8999, 9000),
    ],
)
def test_each_mode_rounds_the_magnitude_and_puts_the_sign_back(
    exact: str, half_up: int, half_even: int, floor: int, ceil: int
) -> None:
    wanted = [half_up, half_even, floor, ceil]
    assert [rounded(Fraction(exact), mode) for mode in MODES] == wanted
    assert [rounded(-Fraction(exact), mode) for mode in MODES] == [-amount for amount in wanted]


@LAW
@given(exact_amounts, st.sampled_from(MODES))
def test_a_credit_rounds_to_the_same_minor_units_as_the_charge_it_undoes(exact: Fraction, mode: Rounding) -> None:
    assert rounded(-exact, mode) == -rounded(exact, mode)
    assert abs(rounded(exact, mode) - exact) < 1


@LAW
@given(exact_amounts)
def test_the_nearest_modes_are_never_more_than_half_a_minor_unit_away(exact: Fraction) -> None:
    assert abs(rounded(exact, "half_up") - exact) <= Fraction(1, 2)
    assert abs(rounded(exact, "half_even") - exact) <= Fraction(1, 2)
    assert abs(rounded(exact, "floor")) <= abs(exact) <= abs(rounded(exact, "ceil"))


def test_amounts_of_one_currency_add_and_subtract() -> None:
    assert Money(8999, "USD") + Money(1, "USD") == Money(9000, "USD")
    assert Money(100, "JPY") - Money(250, "JPY") == Money(-150, "JPY")
    assert -Money(5, "USD") == Money(-5, "USD")


def test_two_currencies_never_meet_in_one_sum() -> None:
    with pytest.raises(CurrencyMismatchError, match="USD and JPY"):
        Money(1, "USD") + Money(1, "JPY")
    with pytest.raises(CurrencyMismatchError, match="JPY and USD"):
        Money(1, "JPY") - Money(1, "USD")


@pytest.mark.parametrize("amount", [1.0, Fraction(1), "1", True, None])
def test_money_is_made_of_whole_numbers_only(amount: object) -> None:
    with pytest.raises(TypeError, match=f"^money is an integer of minor units, not {type(amount).__name__}$"):
        Money(amount, "USD")  # type: ignore[arg-type]


def test_the_largest_remainder_gets_the_minor_unit_that_is_left() -> None:
    assert shared(100, [Fraction(1)] * 3) == [34, 33, 33]
    assert shared(10, [Fraction(1, 6), Fraction(2, 6), Fraction(3, 6)]) == [2, 3, 5]
    assert shared(-100, [Fraction(1)] * 3) == [-34, -33, -33]
    assert shared(0, [Fraction(1), Fraction(0)]) == [0, 0]


@pytest.mark.parametrize("shares", [[], [Fraction(0)], [Fraction(0), Fraction(0)]])
def test_nothing_is_shared_among_nobody(shares: list[Fraction]) -> None:
    with pytest.raises(ValueError, match=r"^there is nothing to share among$"):
        shared(100, shares)


@LAW
@given(
    st.integers(-(10**9), 10**9),
    st.lists(st.fractions(min_value=0, max_value=1000, max_denominator=366), min_size=1, max_size=20).filter(any),
)
def test_what_is_shared_sums_to_the_whole_and_nobody_is_a_minor_unit_off(total: int, shares: list[Fraction]) -> None:
    parts = shared(total, shares)
    assert sum(parts) == total
    whole = sum(shares)
    assert all(abs(part - total * share / whole) < 1 for part, share in zip(parts, shares, strict=True))


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (8999, "USD", "$89.99"),
        (5, "USD", "$0.05"),
        (-462000, "JPY", "-¥462,000"),
        (123456789, "EUR", "€1,234,567.89"),
        (1250, "CHF", "12.50 CHF"),
        (0, "JPY", "¥0"),
    ],
)
def test_amounts_are_written_as_people_read_them(amount: int, currency: str, text: str) -> None:
    assert written(amount, currency) == text
    assert str(Money(amount, currency)) == text


@pytest.mark.parametrize(
    ("exact", "currency", "text"),
    [
        ("35997/4", "USD", "$89.9925"),
        ("-35997/4", "USD", "-$89.9925"),
        ("9000", "USD", "$90.00"),
        ("0", "USD", "$0.00"),
        ("5", "USD", "$0.05"),
        ("1/2", "USD", "$0.005"),
        ("12345678", "EUR", "€123,456.78"),
        ("462000", "JPY", "¥462,000"),
        ("841/2", "JPY", "¥420.5"),
        ("-1/3", "JPY", "≈ -¥0.3333"),
        ("1000/3", "USD", "≈ $3.333333"),
        ("1250", "CHF", "12.50 CHF"),
        ("2501/2", "CHF", "12.505 CHF"),
    ],
)
def test_an_exact_amount_is_written_with_all_its_places_and_a_repeating_one_is_marked(
    exact: str, currency: str, text: str
) -> None:
    assert in_units(Fraction(exact), currency) == text
