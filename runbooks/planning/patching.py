"""The steps that patch instances in place: a list of packages for all of one kind, and commands of up to fifty."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

import yaml

from runbooks.definition import Runbook
from runbooks.steps import AnyStep, PatchPackages, Target, WriteOverrideList
from runbooks.triage import Assessment, package_id

COMMAND_SIZE = 50
"""Instances of one command (SendCommand takes at most 50 ids)."""


def patching(
    response: str, runbook: Runbook, waves: Sequence[Sequence[Assessment]], bucket: str, revision: int
) -> tuple[tuple[AnyStep, ...], ...]:
    """The steps of each wave. A list of packages is written by the first wave that needs it, and serves them all."""
    lists: list[list[AnyStep]] = [[] for _ in waves]
    commands: list[list[AnyStep]] = [[] for _ in waves]
    for (account, region, packages), members in _alike(waves).items():
        content = override_list(packages)
        object_key = f"override-lists/{hashlib.sha256(content.encode()).hexdigest()[:32]}.yaml"
        where = bucket.format(account=account, region=region)
        lists[min(members)].append(
            WriteOverrideList(
                target=Target(account=account, region=region, type="object", id=f"{where}/{object_key}"),
                cases=tuple(each.case for wave in members.values() for each in wave),
                bucket=where,
                object_key=object_key,
                content=content,
            )
        )
        before = 0
        for wave, alike in members.items():
            for start in range(0, len(alike), COMMAND_SIZE):
                chunk = alike[start : start + COMMAND_SIZE]
                commands[wave].append(
                    _command(response, runbook, chunk, packages, f"s3://{where}/{object_key}", revision, before + start)
                )
            before += len(alike)
    return tuple((*lists[wave], *commands[wave]) for wave in range(len(waves)))


def _command(
    response: str,
    runbook: Runbook,
    chunk: Sequence[Assessment],
    packages: tuple[str, ...],
    override: str,
    revision: int,
    start: int,
) -> PatchPackages:
    instances = [each.instance for each in chunk]
    first = instances[0]
    name = first.id if len(instances) == 1 else f"{first.id}+{len(instances) - 1}"
    return PatchPackages(
        target=Target(account=first.account, region=first.region, type="instance", id=name),
        cases=tuple(each.case for each in chunk),
        instances=tuple(instance.id for instance in instances),
        case_of={instance.id: each.case for instance, each in zip(instances, chunk, strict=True)},
        packages=packages,
        document=runbook.remediate.document,
        override_list=override,
        reboot=runbook.remediate.reboot,
        # Derived, so that planning the same again gives the same plan; one for each revision and command.
        snapshot_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{response}/{revision}/{override}/{start}")),
        delivery_timeout_seconds=runbook.remediate.delivery_timeout_seconds,
    )


def override_list(packages: tuple[str, ...]) -> str:
    """The InstallOverrideList for these `name.architecture` ids: any later version that the repository has."""
    return yaml.safe_dump(
        {"patches": [{"id": package, "title": "*"} for package in packages]}, sort_keys=False, width=1000
    )


def packages_to_patch(each: Assessment) -> tuple[str, ...]:
    """The `name.architecture` ids of the case's packages that are not fixed yet, sorted; empty when one has no name."""
    platform = each.facts.host.platform
    names = {package_id(package, platform) for package in each.triage.packages if package.state != "fixed"}
    return () if None in names else tuple(sorted(name for name in names if name))


def _alike(
    waves: Sequence[Sequence[Assessment]],
) -> dict[tuple[str, str, tuple[str, ...]], dict[int, list[Assessment]]]:
    """Account, region and packages -> the cases of each wave that one command can serve, with the same parameters."""
    found: dict[tuple[str, str, tuple[str, ...]], dict[int, list[Assessment]]] = {}
    for number, wave in enumerate(waves):
        for each in wave:
            kind = (each.instance.account, each.instance.region, packages_to_patch(each))
            found.setdefault(kind, {}).setdefault(number, []).append(each)
    return found
