"""Builds the network an instance of the sandbox lives in: VPC, subnet, gateways, endpoints, security groups.

Everything is made once and found again, so that many findings of one VPC share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from moto.ec2.models import subnets, vpcs
from moto.ec2.models.security_groups import SecurityGroup

from deployments.sandbox.payload import Subject
from deployments.sandbox.world import World

_ANYWHERE = "0.0.0.0/0"
_CONTROL_SERVICES = ("ssm", "ssmmessages", "ec2messages")
_MIRROR_NAME = "package-mirror"
_ELSEWHERE = "10.99.0.0/16"


@contextmanager
def next_id(module: Any, generator: str, wanted: str) -> Iterator[None]:
    """Have moto use this id for what it makes next, where it would make one up."""
    made_up = getattr(module, generator)
    setattr(module, generator, lambda: wanted)
    try:
        yield
    finally:
        setattr(module, generator, made_up)


def build_subnet(world: World, subject: Subject) -> Any:
    """The subnet the finding names, in the VPC it names, with the instance's address in its range."""
    vpc = _vpc(world, subject)
    for zone in world.ec2.subnets.values():
        if subject.subnet_id in zone:
            return zone[subject.subnet_id]
    block = IPv4Network(f"{subject.private_address}/20", strict=False)
    if not any(block.subnet_of(IPv4Network(one["cidr_block"])) for one in vpc.get_cidr_block_association_set()):
        around = str(IPv4Network(f"{subject.private_address}/16", strict=False))
        world.ec2.associate_vpc_cidr_block(vpc.id, around, amazon_provided_ipv6_cidr_block=False)
    with next_id(subnets, "random_subnet_id", subject.subnet_id):
        subnet = world.ec2.create_subnet(vpc.id, _free_block(world, vpc, block), availability_zone=f"{world.region}a")
    subnet.map_public_ip_on_launch = False
    return subnet


def second_subnet(world: World, own: Any) -> Any:
    """A subnet in another VPC of the same zone, for interfaces that an instance has there."""
    for zone in world.ec2.subnets.values():
        for subnet in zone.values():
            if subnet.cidr_block == _ELSEWHERE:
                return subnet
    vpc = world.ec2.create_vpc(_ELSEWHERE)
    subnet = world.ec2.create_subnet(vpc.id, _ELSEWHERE, availability_zone=own.availability_zone)
    add_s3_gateway(world, vpc.id)
    add_control_endpoints(world, subnet)
    return subnet


def inside_group(world: World, vpc_id: str, name: str) -> Any:
    """A group by name: every TCP port in from its VPC, everything out."""
    existing = world.ec2.get_security_group_from_name(name, vpc_id)
    if existing:
        return existing
    group = security_group(world, vpc_id, name)
    inside = [{"CidrIp": str(world.ec2.vpcs[vpc_id].cidr_block)}]
    world.ec2.authorize_security_group_ingress(group.id, "tcp", "0", "65535", inside)
    return group


def open_to_internet(world: World, vpc_id: str) -> None:
    """Give the VPC an internet gateway and its main route table a default route to it."""
    table = main_route_table(world, vpc_id)
    if any(route.destination_cidr_block == _ANYWHERE for route in table.routes):
        return
    gateway = world.ec2.create_internet_gateway()
    world.ec2.attach_internet_gateway(gateway.id, vpc_id)
    world.ec2.create_route(table.id, _ANYWHERE, gateway_id=gateway.id)


def add_control_endpoints(world: World, subnet: Any) -> list[str]:
    """The interface endpoints the SSM agent needs."""
    names = [f"com.amazonaws.{world.region}.{service}" for service in _CONTROL_SERVICES]
    return [_interface_endpoint(world, subnet, name, "vpc-endpoints") for name in names]


def add_s3_gateway(world: World, vpc_id: str) -> str:
    """The gateway endpoint for S3, with S3's prefix list routed to it; the prefix list's id is returned."""
    service = f"com.amazonaws.{world.region}.s3"
    prefix_list = next(one for one in world.ec2.managed_prefix_lists.values() if one.prefix_list_name == service)
    if not _endpoint(world, vpc_id, service):
        table = main_route_table(world, vpc_id)
        world.ec2.create_vpc_endpoint(vpc_id, service, "Gateway", None, [table.id])
    return prefix_list.id


def add_package_mirror(world: World, subnet: Any) -> str:
    """A mirror of the platform's package repositories inside the VPC; its endpoint service name is returned."""
    service = f"com.amazonaws.vpce.{world.region}.vpce-svc-{subnet.vpc_id.removeprefix('vpc-'):0>17}"
    _interface_endpoint(world, subnet, service, _MIRROR_NAME)
    world.mirror_services.add(service)
    return service


def security_group(world: World, vpc_id: str, name: str, ports: tuple[int, ...] = (), source: str = _ANYWHERE) -> Any:
    """A group by name: these TCP ports from the source in, everything out."""
    existing = world.ec2.get_security_group_from_name(name, vpc_id)
    if existing:
        return existing
    group = world.ec2.create_security_group(name, f"{name} of the sandbox", vpc_id=vpc_id)
    for port in ports:
        world.ec2.authorize_security_group_ingress(group.id, "tcp", str(port), str(port), [{"CidrIp": source}])
    return group


def limit_egress(world: World, group: SecurityGroup, rules: list[dict[str, Any]]) -> None:
    """Replace what a group lets out by TCP rules, each with a port and either CidrIp, PrefixListId or GroupId."""
    group.egress_rules.clear()
    for rule in rules:
        world.ec2.authorize_security_group_egress(
            group.id,
            "tcp",
            str(rule["port"]),
            str(rule["port"]),
            [{"CidrIp": rule["CidrIp"]}] if "CidrIp" in rule else [],
            source_groups=[{"GroupId": rule["GroupId"]}] if "GroupId" in rule else [],
            prefix_list_ids=[{"PrefixListId": rule["PrefixListId"]}] if "PrefixListId" in rule else [],
        )


def main_route_table(world: World, vpc_id: str) -> Any:
    """The VPC's main route table."""
    tables = world.ec2.route_tables.values()
    return next(table for table in tables if table.vpc_id == vpc_id and table.main_association_id)


def _vpc(world: World, subject: Subject) -> Any:
    if subject.vpc_id in world.ec2.vpcs:
        return world.ec2.vpcs[subject.vpc_id]
    block = str(IPv4Network(f"{subject.private_address}/16", strict=False))
    with next_id(vpcs, "random_vpc_id", subject.vpc_id):
        return world.ec2.create_vpc(block)


def _free_block(world: World, vpc: Any, wanted: Any) -> str:
    taken = [one.cidr for zone in world.ec2.subnets.values() for one in zone.values() if one.vpc_id == vpc.id]
    if not any(one.overlaps(wanted) for one in taken):
        return str(wanted)
    blocks = wanted.supernet(new_prefix=16).subnets(new_prefix=20)
    return str(next(block for block in blocks if not any(one.overlaps(block) for one in taken)))


def _interface_endpoint(world: World, subnet: Any, service: str, group_name: str) -> str:
    existing = _endpoint(world, subnet.vpc_id, service)
    if existing:
        return existing.id
    group = security_group(world, subnet.vpc_id, group_name, (443, 80), str(world.ec2.vpcs[subnet.vpc_id].cidr_block))
    endpoint = world.ec2.create_vpc_endpoint(
        subnet.vpc_id,
        service,
        "Interface",
        None,
        [],
        subnet_ids=[subnet.id],
        security_group_ids=[group.id],
        private_dns_enabled=True,
        tags={"Name": service.rpartition(".")[2] if group_name != _MIRROR_NAME else _MIRROR_NAME},
    )
    for interface_id in endpoint.network_interface_ids:
        door = world.ec2.enis[interface_id]
        door.private_ip_address = free_address(world, subnet)
        door.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": door.private_ip_address}]
        door._group_set = [group]
        door.interface_type, door.requester_managed, door.status = "vpc_endpoint", True, "in-use"
    return endpoint.id


def free_address(world: World, subnet: Any) -> str:
    """An address of the subnet that no interface has, from its upper end so as not to meet the findings' own."""
    taken = {interface.private_ip_address for interface in world.ec2.enis.values()}
    addresses = IPv4Network(subnet.cidr_block)
    first, last = int(addresses.network_address), int(addresses.broadcast_address)
    free = (str(IPv4Address(one)) for one in range(last - 1, first + 4, -1))
    return next(one for one in free if one not in taken)


def _endpoint(world: World, vpc_id: str, service: str) -> Any:
    endpoints = world.ec2.vpc_end_points.values()
    return next((one for one in endpoints if one.vpc_id == vpc_id and one.service_name == service), None)
