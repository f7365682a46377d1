"""The quarantine group: what it lets out, and whether an instance behind it can still be patched."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import rfc8785

from runbooks.definition import Quarantine
from runbooks.instance import Endpoint, InstanceFacts, Rule
from runbooks.model import Model

SYSTEMS_MANAGER_ENDPOINTS = ("ssm", "ssmmessages", "ec2messages")
"""The endpoints an SSM agent needs (Systems Manager user guide, setup for VPC endpoints)."""
HTTPS, HTTP = 443, 80


class Check(Model):
    """One question with its answer and why."""

    ok: bool
    reason: str


class Patchability(Model):
    """Whether the instance can be patched under quarantine: the way to command it, and the way to its packages."""

    control_path: Check
    package_source: Check

    @property
    def ok(self) -> bool:
        return self.control_path.ok and self.package_source.ok

    @property
    def reasons(self) -> tuple[str, ...]:
        return (self.control_path.reason, self.package_source.reason)


def egress_rules(facts: InstanceFacts, choice: Quarantine) -> tuple[Rule, ...]:
    """The rules of the quarantine group in the instance's VPC, as the runbook chooses; never an ingress rule."""
    peers: dict[tuple[str, int], None] = {}
    if choice.allow_systems_manager:
        for endpoint in _endpoints(facts, SYSTEMS_MANAGER_ENDPOINTS):
            for group in endpoint.groups:
                peers[(group, HTTPS)] = None
    if choice.allow_package_source:
        for endpoint in _endpoints(facts, ("s3",)):
            for peer in (endpoint.prefix_list,) if endpoint.kind == "Gateway" else endpoint.groups:
                if peer:
                    peers[(peer, HTTPS)] = None
        for mirror in choice.package_mirrors:
            peers[(mirror, HTTP)] = peers[(mirror, HTTPS)] = None
    return tuple(Rule(protocol="tcp", from_port=port, to_port=port, peer=peer) for peer, port in sorted(peers))


def quarantine_group_name(choice: Quarantine, egress: Sequence[Rule]) -> str:
    """The group's name, which follows its rules: one VPC has as many groups as its containments need other rules."""
    rules = [rule.model_dump(mode="json") for rule in egress]
    return f"{choice.group_name}-{hashlib.sha256(rfc8785.dumps(rules)).hexdigest()[:8]}"


def is_quarantine_group(choice: Quarantine, name: str) -> bool:
    """Whether it is the name of a quarantine group of this runbook, whatever the rules were that it was made for."""
    return re.fullmatch(rf"{re.escape(choice.group_name)}-[0-9a-f]{{8}}", name) is not None


def patchable_under_quarantine(facts: InstanceFacts, choice: Quarantine) -> Patchability:
    """Whether Systems Manager and the packages stay within reach behind the quarantine group."""
    return Patchability(control_path=_control_path(facts, choice), package_source=_package_source(facts, choice))


def _control_path(facts: InstanceFacts, choice: Quarantine) -> Check:
    if facts.instance is None or facts.instance.profile is None:
        return Check(ok=False, reason="the instance has no instance profile, so Systems Manager cannot command it")
    if facts.node is None:
        return Check(ok=False, reason="Systems Manager does not know the instance: it is not a managed node")
    if facts.node.ping_status != "Online":
        return Check(ok=False, reason=f"the SSM agent is not online (ping status {facts.node.ping_status})")
    if not choice.allow_systems_manager:
        return Check(ok=False, reason="the runbook's quarantine cuts Systems Manager off")
    missing = [name for name in SYSTEMS_MANAGER_ENDPOINTS if not _endpoints(facts, (name,))]
    if missing:
        return Check(ok=False, reason=f"the VPC has no interface endpoint for {', '.join(missing)}")
    return Check(
        ok=True, reason="Systems Manager stays reachable through the VPC's ssm, ssmmessages and ec2messages endpoints"
    )


def _package_source(facts: InstanceFacts, choice: Quarantine) -> Check:
    if not choice.allow_package_source:
        return Check(ok=False, reason="the runbook's quarantine cuts the package source off")
    from_s3 = bool(_endpoints(facts, ("s3",)))
    if not from_s3:
        return Check(ok=False, reason="the VPC has no S3 endpoint, from which the list of packages is read")
    if facts.platform.startswith("AMAZON_LINUX"):
        return Check(ok=True, reason="Amazon Linux packages come from S3, which stays reachable through its endpoint")
    if choice.package_mirrors:
        mirrors = ", ".join(choice.package_mirrors)
        return Check(ok=True, reason=f"packages come from the runbook's mirrors ({mirrors}), which stay reachable")
    return Check(
        ok=False, reason=f"{facts.platform or 'this platform'} needs a package mirror, and the runbook names none"
    )


def _endpoints(facts: InstanceFacts, services: tuple[str, ...]) -> tuple[Endpoint, ...]:
    return tuple(endpoint for endpoint in facts.endpoints if endpoint.service in services)
