"""Auto Scaling groups as AWS documents them, where moto differs.

A detached instance leaves the target groups first and the group after; the group replaces what it lost from its launch
template's version; it terminates what its health checks find unhealthy, evidence or not (EC2 Auto Scaling user guide,
"Detach or attach instances", "Health checks for instances in an Auto Scaling group").
"""

from __future__ import annotations

import uuid
from typing import Any

from moto.autoscaling.models import (
    AutoScalingBackend,
    FakeAutoScalingGroup,
    InstanceState,
    autoscaling_backends,
)
from moto.ec2.models.instances import Instance

from deployments.sandbox import inventory, load_balancing
from deployments.sandbox.operations import Call, operation
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import World

GROUP_TAG = "aws:autoscaling:groupName"
_VERSION_TAG = "aws:ec2launchtemplate:version"


def launch(group: FakeAutoScalingGroup, count: int, propagated_tags: dict[str, str]) -> None:
    """Launch instances into a group as its launch template's version says."""
    template = group.ec2_launch_template
    version = template.get_version(group.launch_template_version) if template else None
    data = version.data if version else {}
    subnets = [one for one in (group.vpc_zone_identifier or "").split(",") if one]
    for _ in range(count):
        reservation = group.ec2_backend.run_instances(
            group.image_id,
            1,
            group.user_data,
            [],
            instance_type=group.instance_type or "t3.small",
            is_instance_type_default=False,
            subnet_id=subnets[len(group.instance_states) % len(subnets)] if subnets else None,
            security_group_ids=list(data.get("SecurityGroupIds") or []),
            associate_public_ip=False,
            tags={"instance": propagated_tags | group.instance_tags | {GROUP_TAG: group.name}},
        )
        instance = reservation.instances[0]
        _finish_launch(group, instance, data)
        if version and template:
            instance.add_tags({_VERSION_TAG: str(version.number), "aws:ec2launchtemplate:id": template.id})
        instance.autoscaling_group = group  # type: ignore[attr-defined]
        protected = group.new_instances_protected_from_scale_in
        group.instance_states.append(InstanceState(instance, protected_from_scale_in=protected))
    if group.name in group.autoscaling_backend.autoscaling_groups:
        group.autoscaling_backend.update_attached_target_groups(group.name)


def _finish_launch(group: FakeAutoScalingGroup, instance: Instance, data: dict[str, Any]) -> None:
    profile = data.get("IamInstanceProfile") or {}
    if profile:
        group.ec2_backend.associate_iam_instance_profile(
            instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )
    for nic in instance.nics.values():
        nic.delete_on_termination = True


def _replace(group: FakeAutoScalingGroup, count_needed: int, propagated_tags: dict[str, str]) -> None:
    launch(group, count_needed, propagated_tags)


def _register_in_service(backend: AutoScalingBackend, group_name: str) -> None:
    group = backend.autoscaling_groups[group_name]
    for target_group in backend.elbv2_backend.target_groups.values():
        if target_group.arn not in group.target_group_arns:
            continue
        for state in group.active_instances():
            load_balancing.register_new(target_group, state.instance.id)


def _version_of(state: InstanceState) -> dict[str, Any] | None:
    group = state.auto_scaling_group
    template = group.ec2_launch_template if group else None
    if template is None:
        return None
    tags = {tag["key"]: tag["value"] for tag in state.instance.get_tags()}
    number = tags.get(_VERSION_TAG) or template.default_version_number
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": str(number)}


FakeAutoScalingGroup.replace_autoscaling_group_instances = _replace  # type: ignore[method-assign]
AutoScalingBackend.update_attached_target_groups = _register_in_service  # type: ignore[method-assign]
InstanceState.launch_template = property(_version_of)  # type: ignore[assignment,method-assign]


@operation("autoscaling", "DetachInstances")
def detach_instances(call: Call) -> dict[str, Any]:
    """Take instances out of the group: out of its target groups at once, out of the group when they have drained."""
    group = find_group(call.world, call.params["AutoScalingGroupName"])
    states = [_member(group, one) for one in call.params.get("InstanceIds") or []]
    decrement = call.params["ShouldDecrementDesiredCapacity"]
    desired = group.desired_capacity or 0
    if decrement and desired - len(states) < (group.min_size or 0):
        raise AwsError(
            "ValidationError",
            f"Currently, desiredSize equals {desired}. Terminating instance without replacement will violate group's"
            " min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.",
        )
    for state in states:
        state.lifecycle_state = "Detaching"
        _leave(call.world, group, state)
    group.set_desired_capacity(desired - len(states) if decrement else desired)
    return {"Activities": [_activity(call, group, state, "Detaching EC2 instance") for state in states]}


@operation("autoscaling", "AttachInstances")
def attach_instances(call: Call) -> dict[str, Any]:
    """Put running instances into the group; its desired capacity grows with them."""
    group = find_group(call.world, call.params["AutoScalingGroupName"])
    wanted = call.params.get("InstanceIds") or []
    desired = (group.desired_capacity or 0) + len(wanted)
    if desired > (group.max_size or 0):
        raise AwsError(
            "ValidationError", f"AutoScalingGroup {group.name} has max-size={group.max_size}, cannot hold more."
        )
    for one in wanted:
        _check_attachable(call.world, one)
    for one in wanted:
        instance = call.world.ec2.get_instance(one)
        instance.autoscaling_group = group  # type: ignore[attr-defined]
        # It inherits the group's setting (EC2 Auto Scaling user guide, "Use instance scale-in protection").
        protected = group.new_instances_protected_from_scale_in
        group.instance_states.append(InstanceState(instance, protected_from_scale_in=protected))
        call.world.ec2.create_tags([one], {GROUP_TAG: group.name})
        for target_group in load_balancing.target_groups(call.world, group.target_group_arns):
            load_balancing.register_again(call.world, target_group, one)
    group.set_desired_capacity(desired)
    return {}


@operation("autoscaling", "SetInstanceProtection")
def set_instance_protection(call: Call) -> dict[str, Any]:
    """Protect instances of the group from scale-in, or no longer."""
    group = find_group(call.world, call.params["AutoScalingGroupName"])
    states = [_member(group, one) for one in call.params["InstanceIds"]]
    for state in states:
        state.protected_from_scale_in = call.params["ProtectedFromScaleIn"]
    return {}


def find_group(world: World, name: str) -> FakeAutoScalingGroup:
    """A group by name.

    Raises:
        AwsError: there is none.
    """
    group = groups(world).get(name)
    if group is None:
        raise AwsError("ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return group


def groups(world: World) -> dict[str, FakeAutoScalingGroup]:
    """Every group of the account and region, by name."""
    return autoscaling_backends[world.account][world.region].autoscaling_groups


def terminate(world: World, group: FakeAutoScalingGroup, state: InstanceState) -> None:
    """Terminate an instance of the group and take it out of everything the group had it in."""
    group.instance_states.remove(state)
    for target_group in load_balancing.target_groups(world, group.target_group_arns):
        load_balancing.drain(world, target_group, state.instance.id)
    # An Auto Scaling group terminates in spite of termination protection.
    state.instance.disable_api_termination = False
    world.ec2.terminate_instances([state.instance.id])


def check_health(world: World) -> None:
    """Have groups replace, after a while, members that stay stopped or fail their load balancer's checks."""
    for group in groups(world).values():
        for state in group.active_instances():
            if _is_unhealthy(world, group, state):
                delay = world.settings.health_check
                world.clock.after(delay, lambda group=group, state=state: _replace_if_unhealthy(world, group, state))


def _replace_if_unhealthy(world: World, group: FakeAutoScalingGroup, state: InstanceState) -> None:
    suspended = {"ReplaceUnhealthy", "Terminate"} & set(group._suspended_processes)
    if state not in group.active_instances() or suspended or not _is_unhealthy(world, group, state):
        return
    terminate(world, group, state)
    group.set_desired_capacity(group.desired_capacity)
    inventory.observe(world)


def _is_unhealthy(world: World, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
    if state.instance.state != "running" or state.health_status.lower() == "unhealthy":
        return True
    if group.health_check_type != "ELB":
        return False
    return any(
        load_balancing.is_unhealthy(world, target_group, state.instance.id)
        for target_group in load_balancing.target_groups(world, group.target_group_arns)
    )


def _leave(world: World, group: FakeAutoScalingGroup, state: InstanceState) -> None:
    instance = state.instance
    for target_group in load_balancing.target_groups(world, group.target_group_arns):
        load_balancing.drain(world, target_group, instance.id)

    def leave() -> None:
        if state in group.instance_states:
            group.instance_states.remove(state)
            world.ec2.delete_tags([instance.id], {GROUP_TAG: group.name})
            del instance.autoscaling_group  # type: ignore[attr-defined]

    if group.target_group_arns:
        world.clock.after(world.settings.draining, leave)
    else:
        leave()


def _member(group: FakeAutoScalingGroup, instance_id: str) -> InstanceState:
    for state in group.instance_states:
        if state.instance.id == instance_id and state.lifecycle_state in ("InService", "Standby"):
            return state
    raise AwsError("ValidationError", f"The instance {instance_id} is not part of Auto Scaling group {group.name}.")


def _check_attachable(world: World, instance_id: str) -> None:
    instance = world.instance(instance_id)
    if instance is None or instance.state != "running":
        raise AwsError("ValidationError", f"Invalid Instance ID(s): {[instance_id]}. The instance is not running.")
    for group in groups(world).values():
        if any(state.instance.id == instance_id for state in group.instance_states):
            raise AwsError(
                "ValidationError", f"Instance {instance_id} is already part of AutoScalingGroup:{group.name}"
            )


def _activity(call: Call, group: FakeAutoScalingGroup, state: InstanceState, what: str) -> dict[str, Any]:
    return {
        "ActivityId": str(uuid.uuid4()),
        "AutoScalingGroupName": group.name,
        "Description": f"{what}: {state.instance.id}",
        "Cause": f"Instance {state.instance.id} was detached in response to a user request.",
        "StartTime": call.now,
        "StatusCode": "InProgress",
        "Progress": 50,
        "Details": "{}",
    }
