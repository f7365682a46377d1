"""Target groups as AWS documents them: a deregistered target drains for a while, then it is gone.

A target whose interface lets nothing in on the target's port fails its health checks, as on AWS.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from moto.ec2.models.instances import Instance
from moto.elbv2.models import FakeTargetGroup, elbv2_backends

from deployments.sandbox.operations import Call, operation
from deployments.sandbox.wire import Answer, AwsError
from deployments.sandbox.world import World

_HEALTHY = {"State": "healthy"}
_DRAINING = {
    "State": "draining",
    "Reason": "Target.DeregistrationInProgress",
    "Description": "Target deregistration is in progress",
}
_GONE = {
    "State": "unused",
    "Reason": "Target.NotRegistered",
    "Description": "Target is not registered to the target group",
}
_STOPPED = {"State": "unused", "Reason": "Target.InvalidState", "Description": "Target is in the stopped state"}
_UNHEALTHY = {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}


@operation("elbv2", "DeregisterTargets")
def deregister_targets(call: Call) -> dict[str, Any]:
    """Begin to drain targets."""
    group = _group(call.world, call.params["TargetGroupArn"])
    for target in call.params["Targets"]:
        if target["Id"] not in group.targets and (group.arn, target["Id"]) not in call.world.draining:
            raise AwsError("InvalidTarget", f"The following targets are not registered: {target['Id']}")
    for target in call.params["Targets"]:
        drain(call.world, group, target["Id"])
    return {}


@operation("elbv2", "RegisterTargets")
def register_targets(call: Call) -> Answer:
    """Register targets; one that drains is taken back."""
    for target in call.params["Targets"]:
        call.world.draining.pop((call.params["TargetGroupArn"], target["Id"]), None)
    return call.forward()


@operation("elbv2", "DescribeTargetHealth")
def describe_target_health(call: Call) -> dict[str, Any]:
    """The health of the targets asked for, or of all that are registered or draining."""
    group = _group(call.world, call.params["TargetGroupArn"])
    asked = [target["Id"] for target in call.params.get("Targets") or []]
    draining = [
        target for arn, target in call.world.draining if arn == group.arn and is_draining(call.world, arn, target)
    ]
    targets = asked or [*group.targets, *draining]
    return {
        "TargetHealthDescriptions": [
            {
                "Target": {"Id": target, "Port": _port(group, target)},
                "HealthCheckPort": "traffic-port",
                "TargetHealth": health(call.world, group, target),
            }
            for target in targets
        ]
    }


def drain(world: World, group: FakeTargetGroup, target: str) -> None:
    """Take a target out of its group; it drains for a while."""
    registered = group.targets.pop(target, None)
    if registered:
        until = world.now + timedelta(seconds=world.settings.draining)
        world.draining[group.arn, target] = (registered["Port"], until)


def is_draining(world: World, group_arn: str, target: str) -> bool:
    """Whether a deregistered target still finishes its requests."""
    entry = world.draining.get((group_arn, target))
    return entry is not None and world.now < entry[1]


def health(world: World, group: FakeTargetGroup, target: str) -> dict[str, str]:
    """What DescribeTargetHealth says of a target."""
    if target not in group.targets:
        return _DRAINING if is_draining(world, group.arn, target) else _GONE
    instance = world.instance(target)
    if instance is not None and instance.state != "running":
        return _STOPPED
    return _HEALTHY if instance is None or lets_in(instance, int(_port(group, target))) else _UNHEALTHY


def lets_in(instance: Instance, port: int) -> bool:
    """Whether the first interface lets anything in on a port."""
    return any(
        rule.ip_protocol == "-1" or (rule.ip_protocol == "tcp" and rule.from_port <= port <= rule.to_port)
        for group in instance.nics[0].group_set
        for rule in group.ingress_rules
    )


def target_groups(world: World, arns: list[str]) -> list[FakeTargetGroup]:
    """The target groups with these ARNs, those that exist."""
    known = elbv2_backends[world.account][world.region].target_groups
    return [known[arn] for arn in arns if arn in known]


def _group(world: World, arn: str) -> FakeTargetGroup:
    found = target_groups(world, [arn])
    if not found:
        raise AwsError("TargetGroupNotFound", f"Target groups '{arn}' not found")
    return found[0]


def _port(group: FakeTargetGroup, target: str) -> Any:
    return group.targets.get(target, {}).get("Port") or group.port
