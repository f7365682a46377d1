"""Instances as unlike as their owners leave them: what furnishing builds, and what the services then make of it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

GROUP = "web"
TAGS = {"aws:autoscaling:groupName": GROUP}


def described(aws: Any, world: dict[str, Any]) -> dict[str, Any]:
    return aws("ec2").describe_instances(InstanceIds=[world["instance_id"]])["Reservations"][0]["Instances"][0]


def interfaces(aws: Any, world: dict[str, Any]) -> list[dict[str, Any]]:
    attached = [{"Name": "attachment.instance-id", "Values": [world["instance_id"]]}]
    found = aws("ec2").describe_network_interfaces(Filters=attached)["NetworkInterfaces"]
    return sorted(found, key=lambda one: one["Attachment"]["DeviceIndex"])


def registered(aws: Any, arn: str) -> list[tuple[str, int, str]]:
    answer = aws("elbv2").describe_target_health(TargetGroupArn=arn)
    return sorted(
        (one["Target"]["Id"], one["Target"]["Port"], one["TargetHealth"]["State"])
        for one in answer["TargetHealthDescriptions"]
    )


def place(aws: Any, world: dict[str, Any]) -> dict[str, Any]:
    (group,) = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
    return next(one for one in group["Instances"] if one["InstanceId"] == world["instance_id"])


def test_interfaces_have_the_named_groups_in_order_and_the_last_ones_lie_in_another_vpc(sandbox, aws, finding):
    world = sandbox.furnish(finding(), interfaces=15, groups=(("c", "a", "b"), ("a",)), elsewhere=2)
    found = interfaces(aws, world)
    assert len(found) == 15
    assert [[group["GroupName"] for group in one["Groups"]] for one in found[:3]] == [
        ["c", "a", "b"],
        ["a"],
        ["app", "base"],
    ]
    assert found[0]["Groups"][1] == found[1]["Groups"][0]
    assert {one["VpcId"] for one in found[:13]} == {world["vpc_id"]}
    (elsewhere,) = {one["VpcId"] for one in found[13:]}
    assert elsewhere != world["vpc_id"]
    assert [[group["GroupName"] for group in one["Groups"]] for one in found[13:]] == [["elsewhere"]] * 2


def test_volumes_shutdown_and_state_are_as_chosen(sandbox, aws, finding):
    deleted = (False, True, True, False)
    world = sandbox.furnish(
        finding(), volumes=4, deleted_volumes=deleted, shutdown_behavior="terminate", stopped=True, target_group=True
    )
    raw = described(aws, world)
    mappings = sorted(raw["BlockDeviceMappings"], key=lambda one: world["volumes"].index(one["Ebs"]["VolumeId"]))
    assert tuple(one["Ebs"]["DeleteOnTermination"] for one in mappings) == deleted
    assert raw["State"]["Name"] == "stopped"
    asked = {"InstanceId": world["instance_id"], "Attribute": "instanceInitiatedShutdownBehavior"}
    answer = aws("ec2").describe_instance_attribute(**asked)
    assert answer["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    assert registered(aws, world["target_group_arn"]) == [(world["instance_id"], 443, "unused")]


def test_an_instance_is_a_target_once_for_each_of_its_ports(sandbox, aws, finding):
    world = sandbox.furnish(finding(), groups=(("inside",),), more_targets={"api": (80, 8080)})
    arn, one = world["more_target_groups"]["api"], world["instance_id"]
    assert registered(aws, arn) == [(one, 80, "healthy"), (one, 8080, "healthy")]
    elb = aws("elbv2")
    elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one, "Port": 8080}])
    assert registered(aws, arn) == [(one, 80, "healthy"), (one, 8080, "draining")]
    sandbox.advance(5)
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": one, "Port": 9090}])
    assert registered(aws, arn) == [(one, 80, "healthy"), (one, 9090, "healthy")]


def test_what_does_not_run_cannot_be_registered(sandbox, aws, finding):
    world = sandbox.furnish(finding(), stopped=True, target_group=True)
    elb, targets = aws("elbv2"), [{"Id": world["instance_id"], "Port": 443}]
    elb.deregister_targets(TargetGroupArn=world["target_group_arn"], Targets=targets)
    with pytest.raises(ClientError, match="not in a running state"):
        elb.register_targets(TargetGroupArn=world["target_group_arn"], Targets=targets)


@pytest.mark.parametrize("protects_new", [True, False])
def test_what_is_attached_has_the_groups_scale_in_protection_whatever_it_had(sandbox, aws, finding, protects_new):
    size = {"protected": not protects_new, "protects_new": protects_new}
    world = sandbox.furnish(finding(tags=TAGS), auto_scaling=size)
    assert place(aws, world)["ProtectedFromScaleIn"] is not protects_new
    scaling, one = aws("autoscaling"), world["instance_id"]
    scaling.detach_instances(AutoScalingGroupName=GROUP, InstanceIds=[one], ShouldDecrementDesiredCapacity=True)
    sandbox.advance(5)
    scaling.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=[one])
    assert place(aws, world)["ProtectedFromScaleIn"] is protects_new


def test_an_instance_on_standby_serves_nothing_and_is_not_counted(sandbox, aws, finding):
    world = sandbox.furnish(finding(tags=TAGS), auto_scaling={"desired": 1, "standby": True})
    assert place(aws, world)["LifecycleState"] == "Standby"
    states = {one: state for one, _, state in registered(aws, world["target_group_arn"])}
    assert states.pop(world["instance_id"]) == "draining"
    assert list(states.values()) == ["healthy"]


def test_what_was_taken_out_of_the_targets_by_hand_is_registered_again_by_attaching_alone(sandbox, aws, finding):
    world = sandbox.furnish(finding(tags=TAGS))
    arn, one, scaling = world["target_group_arn"], world["instance_id"], aws("autoscaling")
    aws("elbv2").deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one}])
    sandbox.advance(5)
    scaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=3)
    assert one not in {target for target, _, _ in registered(aws, arn)}
    scaling.detach_instances(AutoScalingGroupName=GROUP, InstanceIds=[one], ShouldDecrementDesiredCapacity=True)
    sandbox.advance(5)
    scaling.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=[one])
    assert (one, 443, "healthy") in registered(aws, arn)


def test_a_rule_cannot_name_a_group_of_another_vpc(sandbox, aws, finding):
    world = sandbox.furnish(finding(), interfaces=2, elsewhere=1)
    here, there = (one["Groups"][0]["GroupId"] for one in interfaces(aws, world))
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": there}]}
    with pytest.raises(ClientError, match="belong to different networks"):
        aws("ec2").authorize_security_group_egress(GroupId=here, IpPermissions=[rule])
