"""Timestamps as Amazon Inspector writes them, read into aware UTC datetimes whatever the process locale is.

One finding carries its times in another style through each door: EventBridge sends
``Wed Sep 04 16:59:44.356 UTC 2024`` today and sent ``Jan 19, 2023, 10:46:15 PM`` in 2023 (Inspector user guide,
"Amazon EventBridge event schema" and "Automating responses to findings"), the API sends epoch seconds, and the AWS CLI
and the on-demand events send ISO 8601.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH = "(?P<month>" + "|".join(_MONTHS) + ")"
_DAY = r"(?P<day>\d\d?)"
_YEAR = r"(?P<year>\d{4})"
_HOUR = r"(?P<hour>\d\d?)"
_MINUTE_SECOND = r"(?P<minute>\d\d):(?P<second>\d\d)"
_FRACTION = r"(?:\.(?P<fraction>\d{1,9}))?"

_EVENT_FORM = re.compile(
    f"(?:{'|'.join(_WEEKDAYS)}) {_MONTH} {_DAY} {_HOUR}:{_MINUTE_SECOND}{_FRACTION} (?:UTC|GMT) {_YEAR}", re.ASCII
)
_US_FORM = re.compile(
    rf"{_MONTH} {_DAY}, {_YEAR},? (?P<hour>1[0-2]|0?[1-9]):{_MINUTE_SECOND} (?P<half>AM|PM)", re.ASCII
)
_ISO_FORM = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", re.ASCII)
# Java 20 and later put one of these before AM and PM, where Java 8 to 19 put a space.
_ODD_SPACES = str.maketrans({"\u202f": " ", "\u00a0": " ", "\u2009": " "})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(value: object) -> datetime:
    """The moment `value` names, as an aware UTC datetime with microseconds.

    Takes each textual form above, epoch seconds (int or float) and a datetime. A text without a zone is UTC, as all
    of Inspector's times are.

    Raises:
        ValueError: It is none of these, or names a moment that does not exist.
    """
    try:
        if isinstance(value, datetime):
            return _in_utc(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _EPOCH + timedelta(seconds=value)
        if isinstance(value, str) and (moment := _read_text(value.strip().translate(_ODD_SPACES))):
            return moment
    except (ValueError, OverflowError):
        pass  # a form that is known, and a moment that does not exist
    raise ValueError(f"{_shown(value)} is not a time in a form that Amazon Inspector writes")


def event_form(moment: datetime) -> str:
    """`moment` as an EventBridge finding writes it; with microseconds where milliseconds would lose some."""
    utc = _in_utc(moment)
    micros = f"{utc.microsecond:06d}"
    fraction = micros[:3] if micros.endswith("000") else micros
    date = f"{_WEEKDAYS[utc.weekday()]} {_MONTHS[utc.month - 1]} {utc.day:02d}"
    return f"{date} {utc.hour:02d}:{utc.minute:02d}:{utc.second:02d}.{fraction} UTC {utc.year:04d}"


def iso_form(moment: datetime) -> str:
    """`moment` as ISO 8601 in UTC, ending in Z."""
    return _in_utc(moment).isoformat().replace("+00:00", "Z")


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _read_text(text: str) -> datetime | None:
    if found := _EVENT_FORM.fullmatch(text):
        micros = int((found["fraction"] or "0")[:6].ljust(6, "0"))
        return _built(found, int(found["hour"]), micros)
    if found := _US_FORM.fullmatch(text):
        return _built(found, int(found["hour"]) % 12 + (12 if found["half"] == "PM" else 0), 0)
    if _ISO_FORM.fullmatch(text):
        return _in_utc(datetime.fromisoformat(text))
    return None


def _built(found: re.Match[str], hour: int, micros: int) -> datetime:
    month = _MONTHS.index(found["month"]) + 1
    second, minute = int(found["second"]), int(found["minute"])
    return datetime(int(found["year"]), month, int(found["day"]), hour, minute, second, micros, tzinfo=UTC)


def _shown(value: object) -> str:
    shown = repr(value) if isinstance(value, (str, int, float, bool)) else f"a {type(value).__name__}"
    return shown if len(shown) <= 60 else shown[:57] + "..."


def moment(at: datetime) -> str:
    """A time as `2026-03-02 09:15:31 UTC`."""
    utc = at if at.tzinfo is None else at.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC"
