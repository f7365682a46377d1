"""Amazon Inspector's judgement: which findings are open, which closed, and what its coverage says.

Inspector judges by the inventory it was given, not by the instance: a patched package closes a finding only after the
next inventory. Findings also close for other reasons, a terminated or excluded instance among them, and coverage says
which (Inspector user guide, "Understanding findings" and "Assessing coverage").
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from moto.ec2.models.instances import Instance

from deployments.sandbox.platforms import is_older
from deployments.sandbox.world import Advisory, Finding, Node, Package, World

_REOPENS_WITHIN = timedelta(days=7)
_EXCLUSION_TAG = "inspectorec2exclusion"
_FIRST_FINDING = "first"


def evaluate(world: World, node: Node) -> None:
    """Judge a node by its inventory: open, close and reopen its findings, and say that it was scanned."""
    if coverage(world, node)[0] != "ACTIVE" or node.inventory_at is None:
        return
    node.scanned_at = world.now
    node.first_scanned_at = node.first_scanned_at or world.now
    for advisory in world.advisories:
        if advisory.platform == node.platform and advisory.packages:
            _judge(world, node, advisory)


def follow_lifecycle(world: World) -> None:
    """Close the findings of instances that are gone or excluded: closed, and nothing is fixed by it."""
    for finding in list(world.findings.values()):
        reason = coverage(world, world.nodes[finding.instance_id])[1]
        if finding.status != "CLOSED" and reason in ("RESOURCE_TERMINATED", "EXCLUDED_BY_TAG"):
            close(world, finding)


def coverage(world: World, node: Node) -> tuple[str, str]:
    """The scan status of a node: its code and its reason."""
    instance = world.instance(node.instance_id)
    if instance is None or instance.state in ("terminated", "shutting-down"):
        return "INACTIVE", "RESOURCE_TERMINATED"
    if is_excluded(instance):
        return "INACTIVE", "EXCLUDED_BY_TAG"
    if instance.state in ("stopped", "stopping"):
        return "INACTIVE", "EC2_INSTANCE_STOPPED"
    if node.registered_at is None or not instance.iam_instance_profile:
        return "INACTIVE", "UNMANAGED_EC2_INSTANCE"
    if node.inventory_at is None:
        return "INACTIVE", "NO_INVENTORY"
    if world.now - node.inventory_at > timedelta(seconds=world.settings.stale_inventory):
        return "INACTIVE", "STALE_INVENTORY"
    return "ACTIVE", "SUCCESSFUL"


def is_excluded(instance: Instance) -> bool:
    """Whether a tag keeps Inspector from scanning the instance."""
    return any(tag["key"].lower() == _EXCLUSION_TAG for tag in instance.get_tags())


def is_vulnerable(node: Node, advisory: Advisory, packages: dict[tuple[str, str], Package]) -> tuple[Package, ...]:
    """Which of these packages the advisory is about, at a version before its fix."""
    found = []
    for vulnerable in advisory.packages:
        package = packages.get((vulnerable.name, vulnerable.arch))
        if package is None:
            continue
        if vulnerable.fixed_in is None or is_older(
            node.platform, vulnerable.manager, package.version, vulnerable.fixed_in
        ):
            found.append(package)
    return tuple(found)


def close(world: World, finding: Finding) -> None:
    """Close a finding, for whatever reason."""
    finding.status = "CLOSED"
    finding.closed_at = finding.updated_at = world.now


def open_finding(
    world: World, node: Node, advisory: Advisory, packages: tuple[Package, ...], arn: str | None = None
) -> Finding:
    """Report an advisory on a node for the first time, under its own ARN."""
    finding = Finding(
        arn=arn or finding_arn(world, node.instance_id, advisory.vulnerability_id, world.now.isoformat()),
        instance_id=node.instance_id,
        advisory=advisory,
        status="ACTIVE",
        first_observed_at=world.now,
        last_observed_at=world.now,
        updated_at=world.now,
        packages=packages,
    )
    world.findings[finding.arn] = finding
    return finding


def finding_arn(world: World, instance_id: str, vulnerability_id: str, occasion: str = _FIRST_FINDING) -> str:
    """The ARN of a finding, the same for the same instance, vulnerability and occasion."""
    name = f"{world.account}/{world.region}/{instance_id}/{vulnerability_id}/{occasion}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"arn:aws:inspector2:{world.region}:{world.account}:finding/{digest}"


def _judge(world: World, node: Node, advisory: Advisory) -> None:
    vulnerable = is_vulnerable(node, advisory, node.inventory)
    finding = _latest(world, node, advisory)
    if not vulnerable:
        if finding and finding.status != "CLOSED":
            close(world, finding)
        return
    if finding is None or _closed_long_ago(world, finding):
        open_finding(world, node, advisory, vulnerable)
        return
    if finding.status == "CLOSED":
        finding.status, finding.closed_at, finding.updated_at = "ACTIVE", None, world.now
    finding.packages, finding.last_observed_at = vulnerable, world.now


def _latest(world: World, node: Node, advisory: Advisory) -> Finding | None:
    of_node = [
        finding
        for finding in world.findings.values()
        if finding.instance_id == node.instance_id
        and finding.advisory.vulnerability_id == advisory.vulnerability_id
        and {p.name for p in finding.advisory.packages} == {p.name for p in advisory.packages}
    ]
    return max(of_node, key=lambda finding: finding.first_observed_at, default=None)


def _closed_long_ago(world: World, finding: Finding) -> bool:
    return finding.closed_at is not None and world.now - finding.closed_at > _REOPENS_WITHIN
