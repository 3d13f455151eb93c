"""The course of a workspace: which periods were billed and when, and what commands and payments did to them.

Values only; `life.py` folds them from facts. All instants are UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from billing.core.plans import Terms
from billing.core.proration import Period

_NOTHING: Mapping[tuple[str, int], "Void"] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Stretch:
    """One period of a subscription, from when it was billed.

    `opens` is its line's instant and `closes` when its seats stop being billed (its end, or earlier when it was cut).
    `fact` stands behind its line. `seats`: chosen when it began (licences bought, or seats paid for elsewhere: then
    `elsewhere`). `by_fact`: a fact opened it, so the facts of its instant count into it; else time did, and it comes
    before them (law 7). `share`: only what is left of the period is billed, after a resumption.
    """

    subscription: str
    n: int
    period: Period
    opens: datetime
    closes: datetime
    billed_at: datetime
    fact: str
    plan: str
    interval: str
    shape: str
    seats: int | None = None
    elsewhere: bool = False
    by_fact: bool = False
    share: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What its terms are pinned under."""
        return self.subscription, self.n


@dataclass(frozen=True, slots=True)
class Grant:
    """Licences bought or given up at an instant; a quantity is a delta (law 5)."""

    at: datetime
    key: tuple[str, int]
    count: int
    fact: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Another price from `at` on within a period: what is purchased then is charged the difference (B-06, B-22)."""

    at: datetime
    key: tuple[str, int]
    terms: Terms
    fact: str


@dataclass(frozen=True, slots=True)
class Cut:
    """A period ended early because another interval began; `credited`: what is left of it is given back (TR-24)."""

    at: datetime
    key: tuple[str, int]
    credited: bool
    fact: str


@dataclass(frozen=True, slots=True)
class Void:
    """A period whose every line was taken back, by a rule: a refund (TR-26), or a renewal that never was (B-24)."""

    at: datetime
    rule: str
    fact: str


@dataclass(frozen=True, slots=True)
class Mute:
    """A time of suspension, in which nothing new is bought; `fact`: the payment that ended it."""

    begins: datetime
    ends: datetime | None = None
    fact: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """An option ordered: a one-off line (BL-28)."""

    at: datetime
    key: tuple[str, int]
    terms: Terms
    option: str
    fact: str


@dataclass(frozen=True, slots=True)
class Due:
    """A moment at which time itself changed something. `since`: the earliest line instant it may touch."""

    at: datetime
    what: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """An obligation that was not paid: when it first failed, by which fact, and for which period."""

    at: datetime
    fact: str
    key: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Trial:
    """A running trial: free up to `end`; `registered` names the terms and the method it goes on under."""

    terms: Terms
    subscription: str
    started_at: datetime
    end: datetime
    fact: str
    method: str | None = None
    registered: Terms | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """What the facts say of a workspace's life up to an instant. `next_due`: when time changes it next."""

    state: str = "free"
    subscription: str | None = None
    terms: Terms | None = None
    next_terms: Terms | None = None
    method: str | None = None
    auto_purchase: bool = False
    applicant: str | None = None
    trial: Trial | None = None
    cancel_at: datetime | None = None
    suspended: bool = False
    failing: Mapping[tuple[str, int, str, int], Failure] = field(default_factory=dict)
    stretches: tuple[Stretch, ...] = ()
    grants: tuple[Grant, ...] = ()
    switches: tuple[Switch, ...] = ()
    cuts: tuple[Cut, ...] = ()
    orders: tuple[Order, ...] = ()
    mutes: tuple[Mute, ...] = ()
    voids: Mapping[tuple[str, int], Void] = field(default_factory=lambda: _NOTHING)
    dues: tuple[Due, ...] = ()
    next_due: datetime | None = None
    seq: int = 0

    @property
    def running(self) -> bool:
        """Whether a paid subscription runs."""
        return self.subscription is not None

    def at(self, instant: datetime) -> Stretch | None:
        """The stretch an instant lies in, if its seats are billed then."""
        found = [one for one in self.stretches if one.opens <= instant < one.closes]
        return found[-1] if found else None

    def before(self, instant: datetime) -> Stretch | None:
        """The last stretch that opened before an instant."""
        found = [one for one in self.stretches if one.opens < instant]
        return found[-1] if found else None

    def muted(self, instant: datetime) -> bool:
        """Whether nothing is bought at an instant, because the subscription is suspended."""
        return any(one.begins <= instant and (one.ends is None or instant < one.ends) for one in self.mutes)

    def licences(self, held: int, key: tuple[str, int], since: datetime, until: datetime) -> int:
        """`held` licences, less those given up in that period from `since` up to, not including, `until`."""
        gone = (g.count for g in self.grants if g.key == key and g.count < 0 and since <= g.at < until)
        return held + sum(gone)
