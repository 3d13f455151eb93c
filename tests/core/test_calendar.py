"""The calendar: periods from the original anchor, local midnights of a zone, instants as text (XX-02, XX-14)."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from billing.core.calendar import local_date, midnight, month_date, period_of, period_start, read, whole, written
from billing.core.errors import InvalidError
from billing.core.proration import Period

ANCHORS = [date(2004, 1, 28), date(2004, 1, 29), date(2004, 1, 30), date(2004, 1, 31), date(2004, 2, 29)]
#: Sao Paulo, Beirut and Havana moved their clocks at midnight; Apia left out a whole day; New York moves at two.
ZONES = [
    "UTC",
    "Asia/Tokyo",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "America/Havana",
    "Pacific/Apia",
]
YEARS = 20


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("months", [1, 3, 6, 12])
@pytest.mark.parametrize("anchor", ANCHORS, ids=str)
def test_periods_meet_without_gap_or_overlap_for_twenty_years(anchor: date, months: int, zone: str) -> None:
    periods = [Period(anchor, months, n, zone) for n in range(YEARS * 12 // months)]
    for one, following in pairwise(periods):
        assert one.last == following.first
        assert one.start < one.end == following.start
    assert periods[-1].last == month_date(anchor, YEARS * 12)


@pytest.mark.parametrize("anchor", ANCHORS, ids=str)
def test_a_clamped_period_day_never_drifts_from_its_anchor(anchor: date) -> None:
    for n in range(-24, YEARS * 12):
        day = period_start(anchor, 1, n)
        assert day.day == min(anchor.day, monthrange(day.year, day.month)[1])
        assert (day.year - anchor.year) * 12 + day.month - anchor.month == n


def test_the_anchor_of_31_january_comes_back_after_february() -> None:
    anchor = date(2025, 1, 31)
    assert [period_start(anchor, 1, n) for n in range(4)] == [
        date(2025, 1, 31),
        date(2025, 2, 28),
        date(2025, 3, 31),
        date(2025, 4, 30),
    ]


def test_a_year_from_29_february_renews_on_the_28th_until_the_next_leap_year() -> None:
    renewals = [period_start(date(2024, 2, 29), 12, n) for n in range(1, 5)]
    assert renewals == [date(2025, 2, 28), date(2026, 2, 28), date(2027, 2, 28), date(2028, 2, 29)]


@pytest.mark.parametrize("months", [1, 3, 12])
@pytest.mark.parametrize("anchor", ANCHORS, ids=str)
def test_every_day_lies_in_exactly_the_period_that_names_it(anchor: date, months: int) -> None:
    for offset in range(-400, YEARS * 365, 3):
        day = anchor + timedelta(days=offset)
        n = period_of(anchor, months, day)
        assert period_start(anchor, months, n) <= day < period_start(anchor, months, n + 1)


@pytest.mark.parametrize("zone", ZONES)
def test_midnight_is_the_first_instant_of_the_day_in_its_zone_every_day_for_twenty_years(zone: str) -> None:
    lost_day = date(2011, 12, 30)  # Apia went from the 29th to the 31st
    for offset in range(YEARS * 365 + 5):
        day = date(2004, 1, 1) + timedelta(days=offset)
        if zone == "Pacific/Apia" and day == lost_day:
            continue
        begins = midnight(day, zone)
        assert local_date(begins, zone) == day
        assert local_date(begins - timedelta(microseconds=1), zone) < day


@pytest.mark.parametrize(
    ("zone", "day", "instant"),
    [
        ("Asia/Tokyo", date(2026, 4, 1), datetime(2026, 3, 31, 15, tzinfo=UTC)),
        ("America/Sao_Paulo", date(2018, 11, 4), datetime(2018, 11, 4, 3, tzinfo=UTC)),
        ("Asia/Beirut", date(2022, 3, 27), datetime(2022, 3, 26, 22, tzinfo=UTC)),
        ("America/New_York", date(2025, 3, 9), datetime(2025, 3, 9, 5, tzinfo=UTC)),
    ],
)
def test_where_the_clock_skips_midnight_the_day_begins_with_the_skip(zone: str, day: date, instant: datetime) -> None:
    assert midnight(day, zone) == instant


def test_a_day_that_a_zone_left_out_has_no_length() -> None:
    assert midnight(date(2011, 12, 30), "Pacific/Apia") == midnight(date(2011, 12, 31), "Pacific/Apia")


def test_the_civil_date_is_the_zones_own() -> None:
    instant = datetime(2026, 3, 31, 15, tzinfo=UTC)
    assert local_date(instant, "Asia/Tokyo") == date(2026, 4, 1)
    assert local_date(instant, "UTC") == date(2026, 3, 31)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Asia/Tokyo\0", "localtime"])
def test_a_zone_that_does_not_exist_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(InvalidError, match="IANA"):
        midnight(date(2025, 1, 1), name)


def test_instants_are_written_in_utc_with_milliseconds_and_read_back() -> None:
    instant = read("2025-04-15T09:30:00.250+09:00")
    assert instant == datetime(2025, 4, 15, 0, 30, 0, 250_000, tzinfo=UTC)
    assert written(instant) == "2025-04-15T00:30:00.250Z"
    assert read(written(instant)) == instant
    assert instant.tzinfo is UTC


@pytest.mark.parametrize(("text", "fault"), [("2025-01-15T00:00:00", "time zone"), ("yesterday", "not an instant")])
def test_an_instant_without_a_zone_or_sense_is_refused(text: str, fault: str) -> None:
    with pytest.raises(InvalidError, match=fault):
        read(text)


def test_what_is_told_finer_than_a_millisecond_lies_in_it() -> None:
    instant = read("2025-04-15T09:30:00.250999+09:00")
    assert whole(instant) == read("2025-04-15T09:30:00.250+09:00")
    assert whole(whole(instant)) == whole(instant)
