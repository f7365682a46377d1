"""Amazon Inspector's judgement: which findings are open, and which closed.

Inspector judges a resource by the packages it knows of it: a patched instance's finding closes only after the next
inventory, an image's never, since a digest does not change. Findings also close for other reasons, a terminated
instance or an archived image among them, and coverage says which (Inspector user guide, "Understanding findings" and
"Assessing coverage"). What differs from kind to kind of resource is in `scanned`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta

from deployments.sandbox import events
from deployments.sandbox.platforms import Platform, is_older
from deployments.sandbox.scanned import KINDS, Scanned, coverage, of_finding
from deployments.sandbox.world import Advisory, Finding, Package, PackageKey, World

__all__ = ["close", "coverage", "evaluate", "finding_arn", "follow_lifecycle", "open_finding", "rescan", "vulnerable"]

_REOPENS_WITHIN = timedelta(days=7)
_SCANNED_WHEN = ("SUCCESSFUL", "PENDING_INITIAL_SCAN", "PENDING_REVIVAL_SCAN")
_FIRST_FINDING = "first"


def evaluate(world: World, scanned: Scanned) -> None:
    """Judge a resource by its packages: open, close and reopen its findings, and say that it was scanned."""
    if coverage(world, scanned)[1] not in _SCANNED_WHEN:
        return
    scanned.scanned_at = world.now
    scanned.first_scanned_at = scanned.first_scanned_at or world.now
    for advisory in world.advisories:
        if advisory.packages:
            _judge(world, scanned, advisory)


def rescan(world: World, advisory: Advisory) -> None:
    """Scan again whatever may have a vulnerability that has become known: that is what continuous scanning does."""
    for kind in KINDS.values():
        for scanned in list(kind.all(world)):
            if scanned.first_scanned_at and vulnerable(scanned.platform, advisory, scanned.inventory):
                evaluate(world, scanned)


def follow_lifecycle(world: World) -> None:
    """Close the findings of resources that are gone or no longer scanned: closed, and nothing is fixed by it."""
    for finding in list(world.findings.values()):
        if finding.status != "CLOSED":
            reason = coverage(world, of_finding(world, finding))[1]
            if reason in KINDS[finding.resource_type].closing:
                close(world, finding)


def vulnerable(platform: Platform, advisory: Advisory, packages: Mapping[PackageKey, Package]) -> tuple[Package, ...]:
    """Which of these packages the advisory is about, at a version before its fix.

    Packages of the operating system count only on the advisory's own one; those of a language, everywhere.
    """
    found = []
    for one in advisory.packages:
        package = packages.get((one.name, one.arch))
        if package is None or (one.manager == "OS" and advisory.platform != platform):
            continue
        if one.fixed_in is None or is_older(platform, one.manager, package.version, one.fixed_in):
            found.append(package)
    return tuple(found)


def close(world: World, finding: Finding) -> None:
    """Close a finding, for whatever reason."""
    finding.status = "CLOSED"
    finding.closed_at = finding.updated_at = world.now
    events.send_finding(world, finding)


def open_finding(
    world: World, scanned: Scanned, advisory: Advisory, packages: tuple[Package, ...], arn: str | None = None
) -> Finding:
    """Report an advisory on a resource for the first time, under its own ARN."""
    finding = Finding(
        arn=arn or finding_arn(world, scanned.resource_id, advisory.vulnerability_id, world.now.isoformat()),
        resource_type=scanned.resource_type,
        resource_id=scanned.resource_id,
        advisory=advisory,
        status="ACTIVE",
        first_observed_at=world.now,
        last_observed_at=world.now,
        updated_at=world.now,
        packages=packages,
    )
    world.findings[finding.arn] = finding
    events.send_finding(world, finding)
    return finding


def finding_arn(world: World, resource_id: str, vulnerability_id: str, occasion: str = _FIRST_FINDING) -> str:
    """The ARN of a finding, the same for the same resource, vulnerability and occasion."""
    name = f"{world.account}/{world.region}/{resource_id}/{vulnerability_id}/{occasion}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"arn:aws:inspector2:{world.region}:{world.account}:finding/{digest}"


def _judge(world: World, scanned: Scanned, advisory: Advisory) -> None:
    packages = vulnerable(scanned.platform, advisory, scanned.inventory)
    finding = _latest(world, scanned, advisory)
    if not packages:
        if finding and finding.status != "CLOSED":
            close(world, finding)
        return
    if finding is None or _closed_long_ago(world, finding):
        open_finding(world, scanned, advisory, packages)
        return
    finding.packages, finding.last_observed_at = packages, world.now
    if finding.status == "CLOSED":
        finding.status, finding.closed_at, finding.updated_at = "ACTIVE", None, world.now
        events.send_finding(world, finding)


def _latest(world: World, scanned: Scanned, advisory: Advisory) -> Finding | None:
    of_resource = [
        finding
        for finding in world.findings.values()
        if finding.resource_id == scanned.resource_id
        and finding.advisory.vulnerability_id == advisory.vulnerability_id
        and {p.name for p in finding.advisory.packages} == {p.name for p in advisory.packages}
    ]
    return max(of_resource, key=lambda finding: finding.first_observed_at, default=None)


def _closed_long_ago(world: World, finding: Finding) -> bool:
    return finding.closed_at is not None and world.now - finding.closed_at > _REOPENS_WITHIN
