"""The world that containing changes, described: one value at each path, as AWS tells it to anyone who asks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tests.tasks.harness import House

Path = tuple[str, ...]
Description = dict[Path, Any]

FIELDS = (
    "instance: state, tags (but AWS's own), instance profile, and the ordered groups that the instance itself shows",
    "instance: disableApiTermination and instanceInitiatedShutdownBehavior",
    "each volume, by device: its id and DeleteOnTermination",
    "each interface: ordered security groups, device index, DeleteOnTermination, source/destination check",
    "each interface: private address, public address",
    "targets: each target group's instances with their ports that are registered and not draining",
    "Auto Scaling, each instance: its group, lifecycle state and scale-in protection",
    "Auto Scaling, each group: minimum, desired, maximum, number of instances, target groups",
    "every security group that was there: its rules in and out",
)
"""What `describe` reads, in words."""
LEAVING = ("Detaching", "Detached")
"""Lifecycle states of what the group no longer counts, and lets go when it has drained."""
_OURS = "remediation-"


def everyone(house: House) -> frozenset[str]:
    """Every instance that there is now."""
    reservations = house.client("ec2").describe_instances()["Reservations"]
    return frozenset(raw["InstanceId"] for reservation in reservations for raw in reservation["Instances"])


def describe(house: House, ids: Collection[str]) -> Description:
    """All of it, of these instances and of what they share; nothing of those that came since."""
    return {
        **_instances(house, ids),
        **_interfaces(house, ids),
        **_targets(house, ids),
        **_scaling(house, ids),
        **_security_groups(house),
    }


def _instances(house: House, ids: Collection[str]) -> Description:
    ec2 = house.client("ec2")
    found: Description = {}
    reservations = ec2.describe_instances(InstanceIds=sorted(ids))["Reservations"]
    for raw in (raw for reservation in reservations for raw in reservation["Instances"]):
        one, state = raw["InstanceId"], raw["State"]["Name"]
        found["instance", one, "state"] = state
        tags = {tag["Key"]: tag["Value"] for tag in raw.get("Tags", ())}
        # What AWS says in tags of its own (aws:autoscaling:groupName), it says elsewhere too, and earlier.
        found |= {("instance", one, "tag", key): value for key, value in tags.items() if not key.startswith("aws:")}
        found["instance", one, "profile"] = raw.get("IamInstanceProfile", {}).get("Arn")
        found["instance", one, "groups"] = [group["GroupId"] for group in raw.get("SecurityGroups", ())]
        for mapping in raw["BlockDeviceMappings"]:
            path = ("instance", one, "volume", mapping["DeviceName"])
            found[path] = (mapping["Ebs"]["VolumeId"], mapping["Ebs"]["DeleteOnTermination"])
        if state != "terminated":
            for name in ("disableApiTermination", "instanceInitiatedShutdownBehavior"):
                answer = ec2.describe_instance_attribute(InstanceId=one, Attribute=name)
                found["instance", one, name] = answer[name[0].upper() + name[1:]]["Value"]
    return found


def _interfaces(house: House, ids: Collection[str]) -> Description:
    found: Description = {}
    attached = [{"Name": "attachment.instance-id", "Values": sorted(ids)}]
    for raw in house.client("ec2").describe_network_interfaces(Filters=attached)["NetworkInterfaces"]:
        attachment = raw["Attachment"]
        path = ("interface", raw["NetworkInterfaceId"])
        found[*path, "groups"] = [group["GroupId"] for group in raw["Groups"]]
        found[*path, "place"] = (attachment["InstanceId"], attachment["DeviceIndex"], attachment["DeleteOnTermination"])
        found[*path, "private address"] = raw["PrivateIpAddress"]
        found[*path, "public address"] = raw.get("Association", {}).get("PublicIp")
        found[*path, "source/destination check"] = raw["SourceDestCheck"]
    return found


def _targets(house: House, ids: Collection[str]) -> Description:
    balancer = house.client("elbv2")
    found: Description = {}
    for group in balancer.describe_target_groups()["TargetGroups"]:
        arn = group["TargetGroupArn"]
        for one in balancer.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]:
            target, health = one["Target"], one["TargetHealth"]
            served = health["State"] != "draining" and health.get("Reason") != "Target.NotRegistered"
            if served and target["Id"] in ids:
                found["target", arn, target["Id"], str(target["Port"])] = True
    return found


def _scaling(house: House, ids: Collection[str]) -> Description:
    found: Description = {}
    for group in house.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]:
        name = group["AutoScalingGroupName"]
        counted = [each for each in group["Instances"] if each["LifecycleState"] == "InService"]
        found["scaling", name, "limits"] = (group["MinSize"], group["MaxSize"])
        found["scaling", name, "desired"] = group["DesiredCapacity"]
        found["scaling", name, "surplus"] = len(counted) - group["DesiredCapacity"]
        found["scaling", name, "target groups"] = group["TargetGroupARNs"]
        for each in group["Instances"]:
            if each["InstanceId"] in ids and each["LifecycleState"] not in LEAVING:
                path = ("member", each["InstanceId"])
                found[path] = (name, each["LifecycleState"])
                found[*path, "protected"] = each["ProtectedFromScaleIn"]
    return found


def _security_groups(house: House) -> Description:
    return {
        ("security group", raw["GroupId"]): (raw["IpPermissions"], raw["IpPermissionsEgress"])
        for raw in house.client("ec2").describe_security_groups()["SecurityGroups"]
        if not raw["GroupName"].startswith(_OURS)
    }
