"""A port of an instance that the internet reaches: the instance's interfaces, and the rules of the groups on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deployments.sandbox.cloud import Cloud
from deployments.sandbox.furnish_network import NetworkOptions, furnish_network
from deployments.sandbox.world import World
from tests.crash_matrix.subjects.subject import operation_of
from tests.tasks.gateways.aws_world import ACCOUNT, REGION


@dataclass(frozen=True)
class NetworkSubject:
    """See `Subject`."""

    options: dict[str, Any] = field(default_factory=dict[str, Any])

    sets_values = frozenset(
        {
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress",
        }
    )
    may_be_repeated: frozenset[str] = frozenset()

    def furnish(self, cloud: Cloud) -> dict[str, Any]:
        return furnish_network(
            cloud, NetworkOptions.model_validate({"account": ACCOUNT, "region": REGION, **self.options})
        )

    def values(self, cloud: Cloud) -> list[Any]:
        return [_described(world) for world in cloud.worlds]

    def described(self, cloud: Cloud) -> dict[str, Any]:
        return _described(cloud.world(ACCOUNT, REGION))

    def made(self, cloud: Cloud) -> Iterator[str]:
        for group in _groups(cloud.world(ACCOUNT, REGION)):
            if operation := operation_of(group.get_tags()):
                yield f"group {group.name} by {operation}"

    def left_open(self, cloud: Cloud) -> Iterator[str]:
        """What is closed is closed at once."""
        yield from ()


def _described(world: World) -> dict[str, Any]:
    return {
        "interfaces": {nic.id: [_name(group) for group in nic.group_set] for nic in world.ec2.enis.values()},
        "rules": {_name(group): (_rules(group.ingress_rules), _rules(group.egress_rules)) for group in _groups(world)},
    }


def _groups(world: World) -> list[Any]:
    return [group for groups in world.ec2.groups.values() for group in groups.values()]


def _name(group: Any) -> str:
    return "ours" if operation_of(group.get_tags()) else str(group.name)


def _rules(rules: list[Any]) -> list[str]:
    return sorted(
        str((rule.ip_protocol, rule.from_port, rule.to_port, rule.ip_range, rule.source_group, rule.prefix_list_id))
        for rule in rules
    )
