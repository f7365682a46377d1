"""What surrounds an instance: security groups, subnets with their routes and ACLs, VPC endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbooks.instance import AclEntry, Endpoint, Instance, SecurityGroup, Subnet
from tasks.gateways.bulk import described
from tasks.gateways.ec2_rules import to_group

Members = Mapping[str, Any]

_WAYS_OUT = (
    "NatGatewayId",
    "TransitGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "VpcPeeringConnectionId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "CoreNetworkArn",
    "GatewayId",
)
_PROTOCOL_NAMES = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}


@dataclass(frozen=True)
class _PlacedEndpoint:
    endpoint: Endpoint
    vpc: str
    route_tables: frozenset[str]


@dataclass(frozen=True)
class Network:
    """The neighbourhood of some instances, to be asked for the part that one of them has."""

    _groups: Mapping[str, SecurityGroup]
    _subnets: Mapping[str, Subnet]
    _table_of: Mapping[str, str]
    _endpoints: Sequence[_PlacedEndpoint]

    def subnets(self, instance: Instance) -> tuple[Subnet, ...]:
        """The subnets of the instance's interfaces, by id."""
        wanted = {interface.subnet for interface in instance.interfaces}
        return tuple(self._subnets[one] for one in sorted(wanted & self._subnets.keys()))

    def endpoints(self, instance: Instance) -> tuple[Endpoint, ...]:
        """The VPC endpoints within the instance's reach, by id.

        A gateway endpoint counts only where the route table of one of the instance's subnets leads to it.
        """
        vpcs = {interface.vpc for interface in instance.interfaces}
        tables = {self._table_of.get(interface.subnet) for interface in instance.interfaces}
        reached = [
            placed.endpoint
            for placed in self._endpoints
            if placed.vpc in vpcs and (placed.endpoint.kind == "Interface" or placed.route_tables & tables)
        ]
        return tuple(sorted(reached, key=lambda endpoint: endpoint.id))

    def groups(self, instance: Instance) -> tuple[SecurityGroup, ...]:
        """The security groups of the instance's interfaces and of the endpoints within its reach, by id."""
        wanted = {group for interface in instance.interfaces for group in interface.groups}
        wanted |= {group for endpoint in self.endpoints(instance) for group in endpoint.groups}
        return tuple(self._groups[one] for one in sorted(wanted & self._groups.keys()))


def read_network(client: Any, region: str, instances: Iterable[Instance]) -> Network:
    """The neighbourhood of these instances, read once for all of them."""
    interfaces = [interface for instance in instances for interface in instance.interfaces]
    vpcs = [interface.vpc for interface in interfaces]
    subnets = list(described(client, "describe_subnets", "Subnets", "subnet-id", [one.subnet for one in interfaces]))
    tables = _table_of_each(subnets, list(described(client, "describe_route_tables", "RouteTables", "vpc-id", vpcs)))
    acls = _acl_of_each(client, subnets)
    endpoints = _read_endpoints(client, region, vpcs)
    groups = [group for interface in interfaces for group in interface.groups]
    groups += [group for placed in endpoints for group in placed.endpoint.groups]
    raw_groups = described(client, "describe_security_groups", "SecurityGroups", "group-id", groups)
    return Network(
        _groups={raw["GroupId"]: to_group(raw) for raw in raw_groups},
        _subnets={raw["SubnetId"]: _subnet(raw, tables[raw["SubnetId"]], acls) for raw in subnets},
        _table_of={subnet: table.get("RouteTableId", "") for subnet, table in tables.items()},
        _endpoints=endpoints,
    )


def _table_of_each(subnets: Sequence[Members], tables: Sequence[Members]) -> dict[str, Members]:
    """The route table that decides for each subnet: its own, or else the main one of its VPC."""
    own: dict[str, Members] = {}
    main: dict[str, Members] = {}
    for table in tables:
        for association in table.get("Associations") or ():
            if association.get("Main"):
                main[table["VpcId"]] = table
            elif "SubnetId" in association:
                own[association["SubnetId"]] = table
    found: dict[str, Members] = {}
    for raw in subnets:
        found[raw["SubnetId"]] = own.get(raw["SubnetId"]) or main.get(raw["VpcId"]) or {}
    return found


def _acl_of_each(client: Any, subnets: Sequence[Members]) -> dict[str, tuple[AclEntry, ...]]:
    ids = [raw["SubnetId"] for raw in subnets]
    found: dict[str, tuple[AclEntry, ...]] = {}
    for acl in described(client, "describe_network_acls", "NetworkAcls", "association.subnet-id", ids):
        entries = sorted((_acl_entry(raw) for raw in acl["Entries"]), key=lambda entry: (entry.egress, entry.number))
        found.update({association["SubnetId"]: tuple(entries) for association in acl["Associations"]})
    return found


def _acl_entry(raw: Members) -> AclEntry:
    ports = raw.get("PortRange") or {}
    protocol = str(raw["Protocol"])
    return AclEntry(
        number=raw["RuleNumber"],
        allow=raw["RuleAction"] == "allow",
        egress=raw["Egress"],
        protocol=_PROTOCOL_NAMES.get(protocol, protocol),
        from_port=ports.get("From"),
        to_port=ports.get("To"),
        cidr=raw.get("CidrBlock") or raw.get("Ipv6CidrBlock", ""),
    )


def _subnet(raw: Members, table: Members, acls: Mapping[str, tuple[AclEntry, ...]]) -> Subnet:
    ipv4, ipv6 = _default_route(table, "0.0.0.0/0"), _default_route(table, "::/0")
    internet_gateway = _internet_gateway(ipv4)
    return Subnet(
        id=raw["SubnetId"],
        vpc=raw["VpcId"],
        internet_gateway=internet_gateway,
        internet_gateway_ipv6=_internet_gateway(ipv6),
        nat_gateway=None if internet_gateway else _way_out(ipv4),
        acl=acls.get(raw["SubnetId"], ()),
    )


def _default_route(table: Members, destination: str) -> Members:
    for route in table.get("Routes") or ():
        if destination in (route.get("DestinationCidrBlock"), route.get("DestinationIpv6CidrBlock")):
            return route if route.get("State", "active") == "active" else {}
    return {}


def _internet_gateway(route: Members) -> str | None:
    gateway = str(route.get("GatewayId", ""))
    return gateway if gateway.startswith("igw-") else None


def _way_out(route: Members) -> str | None:
    return next((str(route[name]) for name in _WAYS_OUT if route.get(name)), None)


def _read_endpoints(client: Any, region: str, vpcs: Sequence[str]) -> list[_PlacedEndpoint]:
    available = {"Name": "vpc-endpoint-state", "Values": ["available"]}
    raws = [
        raw
        for raw in described(client, "describe_vpc_endpoints", "VpcEndpoints", "vpc-id", vpcs, available)
        if raw["VpcEndpointType"] in ("Interface", "Gateway")
    ]
    gateways = [raw["ServiceName"] for raw in raws if raw["VpcEndpointType"] == "Gateway"]
    lists = described(client, "describe_prefix_lists", "PrefixLists", "prefix-list-name", gateways)
    list_of = {raw["PrefixListName"]: raw["PrefixListId"] for raw in lists}
    return [_placed(raw, region, list_of) for raw in raws]


def _placed(raw: Members, region: str, list_of: Mapping[str, str]) -> _PlacedEndpoint:
    endpoint = Endpoint(
        id=raw["VpcEndpointId"],
        # com.amazonaws.eu-west-1.ssm, and in China cn.com.amazonaws.cn-north-1.ssm
        service=raw["ServiceName"].partition(f".{region}.")[2] or raw["ServiceName"],
        kind=raw["VpcEndpointType"],
        groups=tuple(sorted(group["GroupId"] for group in raw.get("Groups") or ())),
        prefix_list=list_of.get(raw["ServiceName"]) if raw["VpcEndpointType"] == "Gateway" else None,
    )
    return _PlacedEndpoint(endpoint, raw["VpcId"], frozenset(raw.get("RouteTableIds") or ()))
