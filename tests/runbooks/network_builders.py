"""Values for tests about ways in: bastion-1, with SSH open to everybody by a rule of the group `web`."""

from __future__ import annotations

from typing import Any

from runbooks.catalog import Catalog
from runbooks.definition import Runbook
from runbooks.evidence import Coverage, NetworkEvidence
from runbooks.facts import CaseFacts
from runbooks.finding import Finding
from runbooks.group_rules import GroupRule
from runbooks.instance import Exploitation, InstanceFacts, SecurityGroup
from runbooks.network import NetworkFacts
from runbooks.triage import Assessment, assess
from tests.runbooks.builders import (
    INSTANCE_ID,
    NO_LIMITS,
    VPC,
    a_case_key,
    a_finding,
    a_resource,
    a_subnet,
    after,
    an_instance,
    an_interface,
)

NETWORK_CASE = a_case_key(runbook="network-reachability").id
WEB, BASE = "sg-0web", "sg-0base"
EXPECTED = "remediation:expected-exposure"
PATH = (
    ("AWS::EC2::InternetGateway", "igw-0feedc0de"),
    ("AWS::EC2::NetworkAcl", "acl-0feedc0de"),
    ("AWS::EC2::SecurityGroup", WEB),
    ("AWS::EC2::NetworkInterface", "eni-0000000000000000a"),
    ("AWS::EC2::Instance", INSTANCE_ID),
)


def network_runbook(**choices: Any) -> Runbook:
    """The shipped one, with limits that many cases pass; `choices` are of its section `network`."""
    values = Catalog.read().named("network-reachability").model_dump()
    values["network"] |= choices
    values["limits"] |= NO_LIMITS
    return Runbook.model_validate(values)


def an_opening(
    begin: int = 22,
    end: int | None = None,
    protocol: str = "TCP",
    path: tuple[tuple[str, str], ...] = PATH,
    number: int = 1,
    **changes: Any,
) -> Finding:
    """A finding as Inspector sends it."""
    details = {
        "networkPath": {"steps": [{"componentType": kind, "componentId": name} for kind, name in path]},
        "openPortRange": {"begin": begin, "end": begin if end is None else end},
        "protocol": protocol,
    }
    values: dict[str, Any] = {
        "type": "NETWORK_REACHABILITY",
        "severity": "MEDIUM",
        "title": f"Port {begin} is reachable from an Internet Gateway - {protocol}",
        "vulnerability_id": None,
        "packages": (),
        "inspector_score": None,
        "epss": None,
        "exploit_available": None,
        "fix_available": None,
        "source_url": None,
        "extra": {"networkReachabilityDetails": details},
        "resource": a_resource(),
    }
    return a_finding(number, **(values | changes))


def a_group_rule(
    begin: int | None = 22, end: int | None = None, peer: str = "0.0.0.0/0", protocol: str = "tcp", **changes: Any
) -> GroupRule:
    last = begin if end is None else end
    values: dict[str, Any] = {"id": f"sgr-{protocol}-{begin}-{peer}", "tags": {}}
    return GroupRule(protocol=protocol, from_port=begin, to_port=last, peer=peer, **(values | changes))


OUT = a_group_rule(None, peer="0.0.0.0/0", protocol="-1", id="sgr-out", egress=True)


def network_facts(*rules: GroupRule, base: tuple[GroupRule, ...] = (), **changes: Any) -> NetworkFacts:
    """The instance in the groups `web`, with these rules, and `base`; SSH for everybody where none is named."""
    web = rules or (a_group_rule(),)
    groups = tuple(
        SecurityGroup(id=group, name=group.removeprefix("sg-0"), vpc=VPC, ingress=tuple(rule.bare for rule in each))
        for group, each in ((WEB, web), (BASE, base))
    )
    instance = changes.pop("instance", an_instance(targets=(), auto_scaling=None))
    subnets = changes.pop("subnets", (a_subnet(),))
    values: dict[str, Any] = {
        "host": InstanceFacts(instance=instance, groups=groups, subnets=subnets),
        "rules": {WEB: (*web, OUT), BASE: (*base, OUT)},
        "users": {},
        "references": {},
        "inside": ("10.20.0.0/16",),
    }
    return NetworkFacts(**(values | changes))


def network_case(*findings: Finding, facts: NetworkFacts | None = None, case: str = NETWORK_CASE) -> CaseFacts:
    return CaseFacts(
        case=case,
        findings=findings or (an_opening(),),
        exploitation=Exploitation(),
        resource=facts or network_facts(),
    )


def network_assessment(
    *findings: Finding, facts: NetworkFacts | None = None, runbook: Runbook | None = None, case: str = NETWORK_CASE
) -> Assessment:
    return assess(network_case(*findings, facts=facts, case=case), runbook or network_runbook())


def tagged(value: str) -> Any:
    """The instance, whose owner says what is meant to be open."""
    return an_instance(targets=(), auto_scaling=None, tags={"Name": "bastion-1", EXPECTED: value})


def another_instance(number: int) -> Any:
    interface = an_interface(id=f"eni-{number:017x}", groups=(BASE, WEB))
    return an_instance(f"i-{number:017x}", targets=(), auto_scaling=None, interfaces=(interface,))


def network_evidence(**changes: Any) -> NetworkEvidence:
    """Closed, seen so by us and by Inspector."""
    values: dict[str, Any] = {
        "resource": INSTANCE_ID,
        "ports": ("tcp/22",),
        "findings": {an_opening().arn: "CLOSED"},
        "closed_at": after(720),
        "coverage": Coverage(status="ACTIVE", reason="SUCCESSFUL", last_scanned_at=after(720)),
    }
    return NetworkEvidence(**(values | changes))
