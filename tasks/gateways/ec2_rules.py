"""Security group rules: as EC2 nests them (IpPermissions), and flat as we say them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runbooks.group_rules import GroupRule
from runbooks.instance import Rule, SecurityGroup
from tasks.gateways.bulk import described, tags_of

Members = Mapping[str, Any]

_PEERS = (
    ("IpRanges", "CidrIp"),
    ("Ipv6Ranges", "CidrIpv6"),
    ("PrefixListIds", "PrefixListId"),
    ("UserIdGroupPairs", "GroupId"),
)


def to_rules(permissions: Iterable[Members]) -> tuple[Rule, ...]:
    """One rule for each peer, sorted."""
    return in_order(rule for permission in permissions for rule in _flat(permission))


def to_group(raw: Members) -> SecurityGroup:
    """A security group of DescribeSecurityGroups."""
    return SecurityGroup(
        id=raw["GroupId"],
        name=raw["GroupName"],
        vpc=raw.get("VpcId", ""),
        ingress=to_rules(raw.get("IpPermissions") or ()),
        egress=to_rules(raw.get("IpPermissionsEgress") or ()),
    )


def read_group_rules(client: Any, groups: Iterable[str]) -> dict[str, tuple[GroupRule, ...]]:
    """Security group -> its rules one by one, incoming and outgoing, with their ids, descriptions and tags."""
    found: dict[str, list[GroupRule]] = {group: [] for group in groups}
    for raw in described(client, "describe_security_group_rules", "SecurityGroupRules", "group-id", [*found]):
        found[raw["GroupId"]].append(to_group_rule(raw))
    return {group: tuple(sorted(rules, key=_place)) for group, rules in found.items()}


def to_group_rule(raw: Members) -> GroupRule:
    """A rule of DescribeSecurityGroupRules, which writes -1 for every port of all traffic."""
    every, referenced = raw["IpProtocol"] == "-1", raw.get("ReferencedGroupInfo") or {}
    return GroupRule(
        id=raw["SecurityGroupRuleId"],
        egress=raw["IsEgress"],
        protocol=raw["IpProtocol"],
        from_port=None if every else raw.get("FromPort"),
        to_port=None if every else raw.get("ToPort"),
        peer=raw.get("CidrIpv4") or raw.get("CidrIpv6") or raw.get("PrefixListId") or referenced["GroupId"],
        peer_account=referenced.get("UserId"),
        description=raw.get("Description"),
        tags=tags_of(raw),
    )


def in_order(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules without repetition, in an order that does not depend on AWS."""
    return tuple(
        sorted(set(rules), key=lambda rule: (rule.protocol, _port(rule.from_port), _port(rule.to_port), rule.peer))
    )


def to_permissions(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """The rules as an IpPermissions parameter."""
    return [_nested(rule) for rule in in_order(rules)]


def described_permissions(rules: Iterable[GroupRule]) -> list[dict[str, Any]]:
    """The same with the rules' descriptions; a group of another account is named with it."""
    return [_nested(rule, description=rule.description, account=rule.peer_account) for rule in rules]


def _flat(permission: Members) -> Iterator[Rule]:
    protocol = permission["IpProtocol"]
    for ranges, name in _PEERS:
        for peer in permission.get(ranges) or ():
            yield Rule(
                protocol=protocol,
                # With protocol -1 EC2 leaves the ports out, or sends -1; either way every port is meant.
                from_port=None if protocol == "-1" else permission.get("FromPort"),
                to_port=None if protocol == "-1" else permission.get("ToPort"),
                peer=peer[name],
            )


def _nested(rule: Rule, *, description: str | None = None, account: str | None = None) -> dict[str, Any]:
    permission: dict[str, Any] = {"IpProtocol": rule.protocol}
    if rule.from_port is not None and rule.to_port is not None:
        permission |= {"FromPort": rule.from_port, "ToPort": rule.to_port}
    ranges, name = _kind_of(rule.peer)
    peer = {name: rule.peer}
    if description:
        peer["Description"] = description
    if account and ranges == "UserIdGroupPairs":
        peer["UserId"] = account
    return {**permission, ranges: [peer]}


def _kind_of(peer: str) -> tuple[str, str]:
    if peer.startswith("sg-"):
        return _PEERS[3]
    if peer.startswith("pl-"):
        return _PEERS[2]
    return _PEERS[1] if ":" in peer else _PEERS[0]


def _place(rule: GroupRule) -> tuple[bool, str, int, int, str]:
    return rule.egress, rule.protocol, _port(rule.from_port), _port(rule.to_port), rule.peer


def _port(port: int | None) -> int:
    return -2 if port is None else port
