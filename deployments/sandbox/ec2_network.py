"""EC2's network as AWS documents it, where moto differs.

An interface carries exactly the groups it was given, in their order; an instance shows the groups of its first
interface; a group in use cannot be deleted (EC2 API Reference, ModifyNetworkInterfaceAttribute, DeleteSecurityGroup).
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance
from moto.ec2.models.security_groups import SecurityGroup

from deployments.sandbox.operations import Call, operation
from deployments.sandbox.wire import Answer, AwsError

_MOST_GROUPS = 5


def _interface_groups(interface: NetworkInterface) -> list[SecurityGroup]:
    return list(interface._group_set)


def _instance_groups(instance: Instance) -> list[SecurityGroup]:
    first = getattr(instance, "nics", {}).get(0)
    return list(first._group_set) if first else getattr(instance, "_launch_groups", [])


def _set_instance_groups(instance: Instance, groups: list[SecurityGroup]) -> None:
    instance._launch_groups = groups  # type: ignore[attr-defined]
    first = getattr(instance, "nics", {}).get(0)
    if first:
        first._group_set = list(groups)


def _release_address(interface: NetworkInterface) -> None:
    elastic = {address.public_ip for address in interface.ec2_backend.addresses}
    if interface.public_ip not in elastic:
        interface.public_ip = None


def _assign_address(interface: NetworkInterface) -> None:
    if interface.public_ip is None:
        interface.check_auto_public_ip()


NetworkInterface.stop = _release_address  # type: ignore[method-assign]
NetworkInterface.start = _assign_address  # type: ignore[method-assign]
NetworkInterface.group_set = property(_interface_groups)  # type: ignore[assignment,method-assign]
Instance.security_groups = property(_instance_groups, _set_instance_groups)  # type: ignore[attr-defined]


@operation("ec2", "ModifyNetworkInterfaceAttribute")
def modify_network_interface_attribute(call: Call) -> dict[str, Any] | Answer:
    """Replace the interface's groups, exactly and in order; other attributes are moto's."""
    if not set(call.params) - {"NetworkInterfaceId", "DryRun"}:
        raise AwsError("InvalidParameterCombination", "No attributes specified.")
    if "Groups" not in call.params:
        return call.forward()
    interface = call.world.ec2.get_network_interface(call.params["NetworkInterfaceId"])
    interface._group_set = groups_for(call, call.params["Groups"], interface.vpc_id)
    return {}


@operation("ec2", "AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress")
def authorize(call: Call) -> Answer:
    """Refuse a rule that names a group of another VPC, to which there is no peering here."""
    own = call.world.ec2.get_security_group_from_id(call.params.get("GroupId") or "")
    for permission in call.params.get("IpPermissions") or []:
        for pair in permission.get("UserIdGroupPairs") or []:
            peer = call.world.ec2.get_security_group_from_id(pair.get("GroupId") or "")
            if own is not None and peer is not None and own.vpc_id != peer.vpc_id:
                raise AwsError(
                    "InvalidGroup.NotFound", "You have specified two resources that belong to different networks."
                )
    return call.forward()


@operation("ec2", "DeleteSecurityGroup")
def delete_security_group(call: Call) -> dict[str, Any] | Answer:
    """Refuse to delete a group that an interface, an endpoint or another group's rule still uses."""
    ec2 = call.world.ec2
    name_or_id = call.params.get("GroupId") or call.params.get("GroupName") or ""
    group = ec2.get_security_group_by_name_or_id(name_or_id)
    if group is not None and _is_used(call, group):
        raise AwsError("DependencyViolation", f"resource {group.id} has a dependent object")
    return call.forward()


def groups_for(call: Call, group_ids: list[str], vpc_id: str) -> list[SecurityGroup]:
    """The groups with these ids, in this order, checked as EC2 checks them.

    Raises:
        AwsError: none is given, one is unknown, belongs to another VPC, or there are too many.
    """
    if not [one for one in group_ids if one]:
        raise AwsError("InvalidParameterCombination", "You must specify at least one security group.")
    if len(set(group_ids)) > _MOST_GROUPS:
        raise AwsError("SecurityGroupsPerInterfaceLimitExceeded", "The maximum number of security groups was reached.")
    groups = []
    for group_id in dict.fromkeys(group_ids):
        group = call.world.ec2.get_security_group_from_id(group_id)
        if group is None:
            raise AwsError("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        if group.vpc_id != vpc_id:
            raise AwsError("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist in VPC '{vpc_id}'")
        groups.append(group)
    return groups


def _is_used(call: Call, group: SecurityGroup) -> bool:
    ec2 = call.world.ec2
    on_interface = any(group in interface._group_set for interface in ec2.enis.values())
    on_endpoint = any(group.id in endpoint.security_group_ids for endpoint in ec2.vpc_end_points.values())
    others = [one for vpc in ec2.groups.values() for one in vpc.values() if one.id != group.id]
    in_rule = any(
        rule.source_group.get("GroupId") == group.id
        for one in others
        for rule in (*one.ingress_rules, *one.egress_rules)
    )
    return on_interface or on_endpoint or in_rule
