"""What is known of a way into an instance: Inspector's path, the exact rules, and who else lives by them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, cast

from pydantic import Field, ValidationError

from runbooks.exposure import InternetPath, paths_from_internet
from runbooks.finding import Finding
from runbooks.group_rules import GroupRule
from runbooks.instance import Instance, InstanceFacts
from runbooks.model import Model
from runbooks.ports import PortRange


class PathStep(Model):
    """One component of Inspector's path, such as AWS::EC2::SecurityGroup sg-..."""

    type: str
    id: str


class Opening(Model):
    """What a network finding says: ports that can be reached, and the path that leads to them."""

    ports: PortRange
    steps: tuple[PathStep, ...] = ()

    @property
    def direct(self) -> bool:
        """Whether it leads from an internet gateway to the instance's own interface: what this system can close."""
        first = self.steps[0].id if self.steps else ""
        return first.startswith("igw-") and not any("LoadBalancing" in each.type for each in self.steps)

    @property
    def words(self) -> str:
        """Inspector's path as a chain of ids."""
        return " > ".join(each.id for each in self.steps)


class NetworkFacts(Model):
    """Everything triage and planning read of an instance that a network finding is on."""

    kind: Literal["network"] = "network"
    host: InstanceFacts
    rules: dict[str, tuple[GroupRule, ...]] = Field(default_factory=dict[str, tuple[GroupRule, ...]])
    """Security group on one of its interfaces -> the group's rules."""
    users: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """Security group -> the interfaces of others that carry it."""
    references: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """Security group -> the groups whose rules name it, itself among them where one of its own does."""
    inside: tuple[str, ...] = ()
    """The CIDRs of the VPCs of its interfaces."""

    @property
    def instance(self) -> Instance | None:
        """None when the instance is gone."""
        return self.host.instance


def opening_of(finding: Finding) -> Opening | None:
    """What the finding says; None where it cannot be read (Inspector API reference, NetworkReachabilityDetails)."""
    details = _members(finding.extra.get("networkReachabilityDetails"))
    ports = _members(details.get("openPortRange"))
    steps = _members(details.get("networkPath")).get("steps")
    try:
        return Opening(
            ports=PortRange.model_validate(
                {
                    "protocol": str(details.get("protocol", "")).lower(),
                    "begin": ports.get("begin"),
                    "end": ports.get("end"),
                }
            ),
            steps=tuple(_steps(cast("list[object]", steps) if isinstance(steps, list) else ())),
        )
    except ValidationError:
        return None


def ways_in(host: InstanceFacts, closing: Iterable[PortRange]) -> tuple[InternetPath, ...]:
    """The ways from an internet gateway to one of these ports, as things are; load balancers apart."""
    found = (path for ports in closing for path in paths_from_internet(host, ports) if not path.balanced)
    return tuple(dict.fromkeys(found))


def offending(facts: NetworkFacts, paths: Iterable[InternetPath]) -> dict[str, tuple[GroupRule, ...]]:
    """Security group -> those of its rules that let these ways in."""
    found: dict[str, list[GroupRule]] = {}
    for path in paths:
        way = (path.protocol, path.from_port, path.to_port, path.source)
        for rule in facts.rules.get(path.group, ()):
            same = not rule.egress and (rule.protocol, rule.from_port, rule.to_port, rule.peer) == way
            if same and rule not in found.setdefault(path.group, []):
                found[path.group].append(rule)
    return {group: tuple(rules) for group, rules in found.items()}


def _steps(steps: Iterable[object]) -> Iterator[PathStep]:
    for each in map(_members, steps):
        yield PathStep(type=str(each.get("componentType", "")), id=str(each.get("componentId", "")))


def _members(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
