"""EC2 instances as Inspector scans them: by the inventory Systems Manager has of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from moto.ec2.models.instances import Instance

from deployments.sandbox.world import Finding, Node, World

_EXCLUSION_TAG = "inspectorec2exclusion"
_WITHOUT_AGENT = ("UNMANAGED_EC2_INSTANCE", "NO_INVENTORY", "STALE_INVENTORY")


class ScannedInstances:
    """The kind AWS_EC2_INSTANCE."""

    resource_type = Node.resource_type
    closing = frozenset({"RESOURCE_TERMINATED", "EXCLUDED_BY_TAG"})

    def all(self, world: World) -> Iterable[Node]:
        """Every instance."""
        return world.nodes.values()

    def find(self, world: World, resource_id: str) -> Node:
        """One instance."""
        return world.nodes[resource_id]

    def coverage(self, world: World, node: Node) -> tuple[str, str]:
        """The scan status: its code and its reason."""
        instance = world.instance(node.instance_id)
        if instance is None or instance.state in ("terminated", "shutting-down"):
            return "INACTIVE", "RESOURCE_TERMINATED"
        if _is_excluded(instance):
            return "INACTIVE", "EXCLUDED_BY_TAG"
        if instance.state in ("stopped", "stopping"):
            return "INACTIVE", "EC2_INSTANCE_STOPPED"
        if node.registered_at is None or not instance.iam_instance_profile:
            return "INACTIVE", "UNMANAGED_EC2_INSTANCE"
        if node.inventory_at is None:
            return "INACTIVE", "NO_INVENTORY"
        if world.now - node.inventory_at > timedelta(seconds=world.settings.stale_inventory):
            return "INACTIVE", "STALE_INVENTORY"
        return "ACTIVE", "SUCCESSFUL"

    def rows(self, world: World, node: Node) -> Iterable[dict[str, Any]]:
        """What ListCoverage says of it: one row for packages, one for the network."""
        instance = world.instance(node.instance_id)
        if instance is None or (instance.state == "terminated" and node.first_scanned_at is None):
            return
        ec2 = {
            "amiId": instance.image_id,
            "platform": "WINDOWS" if node.platform.is_windows else "LINUX",
            "tags": _tags(instance),
        }
        same = {"scanMode": "EC2_SSM_AGENT_BASED", "resourceMetadata": {"ec2": ec2}}
        yield {"scanType": "PACKAGE"} | same
        yield {"scanType": "NETWORK"} | same | self._network(world, node)

    def _network(self, world: World, node: Node) -> dict[str, Any]:
        """Where a network scan, which needs no agent, stands apart from one of packages."""
        if node.network_scanned_at is None:
            return {}
        code, reason = self.coverage(world, node)
        status = {"statusCode": code, "reason": reason}
        if reason in _WITHOUT_AGENT:
            status = {"statusCode": "ACTIVE", "reason": "SUCCESSFUL"}
        return {"scanStatus": status, "lastScannedAt": node.network_scanned_at}

    def describe(self, world: World, finding: Finding) -> dict[str, Any]:
        """The details of a finding's resource."""
        instance = world.instance(finding.resource_id)
        if instance is None:
            return {}
        details = _details(instance, world.nodes[instance.id].platform.code)
        return {"tags": _tags(instance), "details": {"awsEc2Instance": details}}


def _is_excluded(instance: Instance) -> bool:
    """Whether a tag keeps Inspector from scanning the instance."""
    return any(tag["key"].lower() == _EXCLUSION_TAG for tag in instance.get_tags())


def _tags(instance: Instance) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in instance.get_tags()}


def _details(instance: Instance, platform: str) -> dict[str, Any]:
    nics = list(instance.nics.values())
    addresses = [nic.private_ip_address for nic in nics] + [nic.public_ip for nic in nics if nic.public_ip]
    details: dict[str, Any] = {
        "type": instance.instance_type,
        "imageId": instance.image_id,
        "vpcId": instance.vpc_id,
        "subnetId": instance.subnet_id,
        "platform": platform,
        "launchedAt": instance.launch_time,
        "ipV4Addresses": addresses,
        "ipV6Addresses": [address for nic in nics for address in nic.ipv6_addresses],
    }
    if instance.iam_instance_profile:
        details["iamInstanceProfileArn"] = instance.iam_instance_profile["Arn"]
    if instance.key_name:
        details["keyName"] = instance.key_name
    return details
