"""Gathering the evidence on which a verdict rests: finding, coverage and inventory of every resource, read in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runbooks.case import CaseKey
from runbooks.finding import Finding, FindingStatus
from runbooks.instance import Inventory
from runbooks.triage import PackageState
from runbooks.verdict import ABSENT, Coverage, Evidence
from tasks.facts import platform_of
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ec2 import Ec2Gateway
from tasks.gateways.inspector import InspectorGateway
from tasks.gateways.ssm import SsmGateway


@dataclass(frozen=True)
class Subject:
    """A case to be judged, and the resources that stand for it: its own instance, or those that took its place."""

    case: str
    key: CaseKey
    resources: tuple[str, ...]
    findings: tuple[Finding, ...]
    """As they arrived, or as triage read them."""
    packages: tuple[PackageState, ...]
    """As triage merged them: each once, with the highest fix."""

    @property
    def counted(self) -> tuple[Finding, ...]:
        """The findings that count: what a suppression rule already covered at triage was accepted by its owner."""
        return tuple(each for each in self.findings if each.status != FindingStatus.SUPPRESSED)

    @property
    def fixed_in(self) -> dict[str, str | None]:
        return {package.name: package.fixed_in for package in self.packages}


def gather(
    aws: AwsSessions, subjects: Sequence[Subject], rescanned_since: datetime | None = None
) -> dict[str, list[Evidence]]:
    """Case -> the evidence on each of its resources.

    Args:
        rescanned_since: findings and inventory of what Inspector has not scanned after that moment are left out:
            nothing is judged by them yet, and the inventory takes a call for each. None reads everything.
    """
    places: dict[tuple[str, str], list[Subject]] = {}
    for subject in subjects:
        places.setdefault((subject.key.account, subject.key.region), []).append(subject)
    found: dict[str, list[Evidence]] = {}
    for (account, region), members in places.items():
        seen = _Seen(aws, account, region, members, rescanned_since)
        found |= {member.case: [seen.evidence(member, each) for each in member.resources] for member in members}
    return found


class _Seen:
    """What one account and region shows of some instances."""

    def __init__(
        self, aws: AwsSessions, account: str, region: str, subjects: Sequence[Subject], since: datetime | None
    ) -> None:
        self._where = (account, region)
        self._inspector = InspectorGateway(aws)
        ids = sorted({each for subject in subjects for each in subject.resources})
        self._coverage: dict[str, Coverage | None] = self._inspector.coverage(account, region, ids)
        self._alive = Ec2Gateway(aws).existing(account, region, ids)
        self._telling = {one for one in ids if _is_after(self._coverage[one], since)}
        own = [each for each in subjects if each.key.resource_id in self._telling & set(each.resources)]
        hints = {finding.arn: finding.vulnerability_id for subject in own for finding in subject.counted}
        self._now = self._inspector.findings(account, region, [*hints], hints)
        # What is not a managed node has no inventory, and the call says so.
        self._inventories: dict[str, Inventory | None] = SsmGateway(aws).inventories(
            account, region, sorted(self._telling & self._alive)
        )

    def evidence(self, subject: Subject, resource: str) -> Evidence:
        inventory = self._inventories.get(resource)
        names = [package.name for package in subject.packages]
        return Evidence(
            resource=resource,
            gone=resource not in self._alive,
            platform=platform_of(subject.findings),
            findings=self._statuses(subject, resource),
            coverage=self._coverage.get(resource),
            installed={name: inventory.version_of(name) if inventory else None for name in names},
            unreadable=tuple(package.name for package in subject.packages if package.manager != "OS"),
            inventory_captured_at=inventory.captured_at if inventory else None,
        )

    def _statuses(self, subject: Subject, resource: str) -> dict[str, str]:
        """ARN -> status; a successor has findings of its own, of the same vulnerabilities."""
        if resource not in self._telling:
            return {}
        if resource == subject.key.resource_id:
            now = {finding.arn: self._now[finding.arn] for finding in subject.counted}
            return {arn: live.status if live else ABSENT for arn, live in now.items()}
        vulnerabilities = {finding.vulnerability_id for finding in subject.counted}
        found = self._inspector.findings_of(*self._where, resource)
        return {each.arn: each.status for each in found if each.vulnerability_id in vulnerabilities}


def _is_after(coverage: Coverage | None, since: datetime | None) -> bool:
    """Whether Inspector scans the resource, and has scanned it after that moment."""
    if since is None:
        return True
    scanned = coverage.last_scanned_at if coverage is not None and coverage.status == "ACTIVE" else None
    return scanned is not None and scanned > since
