"""A plan as data: what a period is billed under, and what a plan lets people do. No tool is named here (law 3)."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import Any, Literal

from billing.core import calendar
from billing.core.classification import RULE_VERSION, Policy
from billing.core.money import Rounding
from billing.core.proration import Method

Shape = Literal["auto_seats", "licences", "flat"]
TaxBehavior = Literal["exclusive", "inclusive"]

#: Facts older than this between `at` and `heard_at` move money only from the first instant inside it (law 10).
RERATING_DAYS = 400


@dataclass(frozen=True, slots=True)
class Dunning:
    """What follows a failed charge. Days are civil days of the subscription's zone.

    `retry_days`: days after the first failure on which the charge is tried again. After `grace_days` from the first
    failure (`grace_from` "renewal": from the day the unpaid period begins) the subscription is `then`: suspended, or
    free for good. A suspended one that is not paid `close_days` after the same day is closed (0: never).
    """

    retry_days: tuple[int, ...] = (7, 14, 21)
    grace_days: int = 28
    grace_from: Literal["failure", "renewal"] = "failure"
    then: Literal["suspended", "free"] = "free"
    close_days: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan lets people do, and what time does to it. Days are civil days of the subscription's zone.

    `trial_days` 0: no trial. `trial_end`: what an unregistered trial becomes. `terms_required`: a trial must carry the
    terms accepted. `roles` may command, else the refusal names `role_rule`, or that of the command in `role_rules`.
    `methods`: (payment method, interval) pairs there are; empty: any. `lead_days`: payment method to days a renewal is
    billed ahead. `refund_days` 0: none. `downgrade`, `to_longer` and `to_shorter` say what becomes of a smaller plan
    and of another interval, `reopen` whether who was closed may sign up anew. `observed`: which end of the interval a
    change is billed from that only a full list showed.
    """

    trial_days: int = 0
    trial_end: Literal["to_free", "convert_if_method", "expire_unless_registered"] = "to_free"
    terms_required: bool = False
    roles: tuple[str, ...] = ("admin",)
    role_rule: str = "TR-20"
    role_rules: Mapping[str, str] = field(default_factory=dict)
    intervals: tuple[str, ...] = ("month", "year")
    methods: tuple[tuple[str, str], ...] = ()
    lead_days: Mapping[str, int] = field(default_factory=dict)
    downgrade: Literal["at_renewal", "refused"] = "at_renewal"
    downgrade_rule: str = "B-06"
    to_longer: Literal["credited", "forfeited", "at_renewal"] = "credited"
    to_shorter: Literal["refused", "at_renewal"] = "refused"
    interval_rule: str = "TR-25"
    refund_days: int = 0
    refund_rule: str = "XX-06"
    ends_in: Literal["free", "closed"] = "free"
    reopen: Literal["anew", "support"] = "anew"
    observed: Literal["end", "start"] = "end"
    dunning: Dunning = field(default_factory=Dunning)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a period is billed under, pinned when it is first billed (law 3).

    `unit_amount` is minor units per seat (or licence, or space) and period; `tax_rate` an exact fraction as text.
    `rank` orders the plans of one tool (0: free). `caps` are upper limits by name (`users`, `collaborators`,
    `open_boards`, `projects`, `storage_mb`): checked, never priced. `minimum` is the least quantity billed.
    `seat_rules` and `line_rules` name the rules of a standing or of a line's kind, where they are not the ordinary.
    """

    price_id: str
    plan: str
    interval: str
    currency: str
    unit_amount: int
    method: Method = "months_days"
    rounding: Rounding = "half_up"
    shape: Shape = "auto_seats"
    guests_free: bool = False
    closed_boards_count: bool = False
    catalogue_version: int = 1
    rule_version: int = RULE_VERSION
    rank: int = 1
    minimum: int = 0
    pending_count: bool = False
    auto_purchase: bool = False
    tax_behavior: TaxBehavior = "exclusive"
    tax_rate: str = "0"
    tax_rounding: Rounding = "floor"
    caps: Mapping[str, int] = field(default_factory=dict)
    cap_rules: Mapping[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    seat_rules: Mapping[str, str] = field(default_factory=dict)
    line_rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)

    @property
    def months(self) -> int:
        """Months in a period."""
        return calendar.MONTHS[self.interval]

    @property
    def policy(self) -> Policy:
        """Who takes a seat under these terms."""
        return Policy(
            self.guests_free, self.closed_boards_count, self.pending_count, tuple(sorted(self.seat_rules.items()))
        )


def written(terms: Terms) -> dict[str, Any]:
    """The JSON that `read` reads."""
    data: dict[str, Any] = json.loads(json.dumps(asdict(terms)))
    return data


def read(data: Mapping[str, Any]) -> Terms:
    """Terms from their JSON; fields that are not there (older rows) have their defaults."""
    return read_text(json.dumps(data, sort_keys=True, default=str))


@lru_cache(maxsize=4096)
def read_text(text: str) -> Terms:
    """Terms from the text of their JSON. The same text is read once: most workspaces have the same few."""
    data = json.loads(text)
    rules = dict(data.get("rules") or {})
    rules["dunning"] = _made(Dunning, rules.get("dunning") or {}, retry_days=tuple)
    made = _made(Rules, rules, roles=tuple, intervals=tuple, methods=_pairs)
    line_rules = {kind: tuple(ids) for kind, ids in (data.get("line_rules") or {}).items()}
    terms: Terms = _made(Terms, {**data, "rules": made, "line_rules": line_rules}, features=tuple)
    return terms


def _pairs(pairs: Any) -> tuple[tuple[str, str], ...]:
    return tuple((method, interval) for method, interval in pairs)


def _made(kind: Any, data: Mapping[str, Any], **turned: Any) -> Any:
    known = {one.name for one in fields(kind)}
    return kind(**{name: turned.get(name, lambda v: v)(value) for name, value in data.items() if name in known})
