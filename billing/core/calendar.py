"""Periods from the original anchor, clamped; local midnights in a named zone; instants as text."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing.core.errors import InvalidError

#: Months in each interval of the contract.
MONTHS = {"month": 1, "3-months": 3, "6-months": 6, "year": 12}
#: Files beside the zones that mean whatever the machine is set to.
_OF_THE_MACHINE = frozenset({"localtime", "posixrules"})


@lru_cache(maxsize=512)
def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name. Raises InvalidError when there is none."""
    try:
        if name in _OF_THE_MACHINE:
            raise ValueError("another machine would count other days")
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as fault:
        raise InvalidError(f"{name!r} is not a time zone; use an IANA name such as Asia/Tokyo or UTC") from fault


def month_date(anchor: date, months: int) -> date:
    """`anchor` moved by whole months, clamped to the month's end; always counted from the anchor (XX-02)."""
    year, month0 = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    return date(year, month0 + 1, min(anchor.day, monthrange(year, month0 + 1)[1]))


@lru_cache(maxsize=8192)
def midnight(day: date, zone_name: str) -> datetime:
    """The UTC instant at which `day` begins in the zone; where a clock change skips midnight, the first one after."""
    local = datetime.combine(day, time(), zone(zone_name))
    instant = local.astimezone(UTC)
    # A skipped midnight maps to an instant of the day before or after; walk to the first instant of the day.
    while instant.astimezone(zone(zone_name)).date() < day:
        instant += timedelta(minutes=15)
    return instant


def local_date(instant: datetime, zone_name: str) -> date:
    """The civil date of an instant in the zone (XX-14)."""
    return instant.astimezone(zone(zone_name)).date()


def period_start(anchor: date, months: int, n: int) -> date:
    """The first civil day of period `n` (0-based) of an interval of `months`, from the original anchor."""
    return month_date(anchor, months * n)


def period_of(anchor: date, months: int, day: date) -> int:
    """The number of the period that `day` lies in; negative before the anchor."""
    n = ((day.year - anchor.year) * 12 + day.month - anchor.month) // months
    return n - 1 if period_start(anchor, months, n) > day else n


def written(instant: datetime) -> str:
    """An instant as the contract writes it: `2025-01-15T00:00:00.000Z`."""
    return f"{instant.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def whole(instant: datetime) -> datetime:
    """The millisecond that an instant lies in: what a tool tells finer happened at one instant (law 7), because the key
    of a line, which has milliseconds, could not tell it apart."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def read(text: str) -> datetime:
    """The UTC instant of an ISO 8601 text with a zone. Raises InvalidError without one or when it is no instant."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as fault:
        raise InvalidError(f"{text!r} is not an instant; write it like 2025-01-15T00:00:00.000Z") from fault
    if instant.tzinfo is None:
        raise InvalidError(f"{text!r} names no time zone; write it like 2025-01-15T00:00:00.000Z")
    return instant.astimezone(UTC)
