"""What somebody else does to an instance while a response is under way."""

from __future__ import annotations

from typing import Any

from tests.tasks.harness import House
from tests.tasks.reversibility.description import Description
from tests.tasks.reversibility.descriptions import Change


def meddle(house: House, world: Description, instance: str, change: Change) -> None:
    """Change this of the instance to something else than it is."""
    if world["instance", instance, "state"] == "terminated":
        return
    _CHANGES[change](house, world, instance)


def _groups(house: House, world: Description, instance: str) -> None:
    ec2 = house.client("ec2")
    interface = next(path[1] for path in world if path[-1] == "place" and world[path][:2] == (instance, 0))
    vpc = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]["VpcId"]
    name = {"Name": "group-name", "Values": ["of-somebody-else"]}
    found = ec2.describe_security_groups(Filters=[name, {"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    group = (
        found[0]["GroupId"]
        if found
        else ec2.create_security_group(GroupName="of-somebody-else", Description="theirs", VpcId=vpc)["GroupId"]
    )
    house.set_groups(interface, [group])


def _shutdown(house: House, world: Description, instance: str) -> None:
    now = world["instance", instance, "instanceInitiatedShutdownBehavior"]
    other = "stop" if now == "terminate" else "terminate"
    _attribute(house, instance, InstanceInitiatedShutdownBehavior={"Value": other})


def _termination(house: House, world: Description, instance: str) -> None:
    now = world["instance", instance, "disableApiTermination"]
    _attribute(house, instance, DisableApiTermination={"Value": not now})


def _volume(house: House, world: Description, instance: str) -> None:
    device = max(path[3] for path in world if path[:3] == ("instance", instance, "volume"))
    _, deleted = world["instance", instance, "volume", device]
    mapping = {"DeviceName": device, "Ebs": {"DeleteOnTermination": not deleted}}
    _attribute(house, instance, BlockDeviceMappings=[mapping])


def _target(house: House, world: Description, instance: str) -> None:
    """Take it out of the last target group; where it is in none, put it into the first of its network."""
    balancer = house.client("elbv2")
    if served := sorted(path for path in world if path[0] == "target" and path[2] == instance):
        _, arn, _, port = served[-1]
        balancer.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": instance, "Port": int(port)}])
        return
    raw = house.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    groups = [group for group in balancer.describe_target_groups()["TargetGroups"] if group["VpcId"] == raw["VpcId"]]
    if groups and world["instance", instance, "state"] == "running":
        group = groups[0]
        target = {"Id": instance, "Port": group["Port"]}
        balancer.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[target])


def _membership(house: House, world: Description, instance: str) -> None:
    """Take it out of its Auto Scaling group, or put it into the first one that has room."""
    scaling = house.client("autoscaling")
    place = world.get(("member", instance))
    if place is not None:
        group, state = place
        least, desired = world["scaling", group, "limits"][0], world["scaling", group, "desired"]
        if state in ("InService", "Standby"):
            # What is on standby is not counted, so there is nothing to decrement.
            decrement = state == "InService" and desired > least
            scaling.detach_instances(
                AutoScalingGroupName=group, InstanceIds=[instance], ShouldDecrementDesiredCapacity=decrement
            )
        return
    if world["instance", instance, "state"] != "running":
        return
    for path in sorted(path for path in world if path[0] == "scaling" and path[2] == "desired"):
        if world[path] < world[(*path[:2], "limits")][1]:
            scaling.attach_instances(AutoScalingGroupName=path[1], InstanceIds=[instance])
            return


def _protection(house: House, world: Description, instance: str) -> None:
    place = world.get(("member", instance))
    if place is not None and place[1] == "InService":
        house.client("autoscaling").set_instance_protection(
            AutoScalingGroupName=place[0],
            InstanceIds=[instance],
            ProtectedFromScaleIn=not world["member", instance, "protected"],
        )


def _power(house: House, world: Description, instance: str) -> None:
    ec2 = house.client("ec2")
    if world["instance", instance, "state"] == "running":
        ec2.stop_instances(InstanceIds=[instance])
    else:
        ec2.start_instances(InstanceIds=[instance])


def _tag(house: House, world: Description, instance: str) -> None:
    house.client("ec2").create_tags(Resources=[instance], Tags=[{"Key": "owner", "Value": "somebody else"}])


def _end(house: House, world: Description, instance: str) -> None:
    _attribute(house, instance, DisableApiTermination={"Value": False})
    house.client("ec2").terminate_instances(InstanceIds=[instance])


def _attribute(house: House, instance: str, **value: Any) -> None:
    house.client("ec2").modify_instance_attribute(InstanceId=instance, **value)


_CHANGES = {
    "groups": _groups,
    "shutdown": _shutdown,
    "termination": _termination,
    "volume": _volume,
    "target": _target,
    "membership": _membership,
    "protection": _protection,
    "power": _power,
    "tag": _tag,
    "end": _end,
}
