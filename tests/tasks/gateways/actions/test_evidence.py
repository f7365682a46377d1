from __future__ import annotations

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost
from runbooks.steps import (
    AttachToAutoScaling,
    CreateSnapshots,
    DeregisterTarget,
    DetachFromAutoScaling,
    RegisterTarget,
    SetDeleteOnTermination,
    SetInstanceAttribute,
    StartInstance,
    StopInstance,
)
from runbooks.steps.base import Role
from tests.tasks.gateways.aws_world import CASE, INSTANCE, AwsWorld, a_target, an_event, operation, statuses

HERE = {"target": a_target(), "cases": (CASE,)}
GONE = {"target": a_target("i-0ffffffffffffffff"), "cases": (CASE,)}


def protect(**where: object) -> SetInstanceAttribute:
    return SetInstanceAttribute.model_validate(
        {**HERE, "attribute": "disableApiTermination", "expects": False, "leaves": True, **where}
    )


def in_group(aws: AwsWorld) -> list[str]:
    (group,) = aws.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return [one["InstanceId"] for one in group["Instances"] if one["LifecycleState"] == "InService"]


# --- attributes


def test_termination_protection_is_set_and_put_back(aws: AwsWorld):
    aws.furnish()
    step = protect()
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"disableApiTermination": False})
    aws.act(step)
    assert statuses(aws.look(step)) == ["as-left"]
    undo = step.undo
    assert undo is not None
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert statuses(aws.look(undo)) == ["as-left"]
    assert statuses(aws.look(step)) == ["as-expected"]


def test_a_shutdown_behaviour_that_is_a_third_thing_is_drift(aws: AwsWorld):
    aws.furnish()
    step = SetInstanceAttribute.model_validate(
        {**HERE, "attribute": "instanceInitiatedShutdownBehavior", "expects": "terminate", "leaves": "hibernate"}
    )
    (look,) = aws.look(step)
    assert look.status == "drifted"
    assert look.detail == "instanceInitiatedShutdownBehavior is stop, and the plan found terminate"


def test_an_attribute_of_an_instance_that_is_gone_is_drift_and_does_not_lose_the_others(aws: AwsWorld):
    aws.furnish()
    assert statuses(aws.look(protect(), protect(**GONE))) == ["as-expected", "drifted"]


def test_volumes_are_kept_when_the_instance_is_terminated(aws: AwsWorld):
    aws.furnish()
    before, after = {"/dev/sda1": True, "/dev/sdf": False}, {"/dev/sda1": False, "/dev/sdf": False}
    step = SetDeleteOnTermination.model_validate({**HERE, "expects": before, "leaves": after})
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"delete_on_termination": before})
    aws.act(step)
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-left", {"delete_on_termination": after})
    undo = step.undo
    assert undo is not None
    aws.act(undo)
    assert statuses(aws.look(step)) == ["as-expected"]


def test_volumes_that_are_partly_as_wanted_are_finished_and_a_missing_one_is_drift(aws: AwsWorld):
    aws.furnish()
    both, neither = {"/dev/sda1": True, "/dev/sdf": True}, {"/dev/sda1": False, "/dev/sdf": False}
    step = SetDeleteOnTermination.model_validate({**HERE, "expects": both, "leaves": neither})
    assert statuses(aws.look(step)) == ["half-done"]
    aws.act(step)
    assert statuses(aws.look(step)) == ["as-left"]
    lost = SetDeleteOnTermination.model_validate({**HERE, "expects": {"/dev/sdz": True}, "leaves": {"/dev/sdz": False}})
    (look,) = aws.look(lost)
    assert (look.status, look.detail) == ("drifted", "no volume is attached as [/dev/sdz] any more")


# --- snapshots


def test_snapshots_carry_the_operation_and_the_case_and_the_tags_of_their_volume(aws: AwsWorld):
    built = aws.furnish()
    aws.client("ec2", Role.CONTAIN).create_tags(
        Resources=[built["volumes"][0]], Tags=[{"Key": "Name", "Value": "root"}]
    )
    step = CreateSnapshots.model_validate({**HERE, "volumes": built["volumes"]})
    assert statuses(aws.look(step)) == ["as-expected"]
    made = aws.act(step)["snapshots"]
    assert set(made) == set(built["volumes"])
    (raw,) = aws.client("ec2").describe_snapshots(SnapshotIds=[made[built["volumes"][0]]])["Snapshots"]
    assert {tag["Key"]: tag["Value"] for tag in raw["Tags"]} == {
        "Name": "root",
        "remediation-runbooks:operation": operation(step),
        "remediation-runbooks:case": CASE,
    }
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-left", {"snapshots": made})


def test_snapshots_whose_answer_was_lost_are_found_by_anyone_and_not_taken_twice(aws: AwsWorld):
    built = aws.furnish()
    step = CreateSnapshots.model_validate({**HERE, "volumes": built["volumes"]})
    aws.fault("ec2:CreateSnapshots", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    (look,) = aws.look(step)
    assert look.status == "as-left"
    assert set(look.result["snapshots"]) == set(built["volumes"])


def test_a_snapshot_that_failed_is_named_by_its_volume(aws: AwsWorld):
    built = aws.furnish()
    step = CreateSnapshots.model_validate({**HERE, "volumes": built["volumes"]})
    aws.fault("ec2:CreateSnapshots", FaultKind.PARTIAL)
    aws.act(step)
    aws.sandbox.advance(60)
    (look,) = aws.look(step)
    assert look.status == "failed"
    assert len(look.result["snapshots"]) == 1
    (missing,) = set(built["volumes"]) - set(look.result["snapshots"])
    assert look.detail == f"there is no good snapshot of [{missing}]"


# --- the Auto Scaling group


def test_a_detached_instance_is_out_of_its_group_and_comes_back(aws: AwsWorld):
    aws.furnish(an_event(in_group=True))
    step = DetachFromAutoScaling.model_validate(
        {**HERE, "group": "checkout", "decrement": True, "room_to_return": True}
    )
    (look,) = aws.look(step)
    assert look.status == "as-expected"
    assert look.found == {"group": "checkout", "lifecycle_state": "InService", "protected_from_scale_in": False}
    aws.act(step)
    assert statuses(aws.look(step)) == ["as-left"]
    assert INSTANCE not in in_group(aws)
    undo = step.undo
    assert undo is not None
    assert statuses(aws.look(undo)) == ["in-progress"]
    aws.sandbox.advance(60)
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    aws.sandbox.advance(60)
    assert statuses(aws.look(undo)) == ["as-left"]
    assert INSTANCE in in_group(aws)


def test_what_returns_is_protected_from_scale_in_as_it_was_whatever_the_group_gives_it(aws: AwsWorld):
    aws.furnish(an_event(in_group=True), auto_scaling={"protects_new": True})
    scaling = aws.client("autoscaling", Role.CONTAIN)
    step = DetachFromAutoScaling.model_validate(
        {**HERE, "group": "checkout", "decrement": True, "room_to_return": True, "protected": False}
    )
    aws.act(step)
    aws.sandbox.advance(60)
    undo = step.undo
    assert undo is not None
    aws.act(undo)
    (look,) = aws.look(undo)
    assert (look.status, look.found["protected_from_scale_in"]) == ("half-done", True)
    assert look.detail == "it is attached, and its scale-in protection is on, as checkout gives it"
    aws.forget_everything()
    aws.act(undo)
    (look,) = aws.look(undo)
    assert (look.status, look.found["protected_from_scale_in"]) == ("as-left", False)
    assert aws.calls(mutating=True)[-2:] == ["autoscaling:AttachInstances", "autoscaling:SetInstanceProtection"]

    scaling.update_auto_scaling_group(AutoScalingGroupName="checkout", NewInstancesProtectedFromScaleIn=False)
    scaling.set_instance_protection(AutoScalingGroupName="checkout", InstanceIds=[INSTANCE], ProtectedFromScaleIn=True)
    (look,) = aws.look(undo)
    assert (look.status, look.detail) == (
        "as-left",
        "somebody else set its scale-in protection to on, and it is left so",
    )


def test_a_group_without_room_says_so_and_those_that_return_together_share_it(aws: AwsWorld):
    size = {"minimum": 0, "desired": 2, "maximum": 3}
    aws.furnish(an_event(in_group=True), auto_scaling=size)
    strangers = ["i-0b00000000000000b", "i-0c00000000000000c"]
    for number, stranger in enumerate(strangers, 2):
        aws.furnish(an_event(stranger, number))
    steps = [
        AttachToAutoScaling(target=a_target(one), cases=(CASE,), group="checkout", undoes=True) for one in strangers
    ]
    looks = aws.look(*steps)
    assert statuses(looks) == ["as-expected", "drifted"]
    assert looks[1].detail == "checkout has no room: it wants 2 of at most 3"


def test_an_instance_that_moved_to_another_group_is_drift(aws: AwsWorld):
    aws.furnish(an_event(in_group=True))
    step = DetachFromAutoScaling.model_validate({**HERE, "group": "basket", "decrement": True, "room_to_return": True})
    (look,) = aws.look(step)
    assert (look.status, look.detail) == ("drifted", "the instance is in checkout, and the plan found it in basket")


# --- targets


def test_a_target_leaves_its_group_and_comes_back(aws: AwsWorld):
    built = aws.furnish(target_group=True)
    where = {**HERE, "target_group": built["target_group_arn"], "port": 443}
    step, back = DeregisterTarget.model_validate(where), RegisterTarget.model_validate({**where, "undoes": True})
    assert statuses(aws.look(step)) == ["as-expected"]
    assert statuses(aws.look(back)) == ["as-left"]
    aws.act(step)
    assert statuses(aws.look(step)) == ["as-left"]
    assert statuses(aws.look(back)) == ["as-expected"]
    aws.sandbox.advance(600)
    assert statuses(aws.look(step)) == ["as-left"]
    aws.act(back)
    assert statuses(aws.look(back)) == ["as-left"]


def test_a_target_group_that_is_gone_needs_no_deregistering_and_cannot_be_returned_to(aws: AwsWorld):
    aws.furnish()
    arn = "arn:aws:elasticloadbalancing:eu-west-1:210987654321:targetgroup/gone/0123456789abcdef"
    where = {**HERE, "target_group": arn, "port": 443}
    assert statuses(aws.look(DeregisterTarget.model_validate(where))) == ["as-left"]
    assert statuses(aws.look(RegisterTarget.model_validate({**where, "undoes": True}))) == ["drifted"]


# --- power


def test_an_instance_stops_and_starts_again(aws: AwsWorld):
    aws.furnish()
    stop, start = StopInstance.model_validate(HERE), StartInstance.model_validate({**HERE, "undoes": True})
    (look,) = aws.look(stop)
    assert (look.status, look.found) == ("as-expected", {"state": "running"})
    aws.act(stop)
    aws.sandbox.advance(300)
    assert statuses(aws.look(stop)) == ["as-left"]
    assert statuses(aws.look(start)) == ["as-expected"]
    aws.act(start)
    aws.sandbox.advance(300)
    assert statuses(aws.look(start)) == ["as-left"]
    assert statuses(aws.look(StopInstance.model_validate(GONE))) == ["drifted"]


@pytest.mark.parametrize("state", ["stopping", "pending"])
def test_an_instance_on_its_way_is_looked_at_again(aws: AwsWorld, state: str):
    aws.furnish()
    instance = aws.sandbox.cloud.world("210987654321", "eu-west-1").instance(INSTANCE)
    assert instance is not None
    instance._state.name = state
    assert statuses(aws.look(StopInstance.model_validate(HERE))) == ["in-progress"]
    assert statuses(aws.look(StartInstance.model_validate(HERE))) == ["in-progress"]
