"""Change windows: open when the wall clock of their zone says so, over midnight and through summer time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from runbooks.windows import DAYS, ChangeWindow, Opening, closed_until, next_opening

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 10, 25, tzinfo=BERLIN)
"""The nights in which Berlin's clock skips 02:00 to 03:00, and shows it twice."""
CLOCKS = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from((0, 15, 30, 45)))
WINDOWS = st.builds(
    ChangeWindow,
    days=st.sets(st.sampled_from(DAYS), min_size=1).map(tuple),
    start=CLOCKS,
    end=CLOCKS,
    timezone=st.sampled_from(
        ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")
    ),
)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


def a_window(start: str, end: str, **choices: Any) -> ChangeWindow:
    return ChangeWindow(start=start, end=end, **choices)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opening(opens: str, closes: str) -> Opening:
    return Opening(opens=at(opens), closes=at(closes))


def test_without_windows_any_time_will_do() -> None:
    now = at("2026-03-02 09:16")
    assert next_opening((), now) is None
    assert closed_until((), now) is None


def test_before_it_opens_it_is_waited_for_and_once_it_is_open_it_is_not() -> None:
    nightly = (a_window("22:00", "23:30"),)
    assert closed_until(nightly, at("2026-03-02 21:59")) == at("2026-03-02 22:00")
    assert closed_until(nightly, at("2026-03-02 22:00")) is None
    assert closed_until(nightly, at("2026-03-02 23:29")) is None
    assert closed_until(nightly, at("2026-03-02 23:30")) == at("2026-03-03 22:00")


def test_one_that_runs_over_midnight_is_still_open_the_next_morning() -> None:
    saturdays = (a_window("22:00", "02:00", days=("sat",)),)
    assert next_opening(saturdays, at("2026-03-08 01:59")) == opening("2026-03-07 22:00", "2026-03-08 02:00")
    assert next_opening(saturdays, at("2026-03-08 02:00")) == opening("2026-03-14 22:00", "2026-03-15 02:00")


def test_one_that_ends_when_it_starts_lasts_a_day() -> None:
    sundays = (a_window("00:00", "00:00", days=("sun",)),)
    assert next_opening(sundays, at("2026-03-08 12:00")) == opening("2026-03-08 00:00", "2026-03-09 00:00")


def test_the_day_is_that_of_its_own_zone() -> None:
    monday_in_auckland = (a_window("06:00", "07:00", days=("mon",), timezone="Pacific/Auckland"),)
    assert next_opening(monday_in_auckland, at("2026-07-05 12:00")) == opening("2026-07-05 18:00", "2026-07-05 19:00")


def test_of_two_that_are_open_the_one_that_stays_open_longest_counts() -> None:
    both = (a_window("20:00", "22:00"), a_window("21:00", "23:00"))
    assert next_opening(both, at("2026-03-02 21:30")) == opening("2026-03-02 21:00", "2026-03-02 23:00")
    assert next_opening(both, at("2026-03-02 20:30")) == opening("2026-03-02 20:00", "2026-03-02 22:00")


@pytest.mark.parametrize(
    ("start", "end", "opens", "closes"),
    [
        ("01:00", "04:00", "2026-03-29 00:00", "2026-03-29 02:00"),
        ("02:15", "02:45", "2026-03-29 01:15", "2026-03-29 01:45"),
        ("01:30", "02:30", "2026-03-29 00:30", "2026-03-29 01:30"),
    ],
)
def test_in_spring_it_opens_and_closes_by_the_wall_clock(start: str, end: str, opens: str, closes: str) -> None:
    window = (a_window(start, end, days=("sun",), timezone="Europe/Berlin"),)
    assert next_opening(window, SPRING) == opening(opens, closes)


def test_one_that_begins_in_the_hour_that_is_skipped_and_ends_right_after_it_waits_a_week() -> None:
    window = (a_window("02:30", "03:15", days=("sun",), timezone="Europe/Berlin"),)
    assert next_opening(window, SPRING - timedelta(days=1)) == opening("2026-04-05 00:30", "2026-04-05 01:15")


def test_in_autumn_it_lasts_an_hour_longer() -> None:
    window = (a_window("01:00", "04:00", days=("sun",), timezone="Europe/Berlin"),)
    assert next_opening(window, AUTUMN) == opening("2026-10-24 23:00", "2026-10-25 03:00")


@pytest.mark.parametrize(
    "wrong",
    [{"start": "24:00"}, {"end": "7:00"}, {"timezone": "Mars/Olympus"}, {"timezone": "../etc"}, {"days": ()}],
)
def test_what_is_no_window_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChangeWindow.model_validate({"start": "22:00", "end": "02:00"} | wrong)


@given(WINDOWS, MOMENTS)
@example(a_window("02:30", "03:15", days=("sun",), timezone="Europe/Berlin"), at("2026-03-28 12:00"))
def test_there_is_always_a_next_opening_and_it_is_not_over(window: ChangeWindow, now: datetime) -> None:
    found = next_opening((window,), now)
    assert found is not None
    assert found.opens < found.closes
    assert found.closes > now
    assert found.closes - found.opens <= timedelta(hours=25)
    opens = found.opens.astimezone(ZoneInfo(window.timezone))
    assert DAYS[opens.weekday()] in window.days
    assert found.opens - now <= timedelta(days=15)


@given(WINDOWS, MOMENTS)
def test_it_is_closed_exactly_until_it_opens(window: ChangeWindow, now: datetime) -> None:
    until = closed_until((window,), now)
    if until is not None:
        assert until > now
        assert closed_until((window,), until) is None
        assert closed_until((window,), until - timedelta(seconds=1)) == until


@given(st.lists(WINDOWS, min_size=1, max_size=3), MOMENTS)
def test_one_open_window_is_enough(windows: list[ChangeWindow], now: datetime) -> None:
    alone = [closed_until((window,), now) for window in windows]
    together = closed_until(windows, now)
    assert together == (None if None in alone else min(filter(None, alone)))


@given(WINDOWS, MOMENTS)
def test_the_openings_follow_one_another(window: ChangeWindow, now: datetime) -> None:
    found = [next_opening((window,), now)]
    for _ in range(3):
        assert found[-1] is not None
        found.append(next_opening((window,), found[-1].closes))
    assert all(one and other and one.opens < other.opens for one, other in pairwise(found))
