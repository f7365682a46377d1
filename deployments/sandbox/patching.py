"""What AWS-RunPatchBaseline does on a node.

It updates installed packages to the newest version the platform's repositories hold, all of them or those an
InstallOverrideList names, and reboots as RebootOption says (Systems Manager user guide, "SSM Command document for
patching: AWS-RunPatchBaseline"). It knows nothing of packages that the operating system does not manage.
"""

from __future__ import annotations

import fnmatch
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import yaml
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends

from deployments.sandbox import reachability
from deployments.sandbox.platforms import is_older
from deployments.sandbox.world import Command, Node, Package, PatchRun, World

_KERNELS = ("linux-image", "linux-aws", "kernel")


class CannotPatch(Exception):
    """What keeps a run from even beginning, as its standard error puts it."""


@dataclass(frozen=True)
class Outcome:
    """How a document ended on a node: it failed when it had something to say on standard error."""

    stdout: str = ""
    stderr: str = ""
    reboots: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the node reports success."""
        return not self.stderr


def run_patch_baseline(world: World, node: Node, command: Command, started_at: datetime) -> Outcome:
    """Scan or patch the node, and remember the run for DescribeInstancePatchStates."""
    wanted = _parameter(command, "InstallOverrideList")
    try:
        _check_reachable(world, node)
        rules = _read_override_list(world, wanted) if wanted else None
    except CannotPatch as error:
        return Outcome(stderr=str(error))
    updates = _updates(world, node)
    if _parameter(command, "Operation") == "Scan":
        _remember(world, node, command, started_at, missing=updates)
        return Outcome(stdout=f"Scan completed, {len(updates)} package(s) missing.\n")
    chosen = _chosen(updates, rules)
    if node.patch_fails:
        _remember(world, node, command, started_at, failed=chosen)
        names = " ".join(package.name for package in chosen)
        return Outcome(stderr=f"E: Sub-process returned an error code: {names}")
    reboots = _install(node, chosen, _parameter(command, "RebootOption") != "NoReboot")
    _remember(world, node, command, started_at, installed=chosen)
    return Outcome(stdout=_summary(chosen), reboots=reboots)


def _install(node: Node, packages: tuple[Package, ...], may_reboot: bool) -> bool:
    """Install the packages; whether the node reboots after it."""
    node.packages |= {package.key: package for package in packages}
    if not may_reboot:
        node.pending_reboot |= {package.key for package in packages if package.name.startswith(_KERNELS)}
        return False
    return bool(packages or node.pending_reboot)


def _remember(
    world: World,
    node: Node,
    command: Command,
    started_at: datetime,
    **packages: tuple[Package, ...],
) -> None:
    reboot_option = _parameter(command, "RebootOption") or "RebootIfNeeded"
    node.last_patch = PatchRun(
        operation=_parameter(command, "Operation"),
        started_at=started_at,
        ended_at=world.now,
        snapshot_id=_parameter(command, "SnapshotId") or str(uuid.uuid5(uuid.NAMESPACE_OID, command.id)),
        override_list=_parameter(command, "InstallOverrideList"),
        reboot_option=reboot_option,
        without_reboot_at=world.now if packages.get("installed") and reboot_option == "NoReboot" else None,
        **packages,
    )


def _check_reachable(world: World, node: Node) -> None:
    instance = world.instance(node.instance_id)
    if instance is None or not reachability.reaches_s3(world, instance):
        raise CannotPatch("Unable to download file from S3: connection to the operations bucket timed out")
    if not reachability.has_package_source(world, instance, from_s3=node.platform.is_amazon_linux):
        raise CannotPatch("E: Failed to fetch package index: could not connect to any of the configured repositories")


def _updates(world: World, node: Node) -> tuple[Package, ...]:
    updates = []
    for package in node.packages.values():
        newest = world.newest(node.platform, package)
        if package.manager == "OS" and newest and is_older(node.platform, "OS", package.version, newest):
            updates.append(replace(package, version=newest))
    return tuple(updates)


def _chosen(updates: tuple[Package, ...], wanted: tuple[tuple[str, str], ...] | None) -> tuple[Package, ...]:
    if wanted is None:
        return updates
    return tuple(package for package in updates if any(_matches(package, rule) for rule in wanted))


def _matches(package: Package, rule: tuple[str, str]) -> bool:
    name, title = rule
    if not fnmatch.fnmatchcase(f"{package.name}.{package.arch}", name):
        return False
    full = f"{package.name}.{package.arch}:{package.version}"
    without_epoch = f"{package.name}.{package.arch}:{package.version.partition(':')[2] or package.version}"
    versions = (package.version, full, without_epoch)
    return not title or any(fnmatch.fnmatchcase(version, title) for version in versions)


def _read_override_list(world: World, location: str) -> tuple[tuple[str, str], ...]:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not location.startswith("s3://") or not key:
        raise CannotPatch(f"InstallOverrideList is not an s3:// location: {location}")
    try:
        stored = s3_backends[world.account]["aws"].get_object(bucket, key)
    except MissingBucket:
        stored = None
    if stored is None:
        raise CannotPatch(f"Unable to download file from S3: {location}")
    try:
        return tuple(_rule(entry) for entry in yaml.safe_load(stored.value)["patches"])
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise CannotPatch(f"Unable to parse the install override list {location}: {error}") from error


def _rule(entry: dict[str, Any]) -> tuple[str, str]:
    return str(entry["id"]), str(entry.get("title") or "")


def _parameter(command: Command, name: str) -> str:
    return (command.parameters.get(name) or [""])[0]


def _summary(installed: tuple[Package, ...]) -> str:
    lines = [f"Install completed, {len(installed)} package(s) installed."]
    lines += [f"Updated: {package.name} {package.version}" for package in installed]
    return "\n".join(lines) + "\n"
