"""Target groups as AWS documents them: a deregistered target drains for a while, then it is gone.

An instance can be registered with one target group several times, with different ports (ELB API reference,
RegisterTargets), so a target is an instance with a port. One whose interface lets nothing in on that port fails its
health checks, as on AWS.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from moto.ec2.models.instances import Instance
from moto.elbv2.exceptions import TargetNotRunning
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


Target = tuple[str, int]
"""Instance id and port."""
Targets = dict[Target, dict[str, Any]]


def registered(group: FakeTargetGroup) -> Targets:
    """The group's targets; moto's own dictionary, by our keys."""
    return cast(Targets, group.targets)


def _taken_out(group: FakeTargetGroup) -> Targets:
    return cast(Targets, group.deregistered_targets)


def _register(group: FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
    for target in targets:
        instance = group.ec2_backend.get_instance_by_id(target["Id"])
        if instance is not None and instance.state != "running":
            raise TargetNotRunning(instance_id=target["Id"])
    for target in targets:
        key = _target(group, target)
        registered(group)[key] = {"Id": key[0], "Port": key[1]}
        _taken_out(group).pop(key, None)


def _forget_terminated(group: FakeTargetGroup, instance_ids: list[str]) -> None:
    for key in [key for key in registered(group) if key[0] in instance_ids]:
        del registered(group)[key]


FakeTargetGroup.register = _register  # type: ignore[method-assign]
FakeTargetGroup.deregister_terminated_instances = _forget_terminated  # type: ignore[method-assign]


@operation("elbv2", "DeregisterTargets")
def deregister_targets(call: Call) -> dict[str, Any]:
    """Begin to drain targets."""
    group = _group(call.world, call.params["TargetGroupArn"])
    targets = [_target(group, target) for target in call.params["Targets"]]
    for target in targets:
        if target not in registered(group) and (group.arn, *target) not in call.world.draining:
            raise AwsError("InvalidTarget", f"The following targets are not registered: {target[0]}")
    for target in targets:
        _drain(call.world, group, target)
    return {}


@operation("elbv2", "RegisterTargets")
def register_targets(call: Call) -> Answer:
    """Register targets; one that drains is taken back."""
    group = _group(call.world, call.params["TargetGroupArn"])
    answer = call.forward()
    for target in call.params["Targets"]:
        call.world.draining.pop((group.arn, *_target(group, target)), None)
    return answer


@operation("elbv2", "DescribeTargetHealth")
def describe_target_health(call: Call) -> dict[str, Any]:
    """The health of the targets asked for, or of all that are registered or draining."""
    group = _group(call.world, call.params["TargetGroupArn"])
    asked = [_target(group, target) for target in call.params.get("Targets") or []]
    draining = [(one, port) for arn, one, port in call.world.draining if arn == group.arn]
    targets = asked or [*registered(group), *(target for target in draining if _is_draining(call.world, group, target))]
    return {
        "TargetHealthDescriptions": [
            {
                "Target": {"Id": target[0], "Port": target[1]},
                "HealthCheckPort": "traffic-port",
                "TargetHealth": _health(call.world, group, target),
            }
            for target in targets
        ]
    }


def drain(world: World, group: FakeTargetGroup, instance_id: str) -> None:
    """Take an instance out of a group, with every port it has there; it drains for a while."""
    for target in [target for target in registered(group) if target[0] == instance_id]:
        _drain(world, group, target)


def register_again(world: World, group: FakeTargetGroup, instance_id: str) -> None:
    """Register a running instance with the group's own port, whatever was before."""
    world.draining.pop((group.arn, instance_id, _default_port(group)), None)
    group.register([{"Id": instance_id}])


def register_new(group: FakeTargetGroup, instance_id: str) -> None:
    """Register with the group's own port what an Auto Scaling group launched; never what was taken out since."""
    target = (instance_id, _default_port(group))
    if target not in registered(group) and target not in _taken_out(group):
        group.register([{"Id": instance_id}])


def is_unhealthy(world: World, group: FakeTargetGroup, instance_id: str) -> bool:
    """Whether the group's checks of the instance fail, with any port."""
    targets = [target for target in registered(group) if target[0] == instance_id]
    return any(_health(world, group, target)["State"] == "unhealthy" for target in targets)


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


def _drain(world: World, group: FakeTargetGroup, target: Target) -> None:
    left = registered(group).pop(target, None)
    if left:
        until = world.now + timedelta(seconds=world.settings.draining)
        world.draining[group.arn, target[0], target[1]] = until
        _taken_out(group)[target] = left


def _is_draining(world: World, group: FakeTargetGroup, target: Target) -> bool:
    until = world.draining.get((group.arn, *target))
    return until is not None and world.now < until


def _health(world: World, group: FakeTargetGroup, target: Target) -> dict[str, str]:
    if target not in registered(group):
        return _DRAINING if _is_draining(world, group, target) else _GONE
    instance = world.instance(target[0])
    if instance is not None and instance.state != "running":
        return _STOPPED
    return _HEALTHY if instance is None or lets_in(instance, target[1]) else _UNHEALTHY


def _target(group: FakeTargetGroup, given: dict[str, Any]) -> Target:
    return given["Id"], int(given.get("Port") or _default_port(group))


def _default_port(group: FakeTargetGroup) -> int:
    return int(group.port)
