"""The executor: what fails beside the network cut never holds the network cut up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from runbooks.errors import AccessDenied, Outside
from runbooks.plan import Phase
from runbooks.steps import AnyStep
from tasks.gateways.actions.base import Action, Look
from tasks.rounds import fallen_out
from tests.tasks.aftermath import described, effects, of_kind, statuses_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import OTHER, assert_isolated, furnished, to_contain
from tests.tasks.gateways.aws_world import INSTANCE, an_event

# --- evidence never delays isolation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("denied", ["ec2:CreateSnapshots", "ec2:DescribeSnapshots"])
def test_snapshots_that_are_denied_are_recorded_and_the_network_is_cut_all_the_same(open_house: OpenHouse, denied: str):
    house = furnished(open_house)
    run, plan = to_contain(house)
    house.sessions.shaky.refused[denied] = "UnauthorizedOperation"
    for stage in plan.stages():
        assert run.once(plan, stage).finished
    statuses = statuses_of(house, plan)
    (snapshots,) = of_kind(plan, "create-snapshots")
    assert {key for key, status in statuses.items() if status != "done"} == {snapshots.key}
    assert statuses[snapshots.key] == "failed"
    assert "UnauthorizedOperation" in house.history().outcomes[plan.operation(snapshots)].detail
    assert fallen_out(house.history(), plan) == {}
    assert effects(house)["snapshots"] == {}
    assert_isolated(house, plan)


def test_snapshots_that_are_throttled_are_asked_for_three_times_and_no_longer(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_contain(house)
    house.sessions.shaky.refused["ec2:CreateSnapshots"] = "SnapshotCreationPerVolumeRateExceeded"
    statuses = run.carry_out(plan)
    (snapshots,) = of_kind(plan, "create-snapshots")
    assert statuses[snapshots.key] == "failed"
    assert house.sessions.shaky.calls.count("ec2:CreateSnapshots") == 3
    assert_isolated(house, plan)


@pytest.mark.parametrize(
    ("refused", "options"),
    [
        ("autoscaling:DetachInstances", {"in_group": True}),
        ("elasticloadbalancing:DeregisterTargets", {"target_group": True}),
    ],
)
def test_leaving_the_group_and_the_targets_is_waited_for_as_long_as_aws_throttles_it(
    open_house: OpenHouse, refused: str, options: dict[str, Any]
):
    house = furnished(open_house, **options)
    run, plan = to_contain(house)
    (stage,) = [stage for stage in plan.stages() if refused in stage[0].calls]
    house.sessions.shaky.refused[refused] = "Throttling"
    assert not any(run.once(plan, stage).finished for _ in range(5))
    house.sessions.shaky.refused.clear()
    assert set(run.carry_out(plan).values()) == {"done"}


LEAVING = [
    ("autoscaling:DescribeAutoScalingInstances", "detach-from-auto-scaling-group", {"in_group": True}),
    ("elasticloadbalancing:DescribeTargetHealth", "deregister-target", {"target_group": True}),
]


@pytest.mark.parametrize("code", ["AccessDenied", "ValidationError"])
@pytest.mark.parametrize(("look", "kind", "options"), LEAVING)
def test_leaving_that_cannot_be_looked_at_has_failed_and_the_network_is_cut_all_the_same(
    open_house: OpenHouse, look: str, kind: str, options: dict[str, Any], code: str
):
    house = furnished(open_house, **options)
    run, plan = to_contain(house)
    (leaving,) = of_kind(plan, kind)
    house.sessions.shaky.refused[look] = code
    for stage in plan.stages():
        assert run.once(plan, stage).finished
    statuses = statuses_of(house, plan)
    assert statuses == {step.key: "failed" if step == leaving else "done" for step in plan.steps}
    assert code in house.history().outcomes[plan.operation(leaving)].detail
    assert plan.operation(leaving) not in house.history().changes
    assert fallen_out(house.history(), plan) == {}
    assert_isolated(house, plan)


@pytest.mark.parametrize("code", ["InternalFailure", "ServiceUnavailable", "503"])
def test_leaving_is_looked_at_again_when_aws_itself_fails(open_house: OpenHouse, code: str):
    house = furnished(open_house, in_group=True)
    run, plan = to_contain(house)
    house.sessions.shaky.refused["autoscaling:DescribeAutoScalingInstances"] = code
    with pytest.raises(Outside):
        run.carry_out(plan)
    assert "detach-from-auto-scaling-group" not in {outcome.action for outcome in house.history().outcomes.values()}
    house.sessions.shaky.refused.clear()
    assert set(run.carry_out(plan).values()) == {"done"}


@pytest.mark.parametrize("look", ["autoscaling:DescribeAutoScalingInstances", "ec2:DescribeInstanceAttribute"])
def test_what_is_to_be_put_back_is_not_given_up_because_it_cannot_be_looked_at(open_house: OpenHouse, look: str):
    house = furnished(open_house, in_group=True)
    before = described(house)
    run = house.start().phase(Phase.CONTAIN)
    house.sessions.shaky.refused[look] = "AccessDenied"
    with pytest.raises(AccessDenied):
        run.phase(Phase.RELEASE)
    house.sessions.shaky.refused.clear()
    house.take_over(after_a_death=True).phase(Phase.RELEASE)
    assert described(house) == before


@dataclass
class DeniedForOne:
    """An action whose look is denied as soon as it is about one of the instances, as in an account without the role."""

    action: Action
    instance: str

    def look(self, steps: Sequence[AnyStep], operations: Mapping[str, str]) -> dict[str, Look]:
        if self.instance in [step.target.id for step in steps]:
            raise AccessDenied("no")
        return self.action.look(steps, operations)

    def act(self, step: AnyStep, operation: str) -> dict[str, Any]:
        return self.action.act(step, operation)


def test_an_account_that_denies_a_look_does_not_decide_for_the_others(open_house: OpenHouse):
    house = furnished(open_house, target_group=True)
    house.furnish(an_event(OTHER, 2), target_group=True)
    run, plan = to_contain(house)
    kind = "deregister-target"
    run.actions[kind] = DeniedForOne(run.actions[kind], INSTANCE)
    statuses = run.carry_out(plan)
    (denied,) = (step for step in of_kind(plan, kind) if step.target.id == INSTANCE)
    assert statuses == {step.key: "failed" if step == denied else "done" for step in plan.steps}


def test_evidence_whose_answer_was_lost_and_that_cannot_be_looked_at_is_not_called_failed(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_contain(house)
    shaky = house.sessions.shaky
    (protect,) = of_kind(plan, "set-instance-attribute")
    shaky.blow, shaky.point = "answer lost", len(shaky.calls) + 1  # the call after the look
    assert not run.once(plan, (protect,)).finished
    shaky.refused["ec2:DescribeInstanceAttribute"] = "UnauthorizedOperation"
    assert run.once(plan, (protect,)).finished
    assert statuses_of(house, plan)[protect.key] == "in-progress"
    shaky.refused.clear()
    run.carry_out(plan)
    # It may have been done, and it was: the release looks, and puts it back.
    before = described(house)["disableApiTermination"]
    run.phase(Phase.RELEASE)
    assert (before, described(house)["disableApiTermination"]) == (True, False)
