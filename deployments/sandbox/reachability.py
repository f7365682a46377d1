"""What an instance can reach, from routes, security groups and endpoints as EC2 has them now.

Network ACLs are not looked at: the sandbox's are the default ones, which let everything through.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any

from moto.ec2.models.instances import Instance

from deployments.sandbox.world import World

_CONTROL_SERVICES = ("ssm", "ssmmessages", "ec2messages")
_SOMEWHERE_OUTSIDE = "198.51.100.1"
_HTTPS = 443
_HTTP = 80


def has_control_path(world: World, instance: Instance) -> bool:
    """Whether the agent reaches Systems Manager: by its three interface endpoints, or over the internet."""
    return all(
        _reaches_endpoint(world, instance, f"com.amazonaws.{world.region}.{service}", (_HTTPS,))
        or reaches_internet(world, instance, (_HTTPS,))
        for service in _CONTROL_SERVICES
    )


def has_package_source(world: World, instance: Instance, from_s3: bool) -> bool:
    """Whether the package manager reaches a repository.

    Args:
        from_s3: the platform's repositories are in S3 (Amazon Linux), so that a gateway endpoint will do.
    """
    if from_s3 and reaches_s3(world, instance):
        return True
    if any(_reaches_endpoint(world, instance, service, (_HTTPS, _HTTP)) for service in world.mirror_services):
        return True
    return reaches_internet(world, instance, (_HTTPS, _HTTP))


def reaches_s3(world: World, instance: Instance) -> bool:
    """Whether the instance reaches S3, by a gateway endpoint or over the internet."""
    return _reaches_s3_gateway(world, instance) or reaches_internet(world, instance, (_HTTPS,))


def reaches_internet(world: World, instance: Instance, ports: Iterable[int]) -> bool:
    """Whether one of the ports can be reached on the internet through a default route."""
    for nic in instance.nics.values():
        if not _egress(nic, ports, address=_SOMEWHERE_OUTSIDE):
            continue
        for route in _route_table(world, nic.subnet).routes:
            if route.destination_cidr_block != "0.0.0.0/0":
                continue
            if route.nat_gateway or (route.gateway and nic.public_ip):
                return True
    return False


def _reaches_s3_gateway(world: World, instance: Instance) -> bool:
    service = f"com.amazonaws.{world.region}.s3"
    prefix_lists = {pl.id for pl in world.ec2.managed_prefix_lists.values() if pl.prefix_list_name == service}
    for nic in instance.nics.values():
        table = _route_table(world, nic.subnet)
        attached = any(
            endpoint.service_name == service and table.id in (endpoint.route_table_ids or [])
            for endpoint in world.ec2.vpc_end_points.values()
        )
        if attached and _egress(nic, (_HTTPS,), address=_SOMEWHERE_OUTSIDE, prefix_lists=prefix_lists):
            return True
    return False


def _reaches_endpoint(world: World, instance: Instance, service: str, ports: tuple[int, ...]) -> bool:
    for endpoint in world.ec2.vpc_end_points.values():
        if endpoint.service_name != service or endpoint.vpc_id != instance.vpc_id:
            continue
        groups = set(endpoint.security_group_ids)
        doors = [world.ec2.enis[eni] for eni in endpoint.network_interface_ids if eni in world.ec2.enis]
        for nic in instance.nics.values():
            if _endpoint_lets_in(world, nic, groups, ports) and any(
                _egress(nic, ports, address=door.private_ip_address, groups=groups) for door in doors
            ):
                return True
    return False


def _endpoint_lets_in(world: World, nic: Any, endpoint_groups: set[str], ports: tuple[int, ...]) -> bool:
    own = {group.id for group in nic.group_set}
    return any(
        _rule_allows(rule, ports, nic.private_ip_address, own, set())
        for group_id in endpoint_groups
        if (group := world.ec2.get_security_group_from_id(group_id))
        for rule in group.ingress_rules
    )


def _egress(
    nic: Any,
    ports: Iterable[int],
    *,
    address: str | None,
    groups: set[str] | None = None,
    prefix_lists: set[str] | None = None,
) -> bool:
    return any(
        _rule_allows(rule, tuple(ports), address, groups or set(), prefix_lists or set())
        for group in nic.group_set
        for rule in group.egress_rules
    )


def _rule_allows(rule: Any, ports: tuple[int, ...], address: str | None, groups: set[str], lists: set[str]) -> bool:
    if rule.ip_protocol not in ("-1", "tcp"):
        return False
    if rule.ip_protocol == "tcp" and not any(rule.from_port <= port <= rule.to_port for port in ports):
        return False
    if rule.cidr_ipv4 and address:
        return ip_address(address) in ip_network(rule.cidr_ipv4, strict=False)
    if rule.prefix_list_id:
        return rule.prefix_list_id in lists
    return bool(rule.source_group) and rule.source_group.get("GroupId") in groups


def _route_table(world: World, subnet: Any) -> Any:
    tables = [table for table in world.ec2.route_tables.values() if table.vpc_id == subnet.vpc_id]
    for table in tables:
        if subnet.id in table._associations.values():
            return table
    return next(table for table in tables if table.main_association_id)
