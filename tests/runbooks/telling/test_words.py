"""Times, durations, counts and places in plain words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from runbooks.telling.words import counted, duration, listed, sentence, whereabouts
from runbooks.timestamps import moment
from tests.runbooks.builders import a_case_key


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(minutes=4, seconds=12), "4 min 12 s"),
        (timedelta(hours=2, seconds=5), "2 h"),
        (timedelta(days=61, hours=3, minutes=9), "61 d 3 h"),
        (timedelta(minutes=-5), "minus 5 min"),
    ],
)
def test_durations_name_their_two_largest_units(span: timedelta, words: str) -> None:
    assert duration(span) == words


def test_times_are_told_in_utc_whatever_their_zone() -> None:
    at = datetime(2026, 3, 2, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert moment(at) == "2026-03-01 23:00:00 UTC"


def test_lists_end_in_how_many_more() -> None:
    assert [listed("abcde"[:count]) for count in range(6)] == [
        "", "a", "a and b", "a, b and c", "a, b and 2 more", "a, b and 3 more",
    ]  # fmt: skip


def test_one_is_not_many() -> None:
    assert [counted(0, "step"), counted(1, "step"), counted(2, "step")] == ["0 steps", "1 step", "2 steps"]


def test_names_of_things_keep_their_first_letter() -> None:
    assert sentence("the group") == "The group"
    for name in ("i-0abc runs", "disableApiTermination is off", "/dev/sda1: x", ""):
        assert sentence(name) == name


def test_places_are_named_by_one_or_counted_by_many() -> None:
    keys = {key.id: key for key in (a_case_key("i-1"), a_case_key("i-2", region="us-east-1"), a_case_key("i-3"))}
    cases = tuple(keys)
    assert whereabouts(cases[:1], keys) == "i-1 (210987654321, eu-west-1)"
    assert whereabouts(cases, keys) == "3 instances (210987654321, eu-west-1 and 210987654321, us-east-1)"
    assert whereabouts((*cases, "case-x"), keys) == "4 cases"
    mixed = keys | {"f": a_case_key("arn:aws:lambda:f", resource_type="AWS_LAMBDA_FUNCTION")}
    assert whereabouts(tuple(mixed), mixed).startswith("4 resources (")
