"""EC2 instances as DescribeInstances shows them, in our words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbooks.instance import AutoScalingMembership, Instance, Interface, TargetRegistration, Volume
from tasks.gateways.bulk import TWO_HUNDRED, described, each, portions, tags_of

Members = Mapping[str, Any]

ENDED = ("terminated", "shutting-down")
"""States from which an instance does not come back."""


@dataclass(frozen=True)
class Neighbours:
    """What DescribeInstances does not show of an instance, or not in full."""

    interfaces: Sequence[Members]
    elastic: frozenset[str]
    """The public addresses that are Elastic IPs."""
    protection: tuple[bool, str]
    """Termination protection and shutdown behaviour."""
    auto_scaling: AutoScalingMembership | None
    targets: tuple[TargetRegistration, ...]


def read_raw_instances(client: Any, ids: Sequence[str]) -> dict[str, Members]:
    """The instances that EC2 still knows, by id.

    Asked for by filter: an unknown id in `InstanceIds` would fail the whole call, in a filter it just matches nothing.
    """
    reservations = described(client, "describe_instances", "Reservations", "instance-id", ids)
    return {raw["InstanceId"]: raw for reservation in reservations for raw in reservation["Instances"]}


def read_raw_interfaces(client: Any, ids: Sequence[str]) -> dict[str, list[Members]]:
    """All network interfaces attached to each of the instances."""
    found: dict[str, list[Members]] = {one: [] for one in ids}
    for raw in described(client, "describe_network_interfaces", "NetworkInterfaces", "attachment.instance-id", ids):
        found[raw["Attachment"]["InstanceId"]].append(raw)
    return found


def read_elastic_addresses(client: Any, interfaces: Iterable[Members]) -> frozenset[str]:
    """The public addresses of these interfaces that are Elastic IPs."""
    addresses = sorted({address for raw in interfaces if (address := _public_address(raw))})
    found: set[str] = set()
    for portion in portions(addresses, TWO_HUNDRED):
        filters = [{"Name": "public-ip", "Values": list(portion)}]
        found.update(raw["PublicIp"] for raw in client.describe_addresses(Filters=filters)["Addresses"])
    return frozenset(found)


def read_environment_sizes(client: Any, tag: str, environments: Iterable[str]) -> dict[str, int]:
    """How many running instances have each of these values of the tag; nothing is known of an empty one."""
    wanted = sorted({environment for environment in environments if environment})
    running = {"Name": "instance-state-name", "Values": ["running"]}
    reservations = described(client, "describe_instances", "Reservations", f"tag:{tag}", wanted, running)
    # A filter takes * and ? for wildcards, so that a value may also bring others.
    values = Counter(tags_of(raw).get(tag) for reservation in reservations for raw in reservation["Instances"])
    return {environment: values[environment] for environment in wanted}


def read_protection(client: Any, ids: Sequence[str]) -> dict[str, tuple[bool, str]]:
    """Termination protection and shutdown behaviour of each; only one instance can be asked about at a time."""

    def ask(instance: str) -> tuple[bool, str]:
        protection = client.describe_instance_attribute(InstanceId=instance, Attribute="disableApiTermination")
        shutdown = client.describe_instance_attribute(
            InstanceId=instance, Attribute="instanceInitiatedShutdownBehavior"
        )
        return (
            bool(protection["DisableApiTermination"].get("Value", False)),
            str(shutdown["InstanceInitiatedShutdownBehavior"].get("Value", "stop")),
        )

    return each(ask, ids)


def to_instance(account: str, region: str, raw: Members, around: Neighbours) -> Instance:
    """The instance with its neighbours; everything that AWS lists in no order is sorted."""
    return Instance(
        account=account,
        region=region,
        id=raw["InstanceId"],
        state=raw["State"]["Name"],
        image=raw["ImageId"],
        type=raw["InstanceType"],
        architecture=raw.get("Architecture", "x86_64"),
        availability_zone=raw.get("Placement", {}).get("AvailabilityZone"),
        platform=raw.get("Platform") or "linux",
        profile=raw.get("IamInstanceProfile", {}).get("Arn"),
        metadata_tokens=raw.get("MetadataOptions", {}).get("HttpTokens", "optional"),
        lifecycle=raw.get("InstanceLifecycle") or "on-demand",
        termination_protection=around.protection[0],
        shutdown_behavior=around.protection[1],
        tags=tags_of(raw),
        interfaces=tuple(_interface(one, around.elastic) for one in sorted(around.interfaces, key=_place)),
        volumes=to_volumes(raw),
        auto_scaling=around.auto_scaling,
        targets=around.targets,
    )


def to_volumes(raw: Members) -> tuple[Volume, ...]:
    """The attached volumes by device name."""
    mappings = sorted(raw.get("BlockDeviceMappings") or (), key=lambda mapping: mapping["DeviceName"])
    return tuple(
        Volume(
            id=mapping["Ebs"]["VolumeId"],
            device=mapping["DeviceName"],
            delete_on_termination=mapping["Ebs"]["DeleteOnTermination"],
        )
        for mapping in mappings
        if "Ebs" in mapping
    )


def groups_in_order(raw: Members) -> tuple[str, ...]:
    """The interface's security groups in the order AWS gives them: they are put back in that order."""
    return tuple(group["GroupId"] for group in raw.get("Groups") or ())


def _interface(raw: Members, elastic: frozenset[str]) -> Interface:
    address = _public_address(raw)
    return Interface(
        id=raw["NetworkInterfaceId"],
        device_index=raw["Attachment"]["DeviceIndex"],
        subnet=raw["SubnetId"],
        vpc=raw["VpcId"],
        groups=groups_in_order(raw),
        private_address=raw.get("PrivateIpAddress"),
        public_address=address,
        elastic=address in elastic,
        ipv6_addresses=tuple(sorted(one["Ipv6Address"] for one in raw.get("Ipv6Addresses") or ())),
    )


def _public_address(raw: Members) -> str | None:
    """The interface's public address; of several (one for each private address) the primary's, else the first."""
    own = raw.get("Association", {}).get("PublicIp")
    others = (one.get("Association", {}).get("PublicIp") for one in raw.get("PrivateIpAddresses") or ())
    return own or next((address for address in others if address), None)


def _place(raw: Members) -> tuple[int, int, str]:
    attachment = raw["Attachment"]
    return attachment.get("NetworkCardIndex", 0), attachment["DeviceIndex"], raw["NetworkInterfaceId"]
