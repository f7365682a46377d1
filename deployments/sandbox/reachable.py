"""Which ports of an instance the internet reaches, from gateways, routes, network ACLs and groups as EC2 has them now.

Worked out for some addresses of the internet, port range by port range; load balancers and peerings are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from moto.ec2.models.instances import Instance

from deployments.sandbox.world import World

_SOMEBODY = {
    4: ("1.1.1.1", "8.8.8.8", "52.94.76.1", "93.184.216.34", "185.199.108.153"),
    6: ("2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001::1"),
}
"""Addresses of well-known servers, far from each other: what lets in one of them is open to the internet."""
_PROTOCOLS = {"tcp": "6", "udp": "17"}
_ANSWERS_TO = 50000
"""A port to which a client's answers go."""
_LAST = 65535


@dataclass(frozen=True)
class Way:
    """Ports of one interface that are open to the internet, by one group."""

    interface: str
    gateway: str
    acl: str
    group: str
    protocol: str
    begin: int
    end: int


def ways_in(world: World, instance: Instance) -> Iterator[Way]:
    """Every way from an internet gateway to the instance."""
    for nic in instance.nics.values():
        for version, address in ((4, nic.public_ip), *((6, one) for one in nic.ipv6_addresses)):
            gateway = _gateway(world, nic.subnet, version) if address else None
            if gateway is None:
                continue
            acl = _acl(world, nic.subnet)
            for group in nic.group_set:
                for protocol in _PROTOCOLS:
                    for begin, end in _open(group, acl, protocol, version):
                        yield Way(nic.id, gateway, acl.id, group.id, protocol, begin, end)


def _gateway(world: World, subnet: Any, version: int) -> str | None:
    tables = [table for table in world.ec2.route_tables.values() if table.vpc_id == subnet.vpc_id]
    own = next((table for table in tables if subnet.id in table._associations.values()), None)
    table = own or next(table for table in tables if table.main_association_id)
    everywhere = {4: "0.0.0.0/0", 6: "::/0"}[version]
    for route in table.routes:
        leads_out = everywhere in (route.destination_cidr_block, route.destination_ipv6_cidr_block)
        if leads_out and route.gateway and route.gateway.id.startswith("igw-"):
            return str(route.gateway.id)
    return None


def _acl(world: World, subnet: Any) -> Any:
    return next(
        acl
        for acl in world.ec2.network_acls.values()
        if any(one.subnet_id == subnet.id for one in acl._associations.values())
    )


def _open(group: Any, acl: Any, protocol: str, version: int) -> list[tuple[int, int]]:
    """The ranges of ports that are open to anybody, joined where they touch."""
    found = {
        piece
        for somebody in _SOMEBODY[version]
        for rule in group.ingress_rules
        for piece in _let_in(rule, acl, protocol, somebody)
    }
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(found):
        if joined and begin <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


def _let_in(rule: Any, acl: Any, protocol: str, somebody: str) -> Iterator[tuple[int, int]]:
    block = rule.cidr_ipv4 or rule.cidr_ipv6
    if not block or rule.ip_protocol not in ("-1", protocol) or not _holds(block, somebody):
        return
    whole = rule.ip_protocol == "-1" or int(rule.from_port) < 0
    begin, end = (0, _LAST) if whole else (int(rule.from_port), int(rule.to_port))
    if not _decides(acl, protocol, somebody, _ANSWERS_TO, egress=True):
        return
    edges = sorted({begin, *(edge for edge in _edges(acl) if begin < edge <= end)})
    for first, following in zip(edges, [*edges[1:], end + 1], strict=True):
        if _decides(acl, protocol, somebody, first, egress=False):
            yield first, following - 1


def _edges(acl: Any) -> Iterator[int]:
    """Where the ACL's answer may change."""
    for entry in acl.network_acl_entries:
        if not entry.egress and entry.port_range_from is not None and entry.port_range_to is not None:
            yield int(entry.port_range_from)
            yield int(entry.port_range_to) + 1


def _decides(acl: Any, protocol: str, somebody: str, port: int, *, egress: bool) -> bool:
    """What the first entry that matches says."""
    for entry in sorted(acl.network_acl_entries, key=lambda one: int(one.rule_number)):
        block = entry.cidr_block or entry.ipv6_cidr_block
        if _is_true(entry.egress) is not egress or not _holds(block, somebody):
            continue
        if str(entry.protocol) not in ("-1", _PROTOCOLS[protocol]):
            continue
        if entry.port_range_from is None or int(entry.port_range_from) <= port <= int(entry.port_range_to):
            return str(entry.rule_action) == "allow"
    return False


def _is_true(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _holds(block: str, address: str) -> bool:
    return ip_address(address) in ip_network(block, strict=False)
