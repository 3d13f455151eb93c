"""Consumption tax: added to prices without it, split out of prices with it, rounded once per document and rate.

Rules XX-03, XX-04, B-30, A-30, A-31. Amounts are minor units.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from billing.core.money import Rounding, rounded


@dataclass(frozen=True, slots=True)
class Tax:
    """One rate. `rate` is an exact fraction as text (`1/10`), `behavior` exclusive or inclusive."""

    rate: str = "0"
    behavior: str = "exclusive"
    rounding: Rounding = "floor"

    def part(self, total: int) -> int:
        """The tax on (exclusive) or within (inclusive) a sum of line amounts of one document."""
        share = _share(self.rate, self.behavior)
        return rounded(total * share, self.rounding) if share else 0

    def gross(self, total: int) -> int:
        """What is asked for a sum of line amounts, tax included."""
        return total if self.behavior == "inclusive" else total + self.part(total)

    def taken(self, total: int, by: int) -> int:
        """The gross of taking `by` off a document that now stands at `total`: taking all of it leaves nothing."""
        return self.gross(total) - self.gross(total - by)

    def taken_part(self, total: int, by: int) -> int:
        """The tax in `taken`."""
        return self.part(total) - self.part(total - by)


@lru_cache(maxsize=64)
def _share(rate: str, behavior: str) -> Fraction:
    exact = Fraction(rate)
    return exact / (1 + exact) if behavior == "inclusive" else exact
