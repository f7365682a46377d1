"""A world as plain data, to be looked at by people and tests."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.elbv2.models import elbv2_backends

from deployments.sandbox import commands, inspector, inventory
from deployments.sandbox.world import Node, World


def view(world: World) -> dict[str, Any]:
    """The interesting state of one account and region."""
    return {
        "account": world.account,
        "region": world.region,
        "now": world.now,
        "instances": {instance.id: _instance(world, instance) for instance in world.instances()},
        "interfaces": {
            nic.id: {
                "instance_id": nic.instance.id if nic.instance else None,
                "device_index": nic.device_index,
                "groups": [group.id for group in nic.group_set],
                "private_address": nic.private_ip_address,
                "public_address": nic.public_ip,
            }
            for nic in world.ec2.enis.values()
        },
        "security_groups": {
            group.id: {"name": group.name, "vpc_id": group.vpc_id, "tags": _tags(group)}
            for vpc in world.ec2.groups.values()
            for group in vpc.values()
        },
        "snapshots": {
            snapshot.id: {"volume_id": snapshot.volume.id, "state": snapshot.status, "tags": _tags(snapshot)}
            for snapshot in world.ec2.snapshots.values()
            if not snapshot.from_ami
        },
        "commands": {
            one.id: {
                "document": one.document,
                "parameters": one.parameters,
                "comment": one.comment,
                "requested_at": one.requested_at,
                "status": commands.overall(one)[0],
                "invocations": {node: asdict(invocation) for node, invocation in one.invocations.items()},
            }
            for one in world.commands.values()
        },
        "findings": {
            one.arn: {
                "resource_id": one.resource_id,
                "vulnerability_id": one.advisory.vulnerability_id,
                "status": one.status,
                "updated_at": one.updated_at,
            }
            for one in world.findings.values()
        },
        "container_images": {
            one.resource_id: {
                "status": one.status,
                "tags": list(one.tags),
                "base_digest": one.content.base_digest,
                "packages": {f"{name}.{arch}": package.version for (name, arch), package in one.inventory.items()},
                "coverage": dict(zip(("status", "reason"), inspector.coverage(world, one), strict=True)),
            }
            for one in world.container_images.values()
        },
        "builds": {
            one.id: {"status": one.status, "phase": one.phases[-1].name, "exported": one.exported}
            for one in world.builds.values()
        },
        "transitions": {f"{pipeline}/{stage}": asdict(one) for (pipeline, stage), one in world.transitions.items()},
        "auto_scaling_groups": _groups(world),
        "target_groups": {
            group.arn: sorted({instance for instance, _ in group.targets})
            for group in elbv2_backends[world.account][world.region].target_groups.values()
        },
    }


def _instance(world: World, instance: Any) -> dict[str, Any]:
    node = world.nodes.get(instance.id)
    shown: dict[str, Any] = {
        "state": instance.state,
        "image_id": instance.image_id,
        "public_address": instance.public_ip if instance.nics else None,
        "volumes": [device.volume_id for _, device in instance.get_block_device_mapping],
        "tags": _tags(instance),
    }
    return shown | _node(world, node) if node else shown


def _node(world: World, node: Node) -> dict[str, Any]:
    code, reason = inspector.coverage(world, node)
    return {
        "platform": node.platform.code,
        "packages": {f"{name}.{arch}": package.version for (name, arch), package in node.packages.items()},
        "ping_status": inventory.ping_status(world, node),
        "inventory_at": node.inventory_at,
        "scanned_at": node.scanned_at,
        "coverage": {"status": code, "reason": reason},
    }


def _groups(world: World) -> dict[str, Any]:
    groups = autoscaling_backends[world.account][world.region].autoscaling_groups
    return {
        name: {
            "minimum": group.min_size,
            "desired": group.desired_capacity,
            "maximum": group.max_size,
            "instances": {state.instance.id: state.lifecycle_state for state in group.instance_states},
        }
        for name, group in groups.items()
    }


def _tags(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}
