"""Blast radius: never more under way than the limits allow, whatever begins and ends in whichever order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.definition import Limits
from runbooks.limits import allowed, exceeded, extents_of
from runbooks.plan import Extent
from tests.runbooks.builders import a_contain_plan

PLACE = "210987654321/eu-west-1"
TARGETS = "arn:aws:elasticloadbalancing:eu-west-1:210987654321:targetgroup/checkout/1"
WIDE: dict[str, Any] = {
    "maximum_cases_at_once": 1000,
    "maximum_cases_per_hour": 10_000,
    "maximum_share_of_auto_scaling_group": 100,
    "maximum_share_of_target_group": 100,
    "maximum_share_of_environment": 100,
}


def limits(**only: Any) -> Limits:
    """One limit, and the others out of its way."""
    return Limits(**(WIDE | only))


def an_extent(number: int, **values: Any) -> Extent:
    given: dict[str, Any] = {"case": f"case-{number}", "place": PLACE}
    return Extent(**(given | values))


def extents(count: int, first: int = 1, **values: Any) -> list[Extent]:
    return [an_extent(number, **values) for number in range(first, first + count)]


# --- each limit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percent", "size", "many"),
    [(34, 3, 1), (34, 6, 2), (34, 2, 1), (1, 10, 1), (25, 0, 1), (25, 100, 25), (99, 100, 99), (25, None, 1)],
)
def test_a_share_is_rounded_down_and_one_is_always_within_it(percent: int, size: int | None, many: int):
    assert allowed(percent, size) == many


def test_limits_are_on_without_being_asked_for():
    known = {"environment": "production", "environment_size": 1000}
    assert exceeded(Limits(), extents(10, **known)) is None
    assert exceeded(Limits(), extents(11, **known)) == (
        "11 cases would be under way together, and maximum_cases_at_once is 10"
    )


@pytest.mark.parametrize(
    ("only", "wanted", "under_way", "reason"),
    [
        ({"maximum_cases_at_once": 3}, extents(1), extents(2, 2), None),
        (
            {"maximum_cases_at_once": 3},
            extents(2),
            extents(2, 3),
            "4 cases would be under way together, and maximum_cases_at_once is 3",
        ),
        (
            {"maximum_share_of_auto_scaling_group": 34},
            [an_extent(1, auto_scaling_group="web", auto_scaling_group_size=5)],
            [an_extent(2, auto_scaling_group="web", auto_scaling_group_size=6)],
            (
                f"2 of 5 in Auto Scaling group web of {PLACE} would be under way together, and "
                "maximum_share_of_auto_scaling_group (34 %) allows 1"
            ),
        ),
        (
            {"maximum_share_of_target_group": 50},
            extents(2, target_groups={TARGETS: 3}),
            [],
            (
                f"2 of 3 in target group {TARGETS} would be under way together, "
                "and maximum_share_of_target_group (50 %) allows 1"
            ),
        ),
        (
            {"maximum_share_of_environment": 25},
            extents(2, environment="production", environment_size=8),
            extents(1, 9, environment="production", environment_size=8),
            (
                f"3 of 8 in environment production of {PLACE} would be under way together, and "
                "maximum_share_of_environment (25 %) allows 2"
            ),
        ),
        (
            {"maximum_share_of_environment": 25},
            extents(2),
            [],
            (
                f"2 of an unknown number in environment unknown of {PLACE} would be under way together, and "
                "maximum_share_of_environment (25 %) allows 1"
            ),
        ),
    ],
)
def test_what_exceeds_a_limit_is_told_with_its_name_its_value_and_the_count(
    only: dict[str, int], wanted: list[Extent], under_way: list[Extent], reason: str | None
):
    assert exceeded(limits(**only), wanted, under_way) == reason


def test_a_case_counts_once_however_often_it_has_begun():
    few = limits(maximum_cases_at_once=2, maximum_cases_per_hour=2)
    assert exceeded(few, extents(1), extents(2), extents(2)) is None


def test_what_has_ended_still_counts_within_its_hour():
    assert exceeded(limits(maximum_cases_per_hour=3), extents(1, 4), [], extents(3)) == (
        "4 cases would begin within an hour, and maximum_cases_per_hour is 3"
    )


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"place": "210987654321/us-east-1", "environment": "production", "auto_scaling_group": "web"},
        {"environment": "staging", "auto_scaling_group": "web-2"},
    ],
)
def test_another_place_environment_or_group_is_none_of_this_ones_share(elsewhere: dict[str, str]):
    here = an_extent(1, environment="production", auto_scaling_group="web", auto_scaling_group_size=3)
    shares = limits(maximum_share_of_environment=1, maximum_share_of_auto_scaling_group=1)
    assert exceeded(shares, [here], [an_extent(2, **elsewhere)]) is None
    assert exceeded(shares, [here], [here.model_copy(update={"case": "case-2"})]) is not None


def test_a_lone_case_is_let_in_though_nothing_is_known_of_what_it_is_a_part_of():
    assert exceeded(Limits(), [an_extent(1, auto_scaling_group="web", target_groups={TARGETS: 0})]) is None


def test_a_size_that_one_case_does_not_know_is_not_known():
    known, unknown = an_extent(1, environment_size=100), an_extent(2)
    assert exceeded(limits(maximum_share_of_environment=25), [known, unknown]) is not None


def test_of_a_size_that_was_read_twice_the_smaller_counts():
    before, now = an_extent(1, environment_size=8), an_extent(2, environment_size=7)
    quarter = limits(maximum_share_of_environment=25)
    assert exceeded(quarter, [before, before.model_copy(update={"case": "case-2"})]) is None
    assert exceeded(quarter, [before, now]) is not None
    assert exceeded(quarter, [now, before]) is not None


def test_cases_of_which_a_plan_says_nothing_are_of_unknown_extent():
    plan = a_contain_plan(extents=(), cases=("case-1", "case-2"))
    assert extents_of(plan) == (Extent(case="case-1"), Extent(case="case-2"))
    assert exceeded(limits(maximum_share_of_environment=25), extents_of(plan)) is not None


# --- whatever the order ----------------------------------------------------------------------------------------------

SIZES = {"web": 7, "shop": 3}
SHARES = Limits(
    maximum_cases_at_once=4,
    maximum_cases_per_hour=6,
    maximum_share_of_auto_scaling_group=34,
    maximum_share_of_target_group=50,
    maximum_share_of_environment=25,
)


@dataclass
class Estate:
    """Plans that begin and end, as the ledger counts them: minutes pass, and nothing is let in that is one too many."""

    minute: int = 0
    begun: list[tuple[int, list[Extent]]] = field(default_factory=list)
    under_way: list[list[Extent]] = field(default_factory=list)

    def begin(self, wanted: list[Extent]) -> None:
        going_on = [each for plan in self.under_way for each in plan]
        within = [each for at, plan in self.begun if at > self.minute - 60 for each in plan]
        if exceeded(SHARES, wanted, going_on, within) is None:
            self.under_way.append(wanted)
            self.begun.append((self.minute, wanted))

    def count(self, part: str, value: str) -> int:
        cases = [each for plan in self.under_way for each in plan]
        return len({each.case for each in cases if value in getattr(each, part)})


def a_case(number: int) -> Extent:
    group = "web" if number < SIZES["web"] else "shop"
    return an_extent(
        number,
        environment="production",
        environment_size=12,
        auto_scaling_group=group,
        auto_scaling_group_size=SIZES[group],
        target_groups={group: SIZES[group]},
    )


Plans = st.lists(st.integers(0, 9).map(a_case), min_size=1, max_size=4, unique_by=lambda each: each.case)
Events = st.lists(
    st.one_of(
        Plans.map(lambda plan: ("begin", plan)),
        st.integers(0, 9).map(lambda which: ("end", which)),
        st.integers(1, 40).map(lambda minutes: ("wait", minutes)),
    ),
    max_size=60,
)


@given(Events)
def test_never_more_is_under_way_than_the_limits_allow_in_whichever_order_plans_begin_and_end(
    events: list[tuple[str, Any]],
):
    estate = Estate()
    for what, value in events:
        if what == "begin":
            estate.begin(value)
        elif what == "end" and estate.under_way:
            estate.under_way.pop(value % len(estate.under_way))
        elif what == "wait":
            estate.minute += value
        assert estate.count("environment", "production") <= 3  # a quarter of 12, and fewer than four at once
        assert estate.count("auto_scaling_group", "web") <= 2  # 34 % of 7
        assert estate.count("auto_scaling_group", "shop") <= 1  # 34 % of 3
        for start in {at for at, _ in estate.begun}:
            hour = {each.case for at, plan in estate.begun if start <= at < start + 60 for each in plan}
            assert len(hour) <= 6
