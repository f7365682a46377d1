"""Auto Scaling groups: what leaves them, what takes its place, and what they destroy."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

GROUP = "web"
TAGS = {"aws:autoscaling:groupName": GROUP}


def members(aws: Any) -> dict[str, str]:
    (group,) = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
    return {one["InstanceId"]: one["LifecycleState"] for one in group["Instances"]}


def target_states(aws: Any, world: dict[str, Any]) -> dict[str, str]:
    answer = aws("elbv2").describe_target_health(TargetGroupArn=world["target_group_arn"])
    return {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in answer["TargetHealthDescriptions"]}


def detach(aws: Any, instance: str, decrement: bool) -> None:
    aws("autoscaling").detach_instances(
        InstanceIds=[instance], AutoScalingGroupName=GROUP, ShouldDecrementDesiredCapacity=decrement
    )


def active(aws: Any) -> set[str]:
    wanted = {"findingStatus": [{"comparison": "EQUALS", "value": "ACTIVE"}]}
    found = aws("inspector2").list_findings(filterCriteria=wanted)["findings"]
    return {one["resources"][0]["id"] for one in found}


def patched_version(aws: Any, world: dict[str, Any]) -> dict[str, str]:
    template = world["launch_template_id"]
    made = aws("ec2").create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"ImageId": world["patched_image_id"]}
    )
    return {"LaunchTemplateId": template, "Version": str(made["LaunchTemplateVersion"]["VersionNumber"])}


def refreshes(aws: Any) -> list[tuple[str, int]]:
    answer = aws("autoscaling").describe_instance_refreshes(AutoScalingGroupName=GROUP)
    return [(one["Status"], one.get("PercentageComplete", 0)) for one in answer["InstanceRefreshes"]]


def test_a_detached_instance_drains_leaves_its_targets_and_loses_the_groups_tag(sandbox, aws, finding):
    world = sandbox.furnish(finding(tags=TAGS))
    instance = world["instance_id"]
    detach(aws, instance, decrement=True)
    assert members(aws)[instance] == "Detaching"
    assert target_states(aws, world)[instance] == "draining"
    sandbox.advance(5)
    assert instance not in members(aws)
    assert instance not in target_states(aws, world)
    assert set(target_states(aws, world)) == set(members(aws))
    assert aws("autoscaling").describe_auto_scaling_instances(InstanceIds=[instance])["AutoScalingInstances"] == []
    tags = aws("ec2").describe_tags(Filters=[{"Name": "resource-id", "Values": [instance]}])["Tags"]
    assert tags == []


def test_without_decrement_a_replacement_is_launched_as_vulnerable_as_the_lost_one(sandbox, aws, finding):
    world = sandbox.furnish(finding(tags=TAGS))
    before = set(members(aws))
    detach(aws, world["instance_id"], decrement=False)
    sandbox.advance(10)
    (replacement,) = set(members(aws)) - before
    assert len(members(aws)) == len(before)
    assert replacement in active(aws)
    assert target_states(aws, world)[replacement] == "healthy"


def test_what_cannot_be_detached_is_refused(sandbox, aws, finding):
    sandbox.furnish(finding(tags=TAGS), auto_scaling={"minimum": 2, "desired": 2, "maximum": 2})
    before = members(aws)
    for instance, decrement in (("i-0bbbbbbbbbbbbbbb1", False), (next(iter(before)), True)):
        with pytest.raises(ClientError, match="ValidationError"):
            detach(aws, instance, decrement)
    assert members(aws) == before


def test_an_attached_instance_raises_the_desired_capacity_up_to_the_maximum(sandbox, aws, finding):
    world = sandbox.furnish(finding(tags=TAGS), auto_scaling={"minimum": 1, "desired": 2, "maximum": 2})
    instance = world["instance_id"]
    detach(aws, instance, decrement=True)
    sandbox.advance(5)
    asg = aws("autoscaling")
    asg.attach_instances(InstanceIds=[instance], AutoScalingGroupName=GROUP)
    assert members(aws)[instance] == "InService"
    assert target_states(aws, world)[instance] == "healthy"
    group = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]
    assert group["DesiredCapacity"] == 2
    other = sandbox.furnish(finding("i-0aaaaaaaaaaaaaaa2", address="10.20.1.11"))["instance_id"]
    with pytest.raises(ClientError, match="ValidationError"):
        asg.attach_instances(InstanceIds=[other], AutoScalingGroupName=GROUP)


def test_a_group_terminates_a_member_that_was_cut_off_before_it_was_detached(sandbox, aws, finding):
    world = sandbox.furnish(finding(tags=TAGS), termination_protection=True)
    made = aws("ec2").create_security_group(GroupName="quarantine", Description="none", VpcId=world["vpc_id"])
    for interface in world["interfaces"]:
        aws("ec2").modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[made["GroupId"]])
    assert target_states(aws, world)[world["instance_id"]] == "unhealthy"
    sandbox.advance(31)
    assert world["instance_id"] not in members(aws)
    gone = aws("ec2").describe_instances(InstanceIds=[world["instance_id"]])["Reservations"][0]["Instances"][0]
    assert gone["State"]["Name"] == "terminated"


def test_a_refresh_replaces_the_group_by_the_patched_image(sandbox, aws, finding):
    world = sandbox.furnish(finding(tags=TAGS))
    sandbox.advance(10)
    old = set(members(aws))
    assert active(aws) == old
    asg = aws("autoscaling")
    request = {
        "AutoScalingGroupName": GROUP,
        "Preferences": {"CheckpointPercentages": [50, 100], "CheckpointDelay": 60, "SkipMatching": True},
        "DesiredConfiguration": {"LaunchTemplate": patched_version(aws, world)},
    }
    asg.start_instance_refresh(**request)
    with pytest.raises(ClientError, match="InstanceRefreshInProgress"):
        asg.start_instance_refresh(**request)
    sandbox.advance(5)
    assert refreshes(aws) == [("InProgress", 50)]
    assert len(set(members(aws)) & old) == 1
    sandbox.advance(70)
    assert refreshes(aws) == [("Successful", 100)]
    assert set(members(aws)) & old == set()
    assert len(members(aws)) == len(old)
    sandbox.advance(10)
    assert active(aws) == set()
    described = asg.describe_auto_scaling_instances()["AutoScalingInstances"]
    assert {one["LaunchTemplate"]["Version"] for one in described} == {"2"}
    asg.start_instance_refresh(**request)
    sandbox.advance(100)
    assert refreshes(aws)[0] == ("Successful", 100)


def test_a_cancelled_refresh_leaves_the_rest_as_it_was(sandbox, aws, finding):
    world = sandbox.furnish(finding(tags=TAGS))
    old = set(members(aws))
    asg = aws("autoscaling")
    with pytest.raises(ClientError, match="ActiveInstanceRefreshNotFound"):
        asg.cancel_instance_refresh(AutoScalingGroupName=GROUP)
    asg.start_instance_refresh(
        AutoScalingGroupName=GROUP,
        Preferences={"CheckpointPercentages": [50], "CheckpointDelay": 3600},
        DesiredConfiguration={"LaunchTemplate": patched_version(aws, world)},
    )
    sandbox.advance(5)
    asg.cancel_instance_refresh(AutoScalingGroupName=GROUP)
    assert refreshes(aws)[0][0] == "Cancelling"
    sandbox.advance(7200)
    assert refreshes(aws)[0][0] == "Cancelled"
    assert len(set(members(aws)) & old) == 1


def test_a_refresh_rolled_back_brings_the_old_image_back(sandbox, aws, finding):
    world = sandbox.furnish(finding(tags=TAGS))
    asg = aws("autoscaling")
    asg.start_instance_refresh(
        AutoScalingGroupName=GROUP,
        Preferences={"CheckpointPercentages": [50], "CheckpointDelay": 3600},
        DesiredConfiguration={"LaunchTemplate": patched_version(aws, world)},
    )
    sandbox.advance(5)
    asg.rollback_instance_refresh(AutoScalingGroupName=GROUP)
    sandbox.advance(10)
    assert refreshes(aws)[0][0] == "RollbackSuccessful"
    described = asg.describe_auto_scaling_instances()["AutoScalingInstances"]
    assert {one["LaunchTemplate"]["Version"] for one in described} == {"1"}


def test_a_protected_instance_stalls_a_refresh_until_it_fails(sandbox, aws, finding):
    world = sandbox.furnish(finding(tags=TAGS))
    asg = aws("autoscaling")
    asg.set_instance_protection(
        InstanceIds=[world["instance_id"]], AutoScalingGroupName=GROUP, ProtectedFromScaleIn=True
    )
    asg.start_instance_refresh(AutoScalingGroupName=GROUP)
    sandbox.advance(60)
    assert refreshes(aws)[0][0] == "InProgress"
    sandbox.advance(3700)
    assert refreshes(aws)[0][0] == "Failed"
    assert world["instance_id"] in members(aws)


def test_deregistered_targets_drain_and_are_gone(sandbox, aws, finding):
    world = sandbox.furnish(finding(), target_group=True)
    elb, instance = aws("elbv2"), world["instance_id"]
    targets = [{"Id": instance}]
    elb.deregister_targets(TargetGroupArn=world["target_group_arn"], Targets=targets)
    assert target_states(aws, world) == {instance: "draining"}
    sandbox.advance(5)
    assert target_states(aws, world) == {}
    asked = elb.describe_target_health(TargetGroupArn=world["target_group_arn"], Targets=targets)
    assert asked["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"] == "Target.NotRegistered"
    elb.register_targets(TargetGroupArn=world["target_group_arn"], Targets=targets)
    assert target_states(aws, world) == {instance: "healthy"}
