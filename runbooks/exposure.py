"""Exposure: the ways by which the internet reaches an instance, from groups, routes, addresses and network ACLs."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from runbooks.instance import AclEntry, InstanceFacts, Interface, Rule, Subnet
from runbooks.model import Model
from runbooks.ports import PortRange, narrowed, shared

EPHEMERAL_PORTS = (1024, 65535)
"""Where answers go (Amazon VPC user guide, network ACLs: ephemeral ports)."""


class InternetPath(Model):
    """A way from the internet to a port of the instance."""

    interface: str
    address: str
    gateway: str
    """The internet gateway, or the internet-facing load balancer."""
    group: str
    protocol: str
    from_port: int | None
    to_port: int | None
    source: str

    @property
    def balanced(self) -> bool:
        """Whether it leads through a load balancer."""
        return not self.gateway.startswith("igw-")

    def __str__(self) -> str:
        return f"{self.source} -> {self.gateway} -> {self.address} {self.ports} ({self.group} on {self.interface})"

    @property
    def ports(self) -> str:
        if self.from_port is None or self.protocol == "-1":
            return "every port" if self.protocol == "-1" else f"every {self.protocol} port"
        span = str(self.from_port) if self.from_port == self.to_port else f"{self.from_port}-{self.to_port}"
        return f"{self.protocol}/{span}"


def paths_from_internet(facts: InstanceFacts, to: PortRange | None = None) -> tuple[InternetPath, ...]:
    """Every way in: public address, route to an internet gateway, group rule and network ACL all agree.

    A rule counts when its source is the internet at large (wider than /8 for IPv4, /16 for IPv6); a single
    office address is no exposure. Registration behind an internet-facing load balancer is a way in of its own.

    Args:
        to: only the ways to one of these ports; each is told with all the ports of its rule.
    """
    if facts.instance is None:
        return ()
    direct = (path for interface in facts.instance.interfaces for path in _direct(facts, interface, to))
    return (*direct, *_balanced(facts, to))


def _direct(facts: InstanceFacts, interface: Interface, to: PortRange | None) -> Iterator[InternetPath]:
    subnet = facts.subnet(interface.subnet)
    if subnet is None:
        return
    for address, gateway in public_addresses(interface, subnet):
        version = ipaddress.ip_address(address).version
        for group_id in interface.groups:
            group = facts.group(group_id)
            for rule in group.ingress if group else ():
                asked = rule if to is None else narrowed(rule, to)
                if asked is not None and from_internet(rule.peer, version) and acl_admits(subnet, asked):
                    yield InternetPath(
                        interface=interface.id,
                        address=address,
                        gateway=gateway,
                        group=group_id,
                        protocol=rule.protocol,
                        from_port=rule.from_port,
                        to_port=rule.to_port,
                        source=rule.peer,
                    )


def public_addresses(interface: Interface, subnet: Subnet) -> Iterator[tuple[str, str]]:
    """The addresses at which the internet finds the interface, each with the gateway that its subnet routes to."""
    if interface.public_address and subnet.internet_gateway:
        yield interface.public_address, subnet.internet_gateway
    if subnet.internet_gateway_ipv6:
        for address in interface.ipv6_addresses:
            yield address, subnet.internet_gateway_ipv6


def shut_by(facts: InstanceFacts, group: str, rule: Rule) -> Iterator[str]:
    """What keeps the internet out though this rule lets it in, as far as is seen: at each interface with the group."""
    for interface in facts.instance.interfaces if facts.instance else ():
        if group in interface.groups:
            yield _shut_at(interface, facts.subnet(interface.subnet), 6 if ":" in rule.peer else 4)


def _shut_at(interface: Interface, subnet: Subnet | None, version: int) -> str:
    if subnet is None:
        return f"{interface.subnet} of {interface.id} could not be read"
    if not (interface.public_address if version == 4 else interface.ipv6_addresses):
        return f"{interface.id} has no {'public' if version == 4 else 'IPv6'} address"
    if not (subnet.internet_gateway if version == 4 else subnet.internet_gateway_ipv6):
        leads_to = subnet.nat_gateway if version == 4 else None
        return f"the default route of {subnet.id} leads to {leads_to or 'no internet gateway'}"
    return f"the network ACL of {subnet.id} keeps the internet at large out"


def _balanced(facts: InstanceFacts, to: PortRange | None) -> Iterator[InternetPath]:
    if facts.instance is None:
        return
    for target in facts.instance.targets:
        port = PortRange(protocol="tcp", begin=target.port, end=target.port)
        wanted = to is None or shared(port, to) is not None
        if target.internet_facing and target.load_balancer and wanted:
            yield InternetPath(
                interface=facts.instance.interfaces[0].id if facts.instance.interfaces else facts.instance.id,
                address=facts.instance.id,
                gateway=target.load_balancer,
                group=target.target_group,
                protocol="tcp",
                from_port=target.port,
                to_port=target.port,
                source="0.0.0.0/0",
            )


def from_internet(peer: str, version: int) -> bool:
    """Whether a rule's peer means the internet at large, for this IP version."""
    if "/" not in peer:
        return False
    network = ipaddress.ip_network(peer, strict=False)
    wide = network.prefixlen < (8 if version == 4 else 16)
    return network.version == version and wide and not network.is_private


def acl_admits(subnet: Subnet, rule: Rule) -> bool:
    """Whether the subnet's network ACL lets the internet reach some port of the rule, and lets the answer out."""
    if rule.protocol == "-1":
        # Entries decide protocol by protocol: one that denies ping says nothing of TCP.
        return any(acl_admits(subnet, rule.model_copy(update={"protocol": each})) for each in ("tcp", "udp"))
    if rule.protocol not in ("tcp", "udp", "6", "17"):
        return _acl_allows(subnet, rule.peer, rule.protocol, None, egress=False)
    low, high = EPHEMERAL_PORTS
    answer = Rule(protocol=rule.protocol, from_port=low, to_port=high, peer=rule.peer)
    return _some_port_passes(subnet, rule, egress=False) and _some_port_passes(subnet, answer, egress=True)


def _some_port_passes(subnet: Subnet, rule: Rule, *, egress: bool) -> bool:
    ports = _ports_to_try(subnet, rule, egress=egress)
    return any(_acl_allows(subnet, rule.peer, rule.protocol, port, egress=egress) for port in ports)


def _ports_to_try(subnet: Subnet, rule: Rule, *, egress: bool) -> set[int]:
    """The ports at which an answer of the ACL can change within the rule's range."""
    low, high = (rule.from_port or 0), (65535 if rule.to_port is None else rule.to_port)
    edges = {low, high}
    for entry in subnet.acl:
        if entry.egress == egress and entry.from_port is not None and entry.to_port is not None:
            edges |= {entry.from_port - 1, entry.from_port, entry.to_port, entry.to_port + 1}
    return {port for port in edges if low <= port <= high}


def _acl_allows(subnet: Subnet, peer: str, protocol: str, port: int | None, *, egress: bool) -> bool:
    for entry in sorted(subnet.acl, key=lambda each: each.number):
        if entry.egress == egress and _matches(entry, peer, protocol, port):
            return entry.allow
    # No entry at all means the ACL was not read; a real one always ends in a deny, which is read like any other.
    return not subnet.acl


PROTOCOL_NUMBERS = {"tcp": "6", "udp": "17", "icmp": "1", "icmpv6": "58"}


def _matches(entry: AclEntry, peer: str, protocol: str, port: int | None) -> bool:
    network, source = ipaddress.ip_network(entry.cidr, strict=False), ipaddress.ip_network(peer, strict=False)
    if not network.overlaps(source):
        return False
    # A narrower deny does not shut the internet out; a narrower allow lets it in when it means the internet itself.
    if network.prefixlen > source.prefixlen and not (entry.allow and from_internet(entry.cidr, source.version)):
        return False
    numbers = {PROTOCOL_NUMBERS.get(entry.protocol, entry.protocol), PROTOCOL_NUMBERS.get(protocol, protocol)}
    if "-1" not in numbers and len(numbers) > 1:
        return False
    if port is None or entry.from_port is None or entry.to_port is None:
        return True
    return entry.from_port <= port <= entry.to_port
