"""Leaving an Auto Scaling group, and whether there is a way back into it: named in the contain plan, before."""

from __future__ import annotations

from typing import Any

from runbooks.instance import AutoScalingMembership, Instance
from runbooks.plan import Plan
from runbooks.planning.containment import ALWAYS_UNCOVERED, ESTABLISHED_CONNECTIONS
from runbooks.steps import AttachToAutoScaling, DeregisterTarget, DetachFromAutoScaling
from runbooks.triage import Assessment
from tests.runbooks.builders import (
    a_contain_plan,
    a_runbook,
    a_target_registration,
    an_assessment,
    an_auto_scaling_membership,
    an_instance,
    an_interface,
    case_facts,
    instance_facts,
)


def a_case(number: int, instance: Instance) -> Assessment:
    return an_assessment(case_facts(case=f"case-{number}", resource=instance_facts(instance)))


def members(number: int, **group: Any) -> list[Assessment]:
    """So many instances of one Auto Scaling group."""
    membership: AutoScalingMembership = an_auto_scaling_membership(**group)
    return [
        a_case(each, an_instance(f"i-{each}", interfaces=(an_interface(id=f"eni-{each}"),), auto_scaling=membership))
        for each in range(number)
    ]


def leaving(plan: Plan) -> list[tuple[bool, bool]]:
    return [(step.decrement, step.room_to_return) for step in plan.steps if isinstance(step, DetachFromAutoScaling)]


def test_replaced_instances_share_the_room_that_the_group_has_for_their_return() -> None:
    plan = a_contain_plan(*members(3, minimum=1, desired=3, maximum=5))
    assert leaving(plan) == [(False, True), (False, True), (False, False)]
    assert plan.cannot_be_put_back == (
        "checkout keeps the replacement: attached again, its desired capacity is one higher",
        "checkout keeps the replacement: attached again, its desired capacity is one higher",
        "checkout is at its maximum of 5: i-2 cannot be attached again",
    )


def test_instances_that_are_not_replaced_share_what_the_group_can_spare() -> None:
    none = a_runbook(contain={"replacement_capacity": "none"})
    plan = a_contain_plan(*members(3, minimum=1, desired=3, maximum=3), runbook=none)
    assert leaving(plan) == [(True, True), (True, True), (False, False)]
    assert plan.cannot_be_put_back == ("checkout is at its maximum of 3: i-2 cannot be attached again",)
    assert any("checkout launches a replacement" in words for words in plan.not_covered)


def test_a_group_that_runs_with_one_less_takes_everything_back() -> None:
    none = a_runbook(contain={"replacement_capacity": "none"})
    plan = a_contain_plan(*members(1), runbook=none)
    assert (leaving(plan), plan.cannot_be_put_back) == ([(True, True)], ())
    assert plan.not_covered == (ESTABLISHED_CONNECTIONS, *ALWAYS_UNCOVERED)


def test_what_cannot_be_put_back_is_named_before() -> None:
    group = an_auto_scaling_membership(desired=6, maximum=6)
    elastic = an_interface(id="eni-b", device_index=1, public_address="203.0.113.9", elastic=True)
    instance = an_instance(auto_scaling=group, interfaces=(an_interface(), elastic))
    plan = a_contain_plan(a_case(1, instance), runbook=a_runbook(contain={"stop": True}))
    assert plan.cannot_be_put_back == (
        "checkout is at its maximum of 6: i-0a1b2c3d4e5f60718 cannot be attached again",
        "i-0a1b2c3d4e5f60718 gets another public address than 203.0.113.7 after the stop",
    )


def test_what_returns_is_protected_from_scale_in_as_it_was() -> None:
    for protected in (True, False):
        plan = a_contain_plan(*members(1, protected_from_scale_in=protected))
        (step,) = (step for step in plan.steps if isinstance(step, DetachFromAutoScaling))
        undo = step.undo
        assert isinstance(undo, AttachToAutoScaling)
        assert undo.protected is protected
        assert ("and it is protected from scale-in" in undo.describe()) is protected


def test_what_was_on_standby_leaves_without_a_replacement_and_is_not_put_into_service_by_itself() -> None:
    none = a_runbook(contain={"replacement_capacity": "none"})
    plan = a_contain_plan(*members(1, lifecycle_state="Standby"), runbook=none)
    assert leaving(plan) == [(False, False)]
    assert plan.cannot_be_put_back == (
        "i-0 is on standby in checkout, and attached it would serve: it stays out of the group",
    )
    assert not [words for words in plan.not_covered if "replacement" in words]
    assert not [words for words in (step.describe() for step in plan.steps) if "launches a replacement" in words]


def test_targets_that_the_group_would_register_anew_are_named_before() -> None:
    arns = {name: f"arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/{name}/0" for name in ("api", "web", "own")}
    group = an_auto_scaling_membership(minimum=0, target_groups=(arns["api"], arns["web"]))
    targets = tuple(a_target_registration(target_group=arns[name]) for name in ("api", "own"))
    none = a_runbook(contain={"replacement_capacity": "none"})
    plan = a_contain_plan(a_case(1, an_instance(auto_scaling=group, targets=targets)), runbook=none)
    assert plan.cannot_be_put_back == ("checkout registers i-0a1b2c3d4e5f60718 with web when it is attached again",)
    follows = {step.target_group: step.follows for step in plan.steps if isinstance(step, DeregisterTarget)}
    assert follows == {arns["api"]: True, arns["own"]: False}


def test_what_does_not_run_stays_registered_as_it_could_not_be_registered_again() -> None:
    for state in ("stopped", "stopping"):
        plan = a_contain_plan(a_case(1, an_instance(state=state, targets=(a_target_registration(),))))
        assert not [step for step in plan.steps if isinstance(step, DeregisterTarget)]


def test_a_replacement_that_will_be_as_vulnerable_is_told_once() -> None:
    words = [each for each in a_contain_plan(*members(3)).not_covered if "as vulnerable" in each]
    launched = "checkout launches a replacement from ami-00c0ffee00c0ffee0"
    assert words == [f"{launched}: it will be as vulnerable until the group's AMI is patched"]
