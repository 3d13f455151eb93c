"""Money: integers of minor units with a currency, one rounding function, nothing lost when a sum is shared (XX-01)."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

Rounding = Literal["half_up", "half_even", "floor", "ceil"]

#: Decimal places of a currency's minor unit; two where not listed (ISO 4217).
_DIGITS = MappingProxyType({"JPY": 0, "KRW": 0, "VND": 0, "XXX": 0})
_SIGNS = MappingProxyType({"USD": "$", "JPY": "¥", "EUR": "€", "GBP": "£"})


class CurrencyMismatchError(TypeError):
    """Two currencies met in one sum; that is a fault of the program, never of the input."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (cents, yen) of one currency."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        """Refuse anything but a true integer (XX-01: no floats)."""
        if type(self.amount) is not int:
            raise TypeError(f"money is an integer of minor units, not {type(self.amount).__name__}")

    def _same(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise CurrencyMismatchError(f"{self.currency} and {other.currency} cannot be summed")

    def __add__(self, other: "Money") -> "Money":
        """Raises CurrencyMismatchError when the currencies differ."""
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """Raises CurrencyMismatchError when the currencies differ."""
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def __str__(self) -> str:
        return written(self.amount, self.currency)


def rounded(exact: Fraction, mode: Rounding) -> int:
    """The one rounding function: on the magnitude, the sign put back after (law 8).

    `floor` cuts towards zero and `ceil` goes away from it, because both look at the magnitude.
    """
    whole, rest = divmod(abs(exact.numerator), exact.denominator)
    twice = 2 * rest - exact.denominator
    up = {
        "half_up": twice >= 0,
        "half_even": twice > 0 or (twice == 0 and whole % 2 == 1),
        "floor": False,
        "ceil": rest > 0,
    }[mode]
    magnitude = whole + int(up)
    return magnitude if exact >= 0 else -magnitude


def shared(total: int, shares: Sequence[Fraction]) -> list[int]:
    """Split `total` minor units in proportion to `shares` by the largest remainder; the parts sum to `total` (law 8).

    Raises ValueError when there is nothing to share among.
    """
    whole = sum(shares, Fraction(0))
    if not shares or whole == 0:
        raise ValueError("there is nothing to share among")
    exact = [abs(total) * share / whole for share in shares]
    parts = [int(part) for part in exact]
    missing = abs(total) - sum(parts)
    by_rest = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_rest[:missing]:
        parts[i] += 1
    return parts if total >= 0 else [-part for part in parts]


def written(amount: int, currency: str) -> str:
    """An amount as people read it: `$89.99`, `-¥462,000`, `12.50 CHF`."""
    digits = _DIGITS.get(currency, 2)
    whole, cents = divmod(abs(amount), 10**digits)
    text = f"{whole:,}" + (f".{cents:0{digits}d}" if digits else "")
    sign = "-" if amount < 0 else ""
    symbol = _SIGNS.get(currency)
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{text} {currency}"


def in_units(exact: Fraction, currency: str) -> str:
    """An exact amount of minor units as people read it, before it is rounded: `$89.9925`; a repeating one as `≈`."""
    digits = _DIGITS.get(currency, 2)
    units = abs(exact) / 10**digits
    shown, rest = divmod(units * 10 ** (digits + 4), 1)
    whole, tail = divmod(int(shown), 10 ** (digits + 4))
    decimals = f"{tail:0{digits + 4}d}".rstrip("0").ljust(digits, "0")
    text = f"{whole:,}" + (f".{decimals}" if decimals else "")
    symbol = _SIGNS.get(currency)
    said = f"{symbol}{text}" if symbol else f"{text} {currency}"
    return ("≈ " if rest else "") + ("-" if exact < 0 else "") + said
