"""The remediate plan: patch the packages of the findings in place, or replace the instances from a patched AMI."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence

import yaml

from runbooks.definition import Runbook, holding, in_words
from runbooks.errors import LimitExceeded, Refused
from runbooks.instance import Instance
from runbooks.plan import Phase, Plan
from runbooks.planning.extents import extents
from runbooks.steps import (
    AnyStep,
    CreateLaunchTemplateVersion,
    LaunchReplacement,
    PatchPackages,
    RefreshInstances,
    Target,
    WriteOverrideList,
)
from runbooks.triage import Assessment, package_id

COMMAND_SIZE = 50
"""Instances of one command (SendCommand takes at most 50 ids)."""
SNAPSHOTS_LEAD_BACK = "a package update is not downgraded; the snapshots are the way back"
NOTHING_LEADS_BACK = "a package update is not downgraded: a backup of your own is the only way back"


def plan_remediation(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    *,
    bucket: str,
    contained: bool,
    snapshots: bool = False,
    revision: int = 1,
) -> Plan:
    """One plan that remediates every assessed case that can be.

    Args:
        bucket: the S3 bucket for lists of packages, with `{account}` and `{region}` filled in for each.
        contained: whether the instances are under quarantine while this runs.
        snapshots: whether there are snapshots of all these instances from before.

    Raises:
        LimitExceeded: the plan would touch more than the runbook's limits allow.
        Refused: nothing in it can be remediated by this system.
    """
    patched = [each for each in assessments if each.triage.remediation == "patch" and packages_to_patch(each)]
    replaced = [each for each in assessments if each.triage.remediation == "replace"]
    number = len(patched) + len(replaced)
    if number > runbook.limits.maximum_cases:
        raise LimitExceeded(f"{number} cases to remediate, and {runbook.name} allows {runbook.limits.maximum_cases}")
    steps = (*_patch(response, runbook, patched, bucket, revision), *_replace(runbook, replaced))
    if not steps:
        raise Refused("nothing can be remediated without a person", code="person")
    cases = (*patched, *replaced)
    touched, at_once = extents(runbook, cases), _at_once(runbook, cases)
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.REMEDIATE,
        revision=revision,
        cases=tuple(each.case for each in cases),
        steps=steps,
        reasons=(*dict.fromkeys(each.triage.reasons[-1] for each in cases), *at_once),
        not_covered=tuple(_not_covered(runbook, patched, replaced, contained)),
        cannot_be_put_back=(SNAPSHOTS_LEAD_BACK if snapshots else NOTHING_LEADS_BACK,) if patched else (),
        approval=runbook.remediate.approval.rule([each.environment for each in touched]),
        extents=touched,
        windows=() if at_once else runbook.remediate.windows,
    )


def _at_once(runbook: Runbook, cases: Sequence[Assessment]) -> tuple[str, ...]:
    """Why no change window is waited for, where there are some: every case is of a kind that does not wait."""
    found = [holding(runbook.remediate.any_time_when, each.triage.signals) for each in cases]
    if not runbook.remediate.windows or None in found:
        return ()
    what = " or ".join(dict.fromkeys(in_words(condition) for condition in found if condition))
    return (f"no change window is waited for: {runbook.name} does not wait with what is {what}",)


def _patch(
    response: str,
    runbook: Runbook,
    patched: Sequence[Assessment],
    bucket: str,
    revision: int,
) -> Iterator[AnyStep]:
    lists: list[AnyStep] = []
    commands: list[AnyStep] = []
    for (account, region), members in _by_place(patched).items():
        for packages, alike in _by_packages(members).items():
            content = override_list(packages)
            object_key = f"override-lists/{hashlib.sha256(content.encode()).hexdigest()[:32]}.yaml"
            where = bucket.format(account=account, region=region)
            lists.append(
                WriteOverrideList(
                    target=Target(account=account, region=region, type="object", id=f"{where}/{object_key}"),
                    cases=tuple(each.case for each in alike),
                    bucket=where,
                    object_key=object_key,
                    content=content,
                )
            )
            for start in range(0, len(alike), COMMAND_SIZE):
                chunk = alike[start : start + COMMAND_SIZE]
                commands.append(
                    _command(response, runbook, chunk, packages, f"s3://{where}/{object_key}", revision, start)
                )
    yield from (*lists, *commands)


def _command(
    response: str,
    runbook: Runbook,
    chunk: Sequence[Assessment],
    packages: tuple[str, ...],
    override: str,
    revision: int,
    start: int,
) -> PatchPackages:
    instances = [_instance(each) for each in chunk]
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
    platform = each.facts.resource.platform
    names = {package_id(package, platform) for package in each.triage.packages if package.state != "fixed"}
    return () if None in names else tuple(sorted(name for name in names if name))


def _replace(runbook: Runbook, replaced: Sequence[Assessment]) -> Iterator[AnyStep]:
    groups: dict[tuple[str, str, str], list[Assessment]] = {}
    for each in replaced:
        instance = _instance(each)
        if instance.auto_scaling is None or instance.auto_scaling.launch_template is None:
            yield _launch(each)
        else:
            groups.setdefault((instance.account, instance.region, instance.auto_scaling.group), []).append(each)
    refreshes = [_refresh(runbook, members) for members in groups.values()]
    followers = {each.case: _followers(each) for members in groups.values() for each in members}
    yield from _versions(refreshes, followers)
    yield from refreshes


def _launch(each: Assessment) -> LaunchReplacement:
    instance, image = _instance(each), each.facts.resource.replacement_image
    if image is None or not instance.interfaces:
        raise Refused(f"{instance.id} cannot be replaced: no patched AMI or no interface is known", code="person")
    first = instance.interfaces[0]
    return LaunchReplacement(
        target=Target(account=instance.account, region=instance.region, type="instance", id=instance.id),
        cases=(each.case,),
        image=image,
        instance_type=instance.type,
        subnet=first.subnet,
        groups=first.groups,
        profile=instance.profile,
        # AWS keeps the aws: prefix for itself.
        tags={key: value for key, value in instance.tags.items() if not key.startswith("aws:")},
    )


def _refresh(runbook: Runbook, members: Sequence[Assessment]) -> RefreshInstances:
    instance, image = _instance(members[0]), members[0].facts.resource.replacement_image
    group = instance.auto_scaling
    if group is None or group.launch_template is None or group.launch_template_version is None or image is None:
        raise Refused(
            f"the group of {instance.id} cannot be refreshed: its launch template is not known", code="person"
        )
    return RefreshInstances(
        target=Target(account=instance.account, region=instance.region, type="auto-scaling-group", id=group.group),
        cases=tuple(each.case for each in members),
        launch_template=group.launch_template,
        version="@operation",
        previous_version=group.launch_template_version,
        image=image,
        minimum_healthy_percentage=runbook.remediate.minimum_healthy_percentage,
        checkpoints=runbook.remediate.checkpoints,
        checkpoint_delay_seconds=runbook.remediate.checkpoint_delay_seconds,
    )


def _followers(each: Assessment) -> frozenset[str]:
    group = _instance(each).auto_scaling
    return frozenset(group.template_followers if group else ())


def _versions(
    refreshes: Sequence[RefreshInstances], followers: Mapping[str, frozenset[str]]
) -> Iterator[CreateLaunchTemplateVersion]:
    """One new version of each launch template, serving every group that uses it; none where others would follow it."""
    by_template: dict[str, list[RefreshInstances]] = {}
    for refresh in refreshes:
        by_template.setdefault(refresh.launch_template, []).append(refresh)
    for template, users in by_template.items():
        first = users[0]
        if len({(user.previous_version, user.image) for user in users}) > 1:
            groups = ", ".join(user.target.id for user in users)
            raise Refused(f"{groups} use different versions or AMIs of launch template {template}", code="person")
        served = tuple(user.target.id for user in users)
        others = {name for user in users for case in user.cases for name in followers[case]} - set(served)
        if others:
            raise Refused(
                f"launch template {template} is shared: {', '.join(sorted(others))} would launch from its new version "
                "too; give them a fixed version, or $Default",
                code="shared-template",
            )
        yield CreateLaunchTemplateVersion(
            target=first.target.model_copy(update={"type": "launch-template", "id": template}),
            cases=tuple(case for user in users for case in user.cases),
            source_version=first.previous_version,
            image=first.image or "",
            groups=served,
        )


def _not_covered(
    runbook: Runbook, patched: Sequence[Assessment], replaced: Sequence[Assessment], contained: bool
) -> Iterator[str]:
    if patched and runbook.remediate.reboot == "NoReboot":
        yield "a running process keeps the old code until it is restarted: this plan does not reboot"
    if patched and runbook.remediate.reboot == "RebootIfNeeded":
        yield "the instance reboots when anything was installed, whether that package needs it or not"
    if replaced:
        yield "data on the old instance's own volumes does not move to its successor"
    if replaced and contained:
        yield "the contained instance stays as it is, as evidence; a person ends it"


def _by_place(assessments: Sequence[Assessment]) -> dict[tuple[str, str], list[Assessment]]:
    places: dict[tuple[str, str], list[Assessment]] = {}
    for each in assessments:
        instance = _instance(each)
        places.setdefault((instance.account, instance.region), []).append(each)
    return places


def _by_packages(assessments: Sequence[Assessment]) -> dict[tuple[str, ...], list[Assessment]]:
    """Cases whose remediation is the same action with the same parameters share one command."""
    alike: dict[tuple[str, ...], list[Assessment]] = {}
    for each in assessments:
        alike.setdefault(packages_to_patch(each), []).append(each)
    return alike


def _instance(each: Assessment) -> Instance:
    instance = each.facts.resource.instance
    if instance is None:
        raise Refused(f"{each.case} has no instance to remediate", code="instance-gone")
    return instance
