"""Inspector's four ways to write a time are one moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks import timestamps

MOMENTS = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("Wed Sep 04 16:59:44.356 UTC 2024", datetime(2024, 9, 4, 16, 59, 44, 356000)),
        ("Wed Sep 04 16:59:44 UTC 2024", datetime(2024, 9, 4, 16, 59, 44)),
        ("Wed Sep 04 16:59:44.5 GMT 2024", datetime(2024, 9, 4, 16, 59, 44, 500000)),
        ("Wed Sep 04 16:59:44.123456789 UTC 2024", datetime(2024, 9, 4, 16, 59, 44, 123456)),
        ("Jan 19, 2023, 10:46:15 PM", datetime(2023, 1, 19, 22, 46, 15)),
        ("Jan 19, 2023, 10:46:15\u202fPM", datetime(2023, 1, 19, 22, 46, 15)),
        ("Jan 19, 2023, 10:46:15\u00a0PM", datetime(2023, 1, 19, 22, 46, 15)),
        ("Jan 9, 2023 9:06:05 AM", datetime(2023, 1, 9, 9, 6, 5)),
        ("Dec 31, 2023, 12:00:00 AM", datetime(2023, 12, 31, 0, 0, 0)),
        ("Dec 31, 2023, 12:00:00 PM", datetime(2023, 12, 31, 12, 0, 0)),
        ("2023-01-20T22:51:35.665501Z", datetime(2023, 1, 20, 22, 51, 35, 665501)),
        ("2026-06-12T01:30:00.000Z", datetime(2026, 6, 12, 1, 30)),
        ("2022-05-04T18:23:03.692000+02:00", datetime(2022, 5, 4, 16, 23, 3, 692000)),
        ("2022-05-04T16:23:03", datetime(2022, 5, 4, 16, 23, 3)),
        (1694203650.366, datetime(2023, 9, 8, 20, 7, 30, 366000)),
        (1694203650, datetime(2023, 9, 8, 20, 7, 30)),
        (datetime(2022, 5, 4, 18, tzinfo=timezone(timedelta(hours=2))), datetime(2022, 5, 4, 16)),
        (datetime(2022, 5, 4, 16), datetime(2022, 5, 4, 16)),
    ],
)
def test_every_form_is_the_same_aware_moment(written: object, moment: datetime) -> None:
    read = timestamps.read(written)

    assert read == moment.replace(tzinfo=UTC)
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        "",
        "yesterday",
        "20230120",
        "2023-01-20",
        "1694203650",
        "Jan 32, 2023, 10:46:15 PM",
        "Jan 19, 2023, 13:46:15 PM",
        "Jan 19, 2023, 0:46:15 PM",
        "Wed Sep 04 24:00:00 UTC 2024",
        "Wed Sep 04 16:59:44 CET 2024",
        "Mit Sep 04 16:59:44 UTC 2024",
        "0001-01-01T00:00:00+14:00",
        "2023-13-01T00:00:00Z",
        "\u0662\u0660\u0662\u0663-01-20T22:51:35Z",
        True,
        None,
        [],
        {},
        1e300,
        float("nan"),
        float("inf"),
        1725469184356000,
    ],
)
def test_what_names_no_moment_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is not a time in a form that Amazon Inspector writes"):
        timestamps.read(written)


def test_the_refusal_stays_short() -> None:
    with pytest.raises(ValueError, match=r"^'x{56}\.\.\. is not a time"):
        timestamps.read("x" * 100_000)


@given(MOMENTS)
def test_nothing_is_lost_on_the_way_out_and_back(moment: datetime) -> None:
    assert timestamps.read(timestamps.event_form(moment)) == moment
    assert timestamps.read(timestamps.iso_form(moment)) == moment
    assert timestamps.iso_form(moment).endswith("Z")


def test_the_event_form_is_the_one_eventbridge_sends() -> None:
    moment = datetime(2024, 9, 4, 18, 59, 44, 356000, tzinfo=timezone(timedelta(hours=2)))

    assert timestamps.event_form(moment) == "Wed Sep 04 16:59:44.356 UTC 2024"
    assert timestamps.event_form(moment.replace(microsecond=1)) == "Wed Sep 04 16:59:44.000001 UTC 2024"
