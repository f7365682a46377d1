"""A plan says how much of what there is it touches, and is not made where that can never be allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runbooks.definition import Runbook
from runbooks.plan import Extent, Plan
from runbooks.planning.extents import extents
from tests.runbooks.builders import (
    ACCOUNT,
    REGION,
    a_contain_plan,
    a_finding,
    a_remediate_plan,
    a_resource,
    a_runbook,
    a_target_registration,
    an_assessment,
    an_auto_scaling_membership,
    an_instance,
    an_interface,
    case_facts,
    instance_facts,
)

TARGETS = a_target_registration().target_group
Planner = Callable[..., Plan]


def a_case(number: int, runbook: Runbook, *, size: int | None = 40, **instance: Any) -> Any:
    name = f"i-{number:017x}"
    values = {
        "tags": {"environment": "production"},
        "targets": (a_target_registration(instances=9),),
        "interfaces": (an_interface(id=f"eni-{number:017x}"),),
    } | instance
    facts = case_facts(
        a_finding(resource=a_resource(name)),
        case=f"case-{number}",
        resource=instance_facts(an_instance(name, **values), environment_size=size),
    )
    return an_assessment(facts, runbook)


@pytest.mark.parametrize("plan_of", [a_contain_plan, a_remediate_plan])
def test_a_plan_says_what_each_case_is_a_part_of_and_how_much_there_is_of_it(plan_of: Planner):
    runbook = a_runbook()
    plan = plan_of(a_case(1, runbook), a_case(2, runbook, auto_scaling=None, targets=()), runbook=runbook)
    place = f"{ACCOUNT}/{REGION}"
    production = {"place": place, "environment": "production", "environment_size": 40}
    assert plan.extents == (
        Extent(
            case="case-1",
            auto_scaling_group="checkout",
            auto_scaling_group_size=3,
            target_groups={TARGETS: 9},
            **production,
        ),
        Extent(case="case-2", **production),
    )
    assert plan.environments == ("production",)


@pytest.mark.parametrize(("in_service", "size"), [(None, 3), (3, 3), (1, 1), (5, 3)])
def test_a_group_that_is_missing_some_has_fewer_to_take_from(in_service: int | None, size: int):
    membership = an_auto_scaling_membership(desired=3, in_service=in_service)
    (extent,) = extents(a_runbook(), [a_case(1, a_runbook(), auto_scaling=membership)])
    assert extent.auto_scaling_group_size == size


def test_the_runbook_says_which_tag_names_the_environment():
    runbook = a_runbook(limits={"environment_tag": "stage"})
    tagged = a_case(1, runbook, tags={"stage": "live", "environment": "other"})
    assert [each.environment for each in extents(runbook, [tagged, a_case(2, runbook, tags={})])] == ["live", "unknown"]


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("maximum_cases_at_once", 1),
        ("maximum_cases_per_hour", 1),
        ("maximum_share_of_auto_scaling_group", 34),
        ("maximum_share_of_target_group", 20),
        ("maximum_share_of_environment", 4),
    ],
)
def test_what_could_not_begin_together_is_put_off_and_a_remediation_comes_in_waves(limit: str, value: int):
    runbook = a_runbook(limits={limit: value})
    cases = [a_case(number, runbook) for number in (1, 2)]
    contain = a_contain_plan(*cases, runbook=runbook)
    assert (contain.cases, contain.deferred) == (("case-1",), ("case-2",))
    assert {case for step in contain.steps for case in step.cases} == {"case-1"}
    assert a_contain_plan(cases[0], runbook=runbook).deferred == ()
    assert a_remediate_plan(*cases, runbook=runbook).waves == (("case-1",), ("case-2",))
