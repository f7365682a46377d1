"""An instance that comes under protection after its plan was made is not touched, and the others go on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from runbooks.errors import AnswerLost
from runbooks.plan import Phase, Plan
from runbooks.steps import AnyStep, RefreshInstances, Target
from tasks.executor import Executor, Progress
from tasks.protection import protected_cases
from tasks.rounds import fallen_out
from tests.tasks.aftermath import of_kind, statuses_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import OTHER, furnished, to_contain
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, an_event
from tests.tasks.harness import House, Run

NEVER = {"remediation": "never"}


def protect(house: House, instance: str = OTHER, value: str = "never") -> None:
    house.client("ec2").create_tags(Resources=[instance], Tags=[{"Key": "remediation", "Value": value}])


def once(run: Run, plan: Plan, stage: Sequence[AnyStep], protected: Any = None) -> Progress:
    """One call of the executor as its task makes it."""
    house = run.house
    house.sessions.guard = run._guard
    read = protected or partial(protected_cases, house.sessions, run.keys, house.runbook.limits.protected_tags)
    limits = house.runbook.limits
    return Executor(run.journal, run.actions, house.now(), house.trust(), limits=limits, protected=read).carry_out(
        plan, stage
    )


def carry_out(run: Run, plan: Plan) -> dict[str, str]:
    for stage in plan.stages():
        while not once(run, plan, stage).finished:
            run.wait()
    return statuses_of(run.house, plan)


def two(open_house: OpenHouse, **choices: Any) -> House:
    house = furnished(open_house, choices or None)
    house.furnish(an_event(OTHER, 2))
    return house


def case_of(run: Run, instance: str) -> str:
    return next(case for case, key in run.keys.items() if key.resource_id == instance)


def test_a_protected_instance_is_left_alone_and_the_other_is_contained(open_house: OpenHouse):
    house = two(open_house)
    run, plan = to_contain(house)
    protect(house)
    groups = {step.target.id: house.groups_of(step.target.id) for step in of_kind(plan, "swap-security-groups")}
    house.sandbox.cloud.record.clear()

    statuses = carry_out(run, plan)

    theirs, shared = case_of(run, OTHER), [step for step in plan.steps if len(step.cases) > 1]
    for step in plan.steps:
        assert statuses[step.key] == ("refused" if step.cases == (theirs,) else "done")
    assert [step.kind for step in shared] == ["ensure-quarantine-group"]
    changed = [step.target.id for step in of_kind(plan, "swap-security-groups") if step.cases != (theirs,)]
    assert {name for name, before in groups.items() if house.groups_of(name) != before} == set(changed)
    assert set(fallen_out(house.history(), plan)) == {theirs}
    assert (
        f"protected: {OTHER} carries the protected tag remediation=never" in fallen_out(house.history(), plan)[theirs]
    )


def test_protection_that_comes_in_the_middle_stops_the_next_stage_and_is_asked_about_once_for_each(
    open_house: OpenHouse,
):
    house = two(open_house)
    run, plan = to_contain(house)
    *before, last = plan.stages()
    for stage in before:
        while not once(run, plan, stage).finished:
            run.wait()
    protect(house)
    house.sessions.shaky.calls.clear()
    once(run, plan, last)
    assert last[0].kind == "swap-security-groups"
    assert house.sessions.shaky.calls.count("ec2:DescribeInstances") == 1
    statuses = statuses_of(house, plan)
    assert {step.cases[0]: statuses[step.key] for step in last} == {
        case_of(run, INSTANCE): "done",
        case_of(run, OTHER): "refused",
    }


def test_what_puts_it_back_still_runs(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_contain(house)
    carry_out(run, plan)
    protect(house, INSTANCE)
    release = run.plan(Phase.RELEASE)
    run = run.approved(release)
    assert set(carry_out(run, release).values()) == {"done"}


def test_one_command_for_many_is_not_cut_down_all_of_it_is_asked_about_again(open_house: OpenHouse):
    house = two(open_house)
    run, contain = to_contain(house)
    carry_out(run, contain)
    plan = run.plan(Phase.REMEDIATE)
    run = run.approved(plan)
    protect(house)
    house.sandbox.cloud.record.clear()

    carry_out(run, plan)

    (command,) = of_kind(plan, "patch-packages")
    outcome = house.history().outcomes[plan.operation(command)]
    assert len(command.cases) == 2
    assert (outcome.status, outcome.cases) == ("drifted", {case_of(run, OTHER): "refused"})
    assert outcome.detail == f"protected: {OTHER} carries the protected tag remediation=never"
    assert "ssm:SendCommand" not in house.mutating_calls()


def test_another_value_of_the_tag_protects_nobody(open_house: OpenHouse):
    house = two(open_house)
    run, plan = to_contain(house)
    protect(house, value="sometimes")
    assert set(carry_out(run, plan).values()) == {"done"}


def test_while_aws_does_not_say_nothing_is_begun_and_it_is_looked_at_again(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_contain(house)

    def lost(steps: Sequence[AnyStep]) -> dict[str, str]:
        raise AnswerLost("no answer")

    progress = once(run, plan, next(plan.stages()), lost)
    assert (progress.held, progress.waiting) == (
        None,
        "AWS did not say what is protected (answer-lost); looking again",
    )
    assert house.mutating_calls() == []
    assert statuses_of(house, plan) == {}
    assert set(carry_out(run, plan).values()) == {"done"}


def test_a_member_of_the_group_that_is_no_case_keeps_the_group_from_being_refreshed(open_house: OpenHouse):
    house = furnished(open_house, in_group=True)
    run = house.start()
    (case,) = run.cases
    refresh = RefreshInstances(
        target=Target(account=ACCOUNT, region=REGION, type="auto-scaling-group", id="checkout"),
        cases=(case,),
        launch_template="lt-1",
        version="@operation",
        previous_version="1",
        image="ami-1",
        minimum_healthy_percentage=90,
        checkpoints=(100,),
        checkpoint_delay_seconds=0,
    )
    reservations = house.client("ec2").describe_instances()["Reservations"]
    members = {raw["InstanceId"] for each in reservations for raw in each["Instances"]} - {INSTANCE}
    assert protected_cases(house.sessions, run.keys, NEVER, [refresh]) == {}
    protect(house, member := min(members))
    assert protected_cases(house.sessions, run.keys, NEVER, [refresh]) == {
        case: f"protected: {member} of Auto Scaling group checkout carries the protected tag remediation=never"
    }


@pytest.mark.parametrize("tags", [{}, NEVER])
def test_without_protected_tags_nobody_is_asked(open_house: OpenHouse, tags: dict[str, str]):
    house = furnished(open_house)
    run, plan = to_contain(house)
    house.sessions.shaky.calls.clear()
    assert protected_cases(house.sessions, run.keys, tags, plan.steps) == {}
    assert house.sessions.shaky.calls == (["ec2:DescribeInstances"] if tags else [])
