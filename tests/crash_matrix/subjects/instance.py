"""An EC2 instance: its interfaces, attributes and volumes, and the groups and target groups that it is in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.elbv2.models import elbv2_backends

from deployments.sandbox.cloud import Cloud
from deployments.sandbox.furnish import furnish
from deployments.sandbox.furnish_options import FurnishOptions
from tests.crash_matrix.subjects.subject import operation_of
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, an_event


@dataclass(frozen=True)
class InstanceSubject:
    """See `Subject`."""

    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of the furnished world."""
    in_group: bool = True

    sets_values = frozenset({"ec2:ModifyNetworkInterfaceAttribute", "ec2:ModifyInstanceAttribute"})
    may_be_repeated = frozenset(
        {
            "ssm:StartAssociationsOnce",  # an inventory more
            "ec2:RunInstances",  # under a client token
            "ec2:CreateLaunchTemplateVersion",
            "elbv2:DeregisterTargets",  # the group does it too, for what it lets go
        }
    )

    def furnish(self, cloud: Cloud) -> dict[str, Any]:
        event = an_event(in_group=self.in_group)
        return furnish(cloud, event, FurnishOptions.model_validate(self.options)) | {"event": event}

    def values(self, cloud: Cloud) -> list[Any]:
        here = [world.ec2 for world in cloud.worlds]
        instances = [instance for world in cloud.worlds for instance in world.instances()]
        volumes = [device for instance in instances for _, device in instance.get_block_device_mapping]
        return [
            [[group.id for group in nic.group_set] for ec2 in here for nic in ec2.enis.values()],
            [(each.disable_api_termination, each.instance_initiated_shutdown_behavior) for each in instances],
            [each.delete_on_termination for each in volumes],
        ]

    def described(self, cloud: Cloud) -> dict[str, Any]:
        """The instance; groups by their names."""
        ec2 = cloud.world(ACCOUNT, REGION).ec2
        instance = cloud.world(ACCOUNT, REGION).instance(INSTANCE)
        assert instance is not None
        balancers, scaling = elbv2_backends[ACCOUNT][REGION], autoscaling_backends[ACCOUNT][REGION]
        return {
            "interfaces": {
                each.id: [group.name for group in each.group_set]
                for each in ec2.enis.values()
                if each.instance is not None and each.instance.id == INSTANCE
            },
            "attributes": [instance.disable_api_termination, instance.instance_initiated_shutdown_behavior],
            "volumes": {name: device.delete_on_termination for name, device in instance.get_block_device_mapping},
            "targets": {
                arn: [each["Port"] for each in group.targets.values() if each["Id"] == INSTANCE]
                for arn, group in balancers.target_groups.items()
            },
            "auto_scaling": {
                name: [
                    (group.min_size, group.desired_capacity, group.max_size, len(group.instance_states)),
                    [each.lifecycle_state for each in group.instance_states if each.instance.id == INSTANCE],
                ]
                for name, group in scaling.autoscaling_groups.items()
            },
        }

    def made(self, cloud: Cloud) -> Iterator[str]:
        here = cloud.world(ACCOUNT, REGION)
        groups = [group for groups in here.ec2.groups.values() for group in groups.values()]
        named = [
            *((snapshot, f"snapshot of {snapshot.volume.id}") for snapshot in here.ec2.snapshots.values()),
            *((group, f"group {group.name}") for group in groups),
            *((instance, "instance") for instance in here.instances()),
        ]
        for resource, what in named:
            if operation := operation_of(resource.get_tags()):
                yield f"{what} by {operation}"
        for command in here.commands.values():
            if command.document == "AWS-RunPatchBaseline":
                yield f"command {command.comment}"
        for template in here.ec2.launch_templates.values():
            yield from (f"version {one.description} of {template.name}" for one in template.versions if one.description)
        yield from (f"refresh number {number}" for number, _ in enumerate(here.refreshes))

    def left_open(self, cloud: Cloud) -> Iterator[str]:
        """Interfaces that rest on a group with a rule for everything that comes in, by our own making."""
        for each in cloud.world(ACCOUNT, REGION).ec2.enis.values():
            for group in each.group_set:
                if operation_of(group.get_tags()) and group.ingress_rules:
                    yield f"{each.id} rests on {group.name}"
