"""What is read of the ways into some instances: exact rules, and who else lives by the same groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runbooks.instance import Instance, InstanceFacts
from runbooks.network import NetworkFacts
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import described
from tasks.gateways.ec2 import Ec2Gateway
from tasks.gateways.ec2_instances import groups_in_order, read_environment_sizes
from tasks.gateways.ec2_network import read_network
from tasks.gateways.ec2_rules import read_group_rules

Members = Mapping[str, Any]

_NAMED_BY = (("ip-permission.group-id", "IpPermissions"), ("egress.ip-permission.group-id", "IpPermissionsEgress"))
"""Filter and member by which a group is found that names another one, for what comes in and what goes out."""


class WaysInGateway:
    """Reads the network around instances, by the hundred where AWS answers by the hundred."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions
        self._ec2 = Ec2Gateway(sessions)

    @reads()
    def hosts(
        self, account: str, region: str, ids: Sequence[str], environment_tag: str = "environment"
    ) -> dict[str, InstanceFacts]:
        """Each instance with the network around it, and nothing of what is installed; gone ones are without instance.

        Args:
            environment_tag: the instance tag that names its environment, whose instances are counted.
        """
        instances = self._ec2.read_instances(account, region, ids, protection=False)
        present = {one: instance for one, instance in instances.items() if instance is not None}
        client = self._client(account, region)
        network = read_network(client, region, present.values())
        environments = {one: instance.tags.get(environment_tag, "") for one, instance in present.items()}
        sizes = read_environment_sizes(client, environment_tag, environments.values())
        found = dict.fromkeys(ids, InstanceFacts(instance=None))
        for one, instance in present.items():
            found[one] = InstanceFacts(
                instance=instance,
                groups=network.groups(instance),
                subnets=network.subnets(instance),
                environment_size=sizes.get(environments[one]),
            )
        return found

    @reads()
    def facts(
        self, account: str, region: str, ids: Sequence[str], environment_tag: str = "environment"
    ) -> dict[str, NetworkFacts]:
        """All that triage and planning take of the ways into each instance."""
        client, hosts = self._client(account, region), self.hosts(account, region, ids, environment_tag)
        wanted = sorted({group for host in hosts.values() if host.instance for group in _groups_of(host.instance)})
        rules = read_group_rules(client, wanted)
        carriers = read_carriers(client, wanted)
        named = {group: _naming(client, group) for group in wanted}
        vpcs = {each.vpc for host in hosts.values() if host.instance for each in host.instance.interfaces}
        cidrs = _cidrs(client, sorted(vpcs))
        return {one: _facts(host, rules, carriers, named, cidrs) for one, host in hosts.items()}

    def _client(self, account: str, region: str) -> Any:
        return self._sessions.client("ec2", account, region, Role.READ)


def read_carriers(client: Any, groups: Iterable[str]) -> dict[str, list[str]]:
    """Security group -> every interface that carries it, attached to an instance or not."""
    found: dict[str, list[str]] = {group: [] for group in groups}
    raws = described(client, "describe_network_interfaces", "NetworkInterfaces", "group-id", [*found])
    interfaces = {raw["NetworkInterfaceId"]: groups_in_order(raw) for raw in raws}
    for interface in sorted(interfaces):
        for group in interfaces[interface]:
            if group in found:
                found[group].append(interface)
    return found


def _facts(
    host: InstanceFacts,
    rules: Mapping[str, Any],
    carriers: Mapping[str, Sequence[str]],
    named: Mapping[str, Sequence[str]],
    cidrs: Mapping[str, Sequence[str]],
) -> NetworkFacts:
    if host.instance is None:
        return NetworkFacts(host=host)
    groups, own = _groups_of(host.instance), {each.id for each in host.instance.interfaces}
    vpcs = dict.fromkeys(each.vpc for each in host.instance.interfaces)
    return NetworkFacts(
        host=host,
        rules={group: rules[group] for group in groups},
        users={group: tuple(one for one in carriers[group] if one not in own) for group in groups},
        references={group: tuple(named[group]) for group in groups},
        inside=tuple(cidr for vpc in vpcs for cidr in cidrs.get(vpc, ())),
    )


def _groups_of(instance: Instance) -> tuple[str, ...]:
    return tuple(sorted({group for each in instance.interfaces for group in each.groups}))


def _naming(client: Any, group: str) -> list[str]:
    """The groups whose rules name this one."""
    found = {
        raw["GroupId"]
        for name, member in _NAMED_BY
        for raw in described(client, "describe_security_groups", "SecurityGroups", name, [group])
        if _names(raw, member, group)
    }
    return sorted(found)


def _names(raw: Members, member: str, group: str) -> bool:
    pairs = (pair for permission in raw.get(member) or () for pair in permission.get("UserIdGroupPairs") or ())
    return any(pair.get("GroupId") == group for pair in pairs)


def _cidrs(client: Any, vpcs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """VPC -> its own addresses, IPv4 and IPv6."""
    return {raw["VpcId"]: tuple(_own(raw)) for raw in described(client, "describe_vpcs", "Vpcs", "vpc-id", vpcs)}


def _own(raw: Members) -> list[str]:
    ipv4 = [each["CidrBlock"] for each in raw.get("CidrBlockAssociationSet") or ()] or [raw["CidrBlock"]]
    return [*ipv4, *(each["Ipv6CidrBlock"] for each in raw.get("Ipv6CidrBlockAssociationSet") or ())]
