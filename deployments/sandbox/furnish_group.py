"""Builds the Auto Scaling group and the target group around an instance of the sandbox."""

from __future__ import annotations

from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState, autoscaling_backends
from moto.ec2.models.instances import Instance
from moto.elbv2.models import elbv2_backends

from deployments.sandbox import load_balancing
from deployments.sandbox.furnish_options import FurnishOptions, GroupSize
from deployments.sandbox.payload import Subject
from deployments.sandbox.world import World

GROUP_TAG = "aws:autoscaling:groupName"


def build_group(world: World, subject: Subject, instance: Instance, options: FurnishOptions) -> dict[str, Any]:
    """Put the instance into its group and register it with its targets, as far as wanted; what was made, by id."""
    tagged = subject.tags.get(GROUP_TAG)
    in_group = bool(tagged or options.auto_scaling)
    built: dict[str, Any] = {"auto_scaling_group": None, "launch_template_id": None, "target_group_arn": None}
    if options.target_group or (options.target_group is None and in_group):
        built["target_group_arn"] = _target_group(world, instance, f"app-{options.port}", (options.port,))
    built["more_target_groups"] = {
        name: _target_group(world, instance, name, ports) for name, ports in options.more_targets.items()
    }
    if in_group:
        name = tagged or f"group-{subject.instance_id.removeprefix('i-')}"
        size = options.auto_scaling or GroupSize()
        group = _group(world, name, subject, instance, size, built["target_group_arn"])
        built |= {"auto_scaling_group": group.name, "launch_template_id": group.ec2_launch_template.id}  # type: ignore[union-attr]
    return built


def _target_group(world: World, instance: Instance, purpose: str, ports: tuple[int, ...]) -> str:
    """The target group of this purpose in the instance's VPC, with the instance in it."""
    elb = elbv2_backends[world.account][world.region]
    name = f"{purpose}-{(instance.vpc_id or '').removeprefix('vpc-')}"[:32]
    existing = next((one for one in elb.target_groups.values() if one.name == name), None)
    group = existing or elb.create_target_group(
        name, vpc_id=instance.vpc_id, protocol="HTTPS", port=str(ports[0]), target_type="instance"
    )
    for port in ports:
        # One that has been stopped since is still registered, and could not be registered now.
        load_balancing.registered(group).setdefault((instance.id, port), {"Id": instance.id, "Port": port})
    return group.arn


def _group(
    world: World, name: str, subject: Subject, instance: Instance, size: GroupSize, target_group: str | None
) -> FakeAutoScalingGroup:
    backend = autoscaling_backends[world.account][world.region]
    group = backend.autoscaling_groups.get(name)
    if group is None:
        template = _launch_template(world, name, subject, instance)
        group = backend.create_auto_scaling_group(
            name=name,
            availability_zones=[],
            desired_capacity=0,
            max_size=size.maximum,
            min_size=0,
            launch_config_name="",
            launch_template={"LaunchTemplateId": template.id, "Version": "$Default"},
            vpc_zone_identifier=instance.subnet_id,
            default_cooldown=None,
            health_check_period=None,
            health_check_type="ELB" if target_group else "EC2",
            load_balancers=[],
            target_group_arns=[target_group] if target_group else [],
            placement_group=None,
            termination_policies=[],
            tags=[],
        )
        group.min_size = size.minimum
        group.new_instances_protected_from_scale_in = size.protects_new
    if all(state.instance.id != instance.id for state in group.instance_states):
        instance.autoscaling_group = group  # type: ignore[attr-defined]
        place = InstanceState(instance, protected_from_scale_in=size.protected)
        group.instance_states.append(place)
        world.ec2.create_tags([instance.id], {GROUP_TAG: name})
        if size.standby:
            place.lifecycle_state = "Standby"
            for attached in load_balancing.target_groups(world, group.target_group_arns):
                load_balancing.drain(world, attached, instance.id)
        group.set_desired_capacity(max(size.desired, len(group.active_instances())))
    return group


def _launch_template(world: World, name: str, subject: Subject, instance: Instance) -> Any:
    data = {
        "ImageId": subject.image_id,
        "InstanceType": subject.instance_type,
        "SecurityGroupIds": [group.id for group in instance.nics[0].group_set],
        "IamInstanceProfile": {"Arn": subject.profile_arn},
    }
    return world.ec2.create_launch_template(f"{name}-template", "as found", data, {})
