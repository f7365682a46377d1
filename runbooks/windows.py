"""Change windows: when a plan's first change may be made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field

from runbooks.model import Model

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""Hours and minutes on a 24 hour clock."""


def _known(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name} is no time zone of the IANA database, such as Europe/Berlin")
    return name


class ChangeWindow(Model):
    """A time of the week. One that ends at or before its start ends on the next day."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    """The days on which it opens."""
    start: Clock
    end: Clock
    timezone: Annotated[str, AfterValidator(_known)] = "UTC"

    def __str__(self) -> str:
        days = "daily" if set(self.days) == set(DAYS) else ", ".join(self.days)
        return f"{days} {self.start} to {self.end} {self.timezone}"


class Opening(Model):
    """One time that a window is open, in UTC."""

    opens: datetime
    closes: datetime


def next_opening(windows: Sequence[ChangeWindow], now: datetime) -> Opening | None:
    """The opening that is under way or comes next; None where there are no windows: any time will do."""
    if not windows:
        return None
    found = [opening for window in windows for opening in _openings(window, now) if opening.closes > now]
    # Of those that are open at the same time the one that stays open longest.
    return min(found, key=lambda each: (max(each.opens, now), now - each.closes))


def closed_until(windows: Sequence[ChangeWindow], now: datetime) -> datetime | None:
    """When the next window opens; None where one is open now, or any time will do."""
    opening = next_opening(windows, now)
    return opening.opens if opening is not None and opening.opens > now else None


def usable_until(windows: Sequence[ChangeWindow], until: datetime) -> datetime:
    """Until when what was allowed by this time may begin: to the end of the window that is open then or comes next."""
    opening = next_opening(windows, until)
    return opening.closes if opening is not None else until


def _openings(window: ChangeWindow, now: datetime) -> list[Opening]:
    """From yesterday on, which may still be open, for two weeks: summer time may skip the one of this week.

    A time that the clock skips counts as if it had not been set forward, one that comes twice counts when it first
    comes (PEP 495, fold=0).
    """
    zone = ZoneInfo(window.timezone)
    today = now.astimezone(zone).date()
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    openings: list[Opening] = []
    for ahead in range(-1, 15):
        day = today + timedelta(days=ahead)
        if DAYS[day.weekday()] in window.days:
            last = day if end > start else day + timedelta(days=1)
            opens = datetime.combine(day, start, zone).astimezone(UTC)
            closes = datetime.combine(last, end, zone).astimezone(UTC)
            if opens < closes:
                openings.append(Opening(opens=opens, closes=closes))
    return openings
