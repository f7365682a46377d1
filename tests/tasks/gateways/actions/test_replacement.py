from __future__ import annotations

from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost
from runbooks.steps import CreateLaunchTemplateVersion, LaunchReplacement, RefreshInstances
from runbooks.steps.base import Role
from tests.tasks.gateways.aws_world import CASE, INSTANCE, AwsWorld, a_target, an_event, operation, statuses


def a_version(built: dict[str, Any]) -> CreateLaunchTemplateVersion:
    return CreateLaunchTemplateVersion(
        target=a_target(built["launch_template_id"], "launch-template"),
        cases=(CASE,),
        source_version="1",
        image=built["patched_image_id"],
    )


def a_refresh(built: dict[str, Any], **values: Any) -> RefreshInstances:
    given: dict[str, Any] = {
        "target": a_target("checkout", "auto-scaling-group"),
        "cases": (CASE,),
        "launch_template": built["launch_template_id"],
        "version": "@operation",
        "previous_version": "1",
        "image": built["patched_image_id"],
        "minimum_healthy_percentage": 50,
        "checkpoints": (50, 100),
        "checkpoint_delay_seconds": 0,
    }
    return RefreshInstances.model_validate(given | values)


def a_launch(built: dict[str, Any]) -> LaunchReplacement:
    return LaunchReplacement(
        target=a_target(),
        cases=(CASE,),
        image=built["patched_image_id"],
        instance_type="t3.small",
        subnet=built["subnet_id"],
        groups=tuple(next(iter(built["interfaces"].values()))),
        profile=built["instance_profile_arn"],
        tags={"Name": "checkout-8", "aws:autoscaling:groupName": "checkout"},
    )


def instances(aws: AwsWorld) -> dict[str, dict[str, Any]]:
    reservations = aws.client("ec2").describe_instances()["Reservations"]
    return {raw["InstanceId"]: raw for each in reservations for raw in each["Instances"]}


def test_a_version_keeps_its_sources_data_and_says_who_made_it(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    step = a_version(built)
    assert statuses(aws.look(step)) == ["as-expected"]
    assert aws.act(step) == {"version": "2"}
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-left", {"version": "2"})
    old, new = aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=built["launch_template_id"], Versions=["1", "2"]
    )["LaunchTemplateVersions"]
    assert new["VersionDescription"] == operation(step)
    assert new["LaunchTemplateData"] == old["LaunchTemplateData"] | {"ImageId": built["patched_image_id"]}


def test_a_version_whose_answer_was_lost_is_not_made_twice(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    step = a_version(built)
    aws.fault("ec2:CreateLaunchTemplateVersion", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-left", {"version": "2"})


def test_a_template_that_is_gone_is_drift(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    gone = a_version(built).model_copy(update={"target": a_target("lt-0ffffffffffffffff", "launch-template")})
    assert statuses(aws.look(gone)) == ["drifted"]


def test_a_refresh_replaces_every_instance_by_the_version_the_plan_made(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    version, refresh = a_version(built), a_refresh(built)
    (look,) = aws.look(version)
    aws.act(version)
    (look,) = aws.look(version)
    (look,) = aws.look(refresh)
    assert (look.status, look.found) == ("as-expected", {"version": "1", "desired": 2})
    started = aws.act(refresh)
    assert started["version"] == "2"
    (sent,) = aws.parameters("StartInstanceRefresh")
    assert sent["Preferences"]["StandbyInstances"] == sent["Preferences"]["ScaleInProtectedInstances"] == "Ignore"
    assert sent["Preferences"]["CheckpointPercentages"] == [50, 100]
    (look,) = aws.look(refresh)
    assert look.status == "in-progress"
    assert look.result["refresh"] == started["refresh"]
    for _ in range(20):
        aws.sandbox.advance(30)
    (look,) = aws.look(refresh)
    assert look.status == "as-left", look
    serving = {one for one, raw in instances(aws).items() if raw["State"]["Name"] == "running"}
    assert set(look.result["instances"]) == serving
    assert INSTANCE not in serving
    assert {instances(aws)[one]["ImageId"] for one in serving} == {built["patched_image_id"]}
    undo = refresh.model_copy(update={"version": "2"}).undo
    assert undo is not None
    assert statuses(aws.look(undo)) == ["as-expected"]


def test_a_refresh_is_put_back_to_the_version_before_by_a_plan_of_its_own(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    version, refresh = a_version(built), a_refresh(built)
    aws.look(version)
    aws.act(version)
    aws.look(refresh)
    aws.act(refresh)
    undo = refresh.undo
    assert undo is not None
    aws.operations.clear()
    assert statuses(aws.look(undo)) == ["in-progress"]
    for _ in range(20):
        aws.sandbox.advance(30)
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    for _ in range(20):
        aws.sandbox.advance(30)
    (look,) = aws.look(undo)
    assert look.status == "as-left"
    assert {instances(aws)[one]["ImageId"] for one in look.result["instances"]} == {built["image_id"]}


def test_a_refresh_whose_answer_was_lost_is_seen_under_way(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    version, refresh = a_version(built), a_refresh(built)
    aws.look(version)
    aws.act(version)
    aws.look(refresh)
    aws.fault("autoscaling:StartInstanceRefresh", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(refresh)
    aws.forget_everything()
    assert statuses(aws.look(refresh)) == ["in-progress"]


def test_a_refresh_that_was_cancelled_has_failed(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    version, refresh = a_version(built), a_refresh(built)
    aws.look(version)
    aws.act(version)
    aws.look(refresh)
    aws.act(refresh)
    aws.client("autoscaling", Role.PATCH).cancel_instance_refresh(AutoScalingGroupName="checkout")
    for _ in range(5):
        aws.sandbox.advance(30)
    (look,) = aws.look(refresh)
    assert look.status == "failed"
    assert "Cancelled" in look.detail


def test_a_refresh_that_somebody_else_started_is_drift(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    version, refresh = a_version(built), a_refresh(built)
    aws.look(version)
    aws.act(version)
    aws.client("autoscaling", Role.PATCH).start_instance_refresh(AutoScalingGroupName="checkout")
    (look,) = aws.look(refresh)
    assert look.status == "drifted"
    assert look.detail.startswith("another refresh of checkout is ")


def test_a_refresh_without_the_plans_version_does_not_start(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    aws.look(a_version(built))
    (look,) = aws.look(a_refresh(built))
    assert look.status == "drifted"
    assert aws.calls(mutating=True) == []


def test_a_replacement_is_launched_like_the_old_one_and_found_by_its_tag(aws: AwsWorld):
    built = aws.furnish()
    step = a_launch(built)
    assert statuses(aws.look(step)) == ["as-expected"]
    (made,) = aws.act(step)["instances"]
    raw = instances(aws)[made]
    assert (raw["ImageId"], raw["InstanceType"], raw["SubnetId"]) == (
        built["patched_image_id"],
        "t3.small",
        built["subnet_id"],
    )
    assert [group["GroupId"] for group in raw["SecurityGroups"]] == list(step.groups)
    assert raw["IamInstanceProfile"]["Arn"] == built["instance_profile_arn"]
    assert {tag["Key"]: tag["Value"] for tag in raw["Tags"]} == {
        "Name": "checkout-8",
        "remediation-runbooks:operation": operation(step),
        "remediation-runbooks:case": CASE,
    }
    aws.sandbox.advance(60)
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-left", {"instances": [made]})
    assert instances(aws)[INSTANCE]["State"]["Name"] == "running"


def test_a_replacement_whose_answer_was_lost_is_not_launched_twice(aws: AwsWorld):
    built = aws.furnish()
    step = a_launch(built)
    aws.look(step)
    aws.fault("ec2:RunInstances", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    # A read that does not show it yet (EC2 is consistent only after a while): it is sent again, and the token holds.
    aws.fault("ec2:DescribeInstances", FaultKind.STALE_READ)
    (look,) = aws.look(step)
    assert look.status == "as-expected"
    (made,) = aws.act(step)["instances"]
    assert set(instances(aws)) == {INSTANCE, made}


def test_a_replacement_that_was_ended_has_failed(aws: AwsWorld):
    built = aws.furnish()
    step = a_launch(built)
    (made,) = aws.act(step)["instances"]
    aws.client("ec2", Role.RESTORE).terminate_instances(InstanceIds=[made])
    (look,) = aws.look(step)
    assert look.status == "failed"
    assert made in look.detail
