"""The one executor, against the sandbox over HTTP and a ledger in SQLite: a person's yes, and a look before."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.errors import NotApproved
from runbooks.plan import Phase, Plan
from runbooks.records import ApprovalAsked, Intent, Outcome, ResponseEnded
from tasks.gateways.actions import actions
from tasks.rounds import fallen_out
from tests.runbooks.signatures import answered, decided, made
from tests.tasks.aftermath import described, effects, of_kind, records_of, statuses_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import OTHER, furnished, to_contain, void
from tests.tasks.gateways.aws_world import INSTANCE, an_event
from tests.tasks.harness import House, Run, the_runbook
from tests.tasks.shaky import ShakySessions


def asked_and_decided(house: House, plan: Plan, answer: str = "approved") -> list[Any]:
    expires = house.now().replace(year=house.now().year + 1)
    asked = ApprovalAsked(digest=plan.digest, attempt=1, expires_at=expires, flow_run="run")
    return [asked, *answered(plan, answer, at=house.now())]


def is_refused_and_changes_nothing(run: Run, plan: Plan) -> NotApproved:
    with pytest.raises(NotApproved) as raised:
        run.once(plan, next(plan.stages()))
    for stage in plan.stages():
        with pytest.raises(NotApproved):
            run.once(plan, stage)
    assert run.house.mutating_calls() == []
    assert [record for record in records_of(run.house) if isinstance(record, Intent | Outcome)] == []
    return raised.value


# --- a person approves a plan, and what runs is that plan ------------------------------------------------------------


def test_nothing_runs_without_an_approval(open_house: OpenHouse):
    run = furnished(open_house).start()
    refusal = is_refused_and_changes_nothing(run, plan := run.plan(Phase.CONTAIN))
    assert refusal.detail == f"plan {plan.short_digest} is not approved"


def test_nothing_runs_after_a_rejection(open_house: OpenHouse):
    run = furnished(open_house).start()
    plan = run.plan(Phase.CONTAIN)
    is_refused_and_changes_nothing(run.approved(plan, "rejected"), plan)


def test_a_plan_does_not_run_with_the_approval_of_another(open_house: OpenHouse):
    run, approved = to_contain(furnished(open_house))
    another = approved.model_copy(update={"revision": 2, "previous": approved.digest})
    run.journal.write(made(another))
    is_refused_and_changes_nothing(run, another)


def test_a_plan_that_was_changed_after_it_was_shown_does_not_run(open_house: OpenHouse):
    run, approved = to_contain(furnished(open_house))
    changed = approved.model_copy(update={"steps": approved.steps[::-1]})
    refusal = is_refused_and_changes_nothing(run, changed)
    assert "nothing runs that was not shown" in refusal.detail


def test_a_plan_under_a_false_digest_does_not_run(open_house: OpenHouse):
    run, approved = to_contain(furnished(open_house))
    changed = approved.model_copy(update={"steps": approved.steps[:1]})
    run.journal.write(made(changed).model_copy(update={"digest": approved.digest}))
    is_refused_and_changes_nothing(run, changed)
    is_refused_and_changes_nothing(run, approved)


def test_a_plan_that_needs_a_person_is_not_approved_by_the_runbook(open_house: OpenHouse):
    run = furnished(open_house).start()
    plan = run.plan(Phase.CONTAIN)
    run.journal.write(decided(plan, channel="plan"))
    assert is_refused_and_changes_nothing(run, plan).detail == f"plan {plan.short_digest} needs a person's yes"


def test_a_release_that_no_approved_plan_announced_does_not_run(open_house: OpenHouse):
    house = furnished(open_house, {"release": {"when_fixed": "ask"}})
    run, contain = to_contain(house)
    rule = contain.approval.model_copy(update={"required": False, "covered_by": contain.digest})
    release = contain.model_copy(update={"phase": Phase.RELEASE, "approval": rule})
    run.journal.write(made(release), decided(release, channel="plan"))
    assert "was not approved to release by itself" in is_refused_and_changes_nothing(run, release).detail


def test_an_approval_expires_when_the_first_change_is_not_made_in_time(open_house: OpenHouse):
    house = furnished(open_house)
    _, plan = to_contain(house)
    house.sandbox.advance(60 * plan.approval.expires_minutes + 1)
    assert is_refused_and_changes_nothing(house.take_over(), plan).code == "expired"


def test_an_approval_carries_its_plan_to_the_end_once_the_first_change_is_made(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_contain(house)
    run.stage(plan, next(plan.stages()))
    house.sandbox.advance(60 * plan.approval.expires_minutes + 1)
    statuses = house.take_over().carry_out(plan)
    assert statuses == {step.key: "done" for step in plan.steps}


def test_a_decision_is_final_and_a_later_one_does_not_undo_it(open_house: OpenHouse):
    run = furnished(open_house).start()
    plan = run.plan(Phase.CONTAIN)
    run.journal.write(*asked_and_decided(run.house, plan, "rejected"))
    run.journal.write(*asked_and_decided(run.house, plan))
    is_refused_and_changes_nothing(run, plan)


# --- look before you touch -------------------------------------------------------------------------------------------


def test_what_is_already_as_wanted_is_not_sent_and_not_claimed(open_house: OpenHouse):
    house = furnished(open_house, in_group=True)
    run, plan = to_contain(house)
    (protect,) = of_kind(plan, "set-instance-attribute")
    house.client("ec2").modify_instance_attribute(InstanceId=INSTANCE, DisableApiTermination={"Value": True})
    before = house.mutating_calls()
    run.stage(plan, (protect,))
    assert house.mutating_calls() == before
    assert statuses_of(house, plan) == {protect.key: "already-done"}
    assert not any(isinstance(record, Intent) for record in records_of(house))
    run.carry_out(plan)
    release = run.plan(Phase.RELEASE)
    assert protect.key not in [step.key for step in release.steps]


def test_a_finished_plan_may_be_started_again_by_anyone_and_sends_nothing(open_house: OpenHouse):
    house = furnished(open_house, in_group=True)
    run, plan = to_contain(house)
    run.carry_out(plan)
    calls, records = len(house.sessions.shaky.calls), len(records_of(house))
    again = house.take_over(after_a_death=True)
    again.carry_out(plan)
    assert len(house.sessions.shaky.calls) == calls
    assert len(records_of(house)) == records + 1  # that a run has begun


def test_an_interface_that_someone_changed_stops_and_its_case_falls_out_while_others_go_on(open_house: OpenHouse):
    house = furnished(open_house, {"contain": {"stop": True}})
    house.furnish(an_event(OTHER, 2))
    run, plan = to_contain(house)
    moved, *others = of_kind(plan, "swap-security-groups")
    stranger = house.make_group("of-somebody-else")
    house.set_groups(moved.target.id, [stranger])

    statuses = run.carry_out(plan)

    (case,) = moved.cases
    (stop,) = (step for step in of_kind(plan, "stop-instance") if step.cases == moved.cases)
    left = {key: status for key, status in statuses.items() if status != "done"}
    assert left == {moved.key: "drifted", stop.key: "refused"}
    assert house.groups_of(moved.target.id) == [stranger]
    quarantine = house.history().outcomes[plan.operation(others[0])].result["groups"]
    assert [house.groups_of(step.target.id) for step in others] == [quarantine] * 3
    fallen = fallen_out(house.history(), plan)
    assert list(fallen) == [case]
    assert f"groups is [{stranger}], and the plan found" in fallen[case]


def test_many_cases_are_looked_at_together_and_each_has_its_own_outcome(open_house: OpenHouse):
    house = furnished(open_house)
    house.furnish(an_event(OTHER, 2))
    run, plan = to_contain(house)
    run.carry_out(plan)
    calls = house.sessions.shaky.calls
    assert calls.count("ec2:ModifyNetworkInterfaceAttribute") == 4
    first = calls.index("ec2:ModifyNetworkInterfaceAttribute")
    assert calls[first - 2 : first + 4].count("ec2:DescribeNetworkInterfaces") == 1
    assert statuses_of(house, plan) == {step.key: "done" for step in plan.steps}


def test_a_quarantine_group_that_someone_else_made_in_the_same_moment_is_used(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_contain(house)
    (group,) = of_kind(plan, "ensure-quarantine-group")
    other = actions(ShakySessions())[group.kind]
    house.sessions.shaky.then["ec2:DescribeSecurityGroups"] = lambda: void(other.act(group, "rb-of-another-response"))
    statuses = run.carry_out(plan)
    assert house.mutating_calls().count("ec2:CreateSecurityGroup") == 2  # the second was refused
    assert statuses.pop(group.key) == "already-done"
    assert set(statuses.values()) == {"done"}
    assert set(effects(house)["groups"].values()) == {1}


def test_a_second_containment_with_other_rules_has_a_group_of_its_own_and_leaves_the_first_where_it_is(
    open_house: OpenHouse,
):
    house = furnished(open_house)
    run, first = to_contain(house)
    run.carry_out(first)
    isolated = described(house)["interfaces"]
    house.ledger.end_response(house.response, ResponseEnded(result="person", reason="r"), {}, lease=run.lease)
    house.runbook = the_runbook(contain={"quarantine": {"package_mirrors": ("10.20.9.0/24",)}})
    house.furnish(an_event(OTHER, 2))

    run, second = to_contain(house)
    statuses = run.carry_out(second)

    assert set(statuses.values()) == {"done"}
    assert described(house)["interfaces"] == isolated
    others = described(house, OTHER)["interfaces"]
    assert {step.target.id for step in of_kind(second, "swap-security-groups")} == set(others)
    (one,), (another,) = ({tuple(groups) for groups in each.values()} for each in (isolated, others))
    assert len({*one, *another}) == 2
    assert sorted(effects(house)["groups"].values()) == [1, 1]


def test_a_call_that_is_refused_fails_its_step_and_its_case_with_awss_own_words(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_contain(house)
    house.sessions.shaky.refused["ec2:CreateSecurityGroup"] = "SecurityGroupLimitExceeded"
    statuses = run.carry_out(plan)
    (group,) = of_kind(plan, "ensure-quarantine-group")
    swaps = of_kind(plan, "swap-security-groups")
    assert statuses[group.key] == "failed"
    assert [statuses[step.key] for step in swaps] == ["refused"] * len(swaps)
    (reason,) = fallen_out(house.history(), plan).values()
    assert "SecurityGroupLimitExceeded" in reason
    assert set(house.mutating_calls()) <= {"ec2:CreateSecurityGroup"}
